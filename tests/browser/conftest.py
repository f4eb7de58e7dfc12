"""A Studio with a model that finds bright blobs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.app.standins import BlobDetector, studio
from tests.browser.served import PATIENCE, Site, serve

expect.set_options(timeout=PATIENCE)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Serve a Studio for one test alone."""
    detector = BlobDetector()
    services = studio(tmp_path, detector)
    with serve(services) as address:
        yield Site(address, services, detector)
