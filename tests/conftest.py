"""What every test may ask for: the data beside the project, and a browser.

Tests that need something which is not here skip with that reason. In CI (``CI=true``) everything
must be here, so there the same tests fail.
"""

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# read when gradio is imported, so before any test imports it
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

# a full look of the collector visits a million imported objects: a tenth of the tests' time, if it
# is let look as often as Python does
gc.set_threshold(700, 10, 1000)

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked ``gpu`` where there is none; CI may lack one too."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Find the folder beside the checkout that holds ``data``, ``spec`` and ``weights``."""
    folder = Path(os.environ.get("COMASK_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        _missing(f"the shared data folder is not at {folder} (COMASK_SHARED names another)")
    return folder


@pytest.fixture(scope="session")
def shared_data(shared: Path) -> Path:
    """Find the data sets: coco-mini, nuclei, person-480, eval-fixtures, convert-fixture."""
    return _inside(shared, "data")


@pytest.fixture(scope="session")
def spec_fixtures(shared: Path) -> Path:
    """Find the numbers that the authors' code gave, stage by stage."""
    return _inside(shared, "spec/fixtures")


@pytest.fixture(scope="session")
def shared_weights(shared: Path) -> Path:
    """Find the ImageNet weights."""
    return _inside(shared, "weights")


@pytest.fixture(scope="session")
def postgresql_programs() -> Path:
    """Find the folder of PostgreSQL's programs."""
    from tests.annotation import postgresql

    programs = postgresql.find()
    if programs is None:
        _missing("PostgreSQL is not installed (apt-get install postgresql)")
    return programs


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Start the machine's own Chromium once for all tests."""
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        _missing("Chromium is not installed")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=executable, headless=True, args=list(CHROMIUM_FLAGS)
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    """Open an empty page of 1440 x 900; whatever it logs as an error fails the test.

    So does a request that leaves this machine.
    """
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, accept_downloads=True, locale="en-GB"
    )
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(f"page error: {error}"))
    opened.on(
        "console",
        lambda said: (
            faults.append(f"console: {said.text} ({said.location.get('url')})")
            if said.type == "error"
            else None
        ),
    )
    opened.on(
        "request",
        lambda asked: None if _is_local(asked.url) else faults.append(f"request to {asked.url}"),
    )
    yield opened
    context.close()
    assert not faults, "\n".join(faults)


def _is_local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"data", "blob", "about"} or parts.hostname in {"127.0.0.1", "localhost"}


def _inside(folder: Path, name: str) -> Path:
    found = folder / name
    if not found.is_dir():
        _missing(f"{found} is not there")
    return found


def _missing(reason: str) -> NoReturn:
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"CI must have everything: {reason}", pytrace=False)
    pytest.skip(reason)
