"""The page Label: what is open, picked and done there, and how it reaches the server."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.canvas import documents, harness, planted
from tests.canvas.planted import DATASET
from tests.canvas.scene import click_at, state
from tests.canvas.sheets import Sheets

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

Start = Callable[..., Sheets]
FIRST = Sheets.key(0)


@pytest.fixture
def start(page: Page, site: harness.Site) -> Iterator[Start]:
    """Give a function that opens the page Label over a made-up dataset."""

    def show(address: str = "", at: int | None = 0, **options: Any) -> Sheets:
        made = Sheets(site, **options)
        image = "" if at is None else f"&image={Sheets.key(at)}"
        where = f"?tab=label&source=dataset&dataset={DATASET}{image}{address}"
        page.goto(site.put_page(planted.value(), threshold=0) + where)
        if at is not None:
            page.wait_for_function("window.studio?.state().ready")
        return made

    yield show
    page.goto("about:blank")  # before the server goes


def label(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = state(page)["label"]
    return found


def saved(page: Page) -> None:
    """Wait until the server has everything."""
    page.wait_for_function("studio.state().label.saved")


def until(page: Page, condition: str) -> None:
    page.wait_for_function(
        f"(() => {{ const s = studio.state(); const l = s.label; return {condition} }})()"
    )


def test_the_page_opens_the_labels_and_keeps_the_image_between_the_pages(
    page: Page, start: Start
) -> None:
    start()
    assert set(label(page)["states"]) == {"m0", "m1", "m2", "m3"}
    assert label(page)["project"] == DATASET
    page.evaluate("dispatchEvent(new CustomEvent('studio-page', {detail: 'browse'}))")
    until(page, "s.ready && s.shown.includes('p1')")
    assert state(page)["document"] == FIRST
    page.evaluate("dispatchEvent(new CustomEvent('studio-page', {detail: 'label'}))")
    until(page, "s.ready && s.shown.includes('m1')")
    assert state(page)["document"] == FIRST


def test_accepting_goes_on_and_reaches_the_server(page: Page, start: Start) -> None:
    made = start()
    click_at(page, "m0")
    page.keyboard.press("a")
    assert label(page)["states"]["m0"] == "accepted"
    until(page, "l.picked === 'm1'")
    saved(page)
    assert made.states(FIRST) == {
        "m0": "accepted",
        "m1": "proposed",
        "m2": "proposed",
        "m3": "proposed",
    }
    ((key, said),) = made.sent
    assert (key, said["kind"], said["revision"], said["drop"], said["state"]) == (
        FIRST,
        "accept",
        0,
        [],
        None,
    )
    assert said["actions"] >= 1
