"""Whatever is open and however it is looked at: its address opens it again in a fresh browser."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.folders import IMAGES, folder_of_blobs, run_over_all
from tests.browser.served import PATIENCE, Site, state, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*(no_silent_downcasting|copy keyword)"),  # gradio of pandas
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

DATASET = "open the dataset and run over it"
# what is done to the page, one after the other: (name, JavaScript or a test id to click)
STEPS = (
    ("samples", ""),
    (
        "another sample",
        "document.querySelectorAll('[data-testid=images] [role=option]')[1].click()",
    ),
    ("a score", "slide('threshold', 0.2)"),
    ("fewer things drawn", "press('switch-boxes'); press('switch-labels')"),
    ("no truth", "press('layer-truth')"),
    ("an opacity", "slide('opacity', 80)"),
    ("a dataset", DATASET),
    ("sorted", "choose('grid-sort', 'errors')"),
    ("filtered by name", "slide('filter-name', '.png')"),
    ("filtered by class", "choose('filter-category', '7')"),
    ("filtered by score", "choose('filter-score-low', '0.3')"),
    ("metrics", "press('tab-metrics')"),
    ("boxes", "press('kind-box'); slide('iou', 0.7)"),
    ("a comparison", "press('tab-compare')"),
    ("the report", "press('page-report')"),
    ("back to the grid", "press('page-browse'); press('tab-grid'); press('filter-clear')"),
    ("an image", "document.querySelector('[data-testid=tile][data-at=\"3\"]').click()"),
    ("an instance", "key('n'); key('n')"),
    ("side by side", "press('panel-side'); press('colour-verdict')"),
    ("swiped", "press('panel-swipe')"),
    ("zoomed", "press('zoom-in'); press('zoom-in'); press('zoom-in')"),
    ("a film, stopped at a stage", "key('r'); slide('film-scrub', 400)"),
    ("no film", "key('Escape')"),
    ("a class off", "document.querySelector('[data-testid=classes] input').click()"),
    ("the page Label", "press('page-label')"),
)
HANDS = """
const find = (name) => document.querySelector(`[data-testid=${name}]`);
window.press = (name) => find(name).click();
window.enter = (name, value, kind) => {
  find(name).value = value;
  find(name).dispatchEvent(new Event(kind));
};
window.slide = (name, value) => enter(name, value, 'input');
window.choose = (name, value) => enter(name, value, 'change');
window.key = (key) => {
  find('canvas').dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
};
"""
TRIES = 5  # each with more patience: a busy machine may still draw when nothing has moved
# what depends on the way that led there, on who looks, or on the clock
PASSING = ("paint", "hovered", "url", "size", "loading", "pending", "error", "label")


def test_every_state_has_an_address_that_opens_it_again(
    site: Site, page: Page, browser: Browser, tmp_path: Path
) -> None:
    folder = folder_of_blobs(tmp_path / "dataset")
    page.goto(site.address)
    until(page, "s.total > 0")
    page.evaluate(HANDS)
    for name, step in STEPS:
        if step == DATASET:
            page.locator("#source").get_by_text("Dataset").click()
            page.get_by_test_id("folder").fill(str(folder))
            page.get_by_test_id("folder-open").click()
            expect(page.get_by_test_id("tile")).to_have_count(IMAGES, timeout=PATIENCE)
            run_over_all(page)
        elif step:
            page.evaluate(step)
        for looks in range(1, TRIES + 1):
            before, seen = settled(page, looks)
            after, there = opened_again(page, browser, before, looks)
            if after == before and unlike(seen, there) <= 0.001:
                break
        assert after == before, name
        assert unlike(seen, there) <= 0.001, name


def opened_again(
    page: Page, browser: Browser, told: dict[str, Any], looks: int
) -> tuple[dict[str, Any], bytes]:
    """Open the page's address in a fresh browser; what is there then, and its picture."""
    fresh = browser.new_context(viewport=page.viewport_size)
    again = fresh.new_page()
    again.goto(page.url)
    expect(again.get_by_test_id("studio")).to_be_visible(timeout=PATIENCE)
    again.wait_for_function(
        "told => window.studio?.state().front === told.front"
        " && window.studio.state().document === told.document",
        arg={"front": told["front"], "document": told["document"]},
        timeout=PATIENCE,
    )
    found = settled(again, looks)
    fresh.close()
    return found


def settled(page: Page, looks: int) -> tuple[dict[str, Any], bytes]:
    """Wait until the page has not changed for that many looks; its state and its picture."""
    page.mouse.move(1, 1)
    page.evaluate("document.activeElement?.blur()")
    last, same = b"", 0
    for _ in range(100):
        page.wait_for_timeout(150)
        now = page.screenshot(animations="disabled", caret="hide")
        same = same + 1 if now == last else 0
        last = now
        if same >= looks:
            break
    told = {name: value for name, value in state(page).items() if name not in PASSING}
    if told["front"] != "viewer":
        for name in ("zoom", "pan", "panes"):  # of a picture that is not to be seen
            del told[name]
    told["place"] = {name: value for name, value in told["place"].items() if value is not None}
    return told, last


def unlike(first: bytes, second: bytes) -> float:
    """Compare two pictures: the share of pixels that differ."""
    one, other = (
        cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        for picture in (first, second)
    )
    assert one.shape == other.shape
    return float((one != other).any(axis=2).mean())
