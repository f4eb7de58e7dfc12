"""The dialogs on the page itself: each has its button, and the keyboard comes back afterwards."""

import pytest
from playwright.sync_api import Page, expect

from tests.canvas import label_dialogs
from tests.canvas.conftest import Labelled
from tests.canvas.harness import Site

pytestmark = pytest.mark.browser

ROOMS = {
    "label-prelabel": "prelabel",
    "label-piles": "piles",
    "label-export": "export",
    "label-import": "import",
    "label-ledger": "ledger",
}


def plant(site: Site) -> None:
    """Serve what the page's own routes leave out; they take a ledger for an image."""
    made = label_dialogs.Planted(site)
    site.routes.insert(0, (r"GET /api/labels/ledger", lambda _: (200, made.effort())))


def test_every_dialog_opens_by_its_button_and_closes_by_key(page: Page, labelled: Labelled) -> None:
    made = labelled()
    plant(made.site)
    for button, room in ROOMS.items():
        page.get_by_test_id(button).click()
        expect(page.get_by_test_id(room)).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_test_id("label-dialog")).to_be_hidden()
        expect(page.get_by_test_id("canvas")).to_be_focused()


def test_a_dialogs_choices_can_be_clicked_and_tabbed_to(page: Page, labelled: Labelled) -> None:
    made = labelled()
    plant(made.site)
    page.get_by_test_id("label-export").click()
    expect(page.get_by_test_id("export-format-coco")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_test_id("export-format-results")).to_be_checked()
    page.get_by_test_id("export-format-labelme").click()
    expect(page.get_by_test_id("export-format-labelme")).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_test_id("export-include-kept")).to_be_focused()


@pytest.mark.parametrize("width", [900, 1440])
def test_no_dialog_scrolls_the_page_or_sideways(page: Page, labelled: Labelled, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 640})
    made = labelled()
    plant(made.site)
    for button in ROOMS:
        if not page.get_by_test_id(button).is_visible():
            page.get_by_test_id("fold-left").click()
        page.get_by_test_id(button).click()
        expect(page.get_by_test_id("label-dialog")).to_be_visible()
        spare = page.evaluate(
            """() => {
              const dialog = document.querySelector("[data-testid=label-dialog]");
              const { scrollHeight, scrollWidth } = document.documentElement;
              return [scrollHeight - innerHeight, scrollWidth - innerWidth,
                dialog.scrollWidth - dialog.clientWidth];
            }"""
        )
        assert spare == [0, 0, 0]
        page.keyboard.press("Escape")
