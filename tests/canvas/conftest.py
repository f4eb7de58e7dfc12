"""A small server with the drawing surface on it, and pages that show a document."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from app.canvas import payload
from tests.canvas import harness, planted
from tests.canvas.sheets import Sheets

Opener = Callable[..., Page]
Labelled = Callable[..., Sheets]

expect.set_options(timeout=60_000)  # a busy machine is not a fault


@pytest.fixture
def site(browser: Browser) -> Iterator[harness.Site]:
    with harness.serve() as served:
        yield served
        pages = [page for context in browser.contexts for page in context.pages]
        for page in pages:  # what they still ask for would fail once the server is gone
            if page.url.startswith(served.address):
                page.goto("about:blank")


@pytest.fixture
def opened(page: Page, site: harness.Site) -> Opener:
    """Give a function that shows a document and waits until it is drawn."""

    def show(
        document: payload.Document, value: dict[str, Any] | None = None, **options: Any
    ) -> Page:
        address = site.put_document(document)
        page.goto(site.put_page({"url": address, **(value or {})}, **options))
        wait(page)
        return page

    return show


@pytest.fixture
def labelled(page: Page, site: harness.Site) -> Labelled:
    """Give a function that opens the page Label over a made-up dataset."""

    def show(
        address: str = "", at: int | None = 0, on: Page | None = None, **options: Any
    ) -> Sheets:
        made = Sheets(site, **options)
        shown = on or page
        shown.goto(site.put_page(planted.value(), threshold=0) + made.address(at) + address)
        shown.wait_for_function("window.studio?.state().ready")
        return made

    return show


@pytest.fixture
def rough_page(browser: Browser) -> Iterator[Page]:
    """Open a page whose failed requests are wanted: errors in its console are fine."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def scripts(browser: Browser) -> Iterator[Page]:
    """Open a page with the surface's scripts and nothing else, for its pure functions."""
    with harness.serve() as served:
        page = browser.new_page()
        page.goto(served.put_page(None))
        page.wait_for_function("Boolean(window.studio)")
        yield page
        page.close()


def wait(page: Page) -> None:
    """Wait until all that is open is on the screen."""
    page.wait_for_function("window.studio?.state().ready")
