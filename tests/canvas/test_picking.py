"""Zoom, pan, hover, click, and the list in step."""

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.canvas import documents
from tests.canvas.conftest import Opener, wait
from tests.canvas.scene import (
    INNER,
    a_document,
    click_at,
    state,
)

pytestmark = pytest.mark.browser


def test_the_wheel_zooms_at_the_pointer(opened: Opener) -> None:
    page = opened(a_document())
    at = page.evaluate("studio.point('p3')")
    page.mouse.move(at["x"], at["y"])
    before = state(page)["zoom"]
    page.mouse.wheel(0, -240)
    page.wait_for_function("zoom => studio.state().zoom > zoom && studio.state().ready", arg=before)
    page.mouse.click(at["x"], at["y"])
    assert state(page)["selected"] == "p3"  # still under the pointer
    assert state(page)["zoom"] == pytest.approx(before * np.exp(240 * 0.0018))


def test_a_drag_pans_and_picks_nothing(opened: Opener) -> None:
    page = opened(a_document())
    x, y = state(page)["pan"]
    at = page.evaluate("studio.point('p3')")
    page.mouse.move(at["x"], at["y"])
    page.mouse.down()
    page.mouse.move(at["x"] - 30, at["y"] + 50, steps=4)
    page.mouse.up()
    assert state(page)["pan"] == [x - 30, y + 50]
    assert state(page)["selected"] is None


def test_keys_and_buttons_zoom_pan_and_fit(opened: Opener) -> None:
    page = opened(a_document())
    fitted = state(page)["zoom"]
    page.keyboard.press("+")
    assert state(page)["zoom"] == pytest.approx(fitted * 1.25)
    page.keyboard.press("-")
    page.get_by_test_id("zoom-actual").click()
    assert state(page)["zoom"] == 1
    expect(page.get_by_test_id("zoom-value")).to_have_text("100 %")
    x, y = state(page)["pan"]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert state(page)["pan"] == [x + 80, y + 80]
    page.keyboard.press("0")
    assert state(page)["zoom"] == fitted


def test_the_smallest_is_picked_first_and_clicking_again_goes_on(opened: Opener) -> None:
    page = opened(a_document(), threshold=0)
    seen = []
    for _ in range(4):
        click_at(page, "p2")  # the same point: all three lie there
        seen.append(state(page)["selected"])
    assert seen == ["p2", "p4", "p1", "p2"]
    page.keyboard.press("Escape")
    assert state(page)["selected"] is None


def test_a_click_beside_everything_drops_the_pick(opened: Opener) -> None:
    page = opened(a_document())
    at = page.evaluate("studio.point('p3')")
    page.mouse.move(at["x"], at["y"])
    page.mouse.down()
    page.mouse.move(at["x"] + 2, at["y"] + 1)  # no hand is quite still
    page.mouse.up()
    assert state(page)["selected"] == "p3"
    view = page.get_by_test_id("view").bounding_box()
    assert view is not None
    page.mouse.click(view["x"] + 30, view["y"] + view["height"] - 30)
    assert state(page)["selected"] is None


def test_hidden_instances_cannot_be_picked(opened: Opener) -> None:
    page = opened(a_document(), threshold=0.7)  # p4 is hidden
    picked = set()
    for _ in range(3):
        click_at(page, "p2")
        picked.add(state(page)["selected"])
    assert picked == {"p2", "p1"}


def test_hovering_explains(opened: Opener) -> None:
    page = opened(a_document())
    at = page.evaluate("studio.point('p2')")
    page.mouse.move(at["x"], at["y"])
    tooltip = page.get_by_test_id("tooltip")
    area = int(INNER.sum())
    expect(tooltip).to_be_visible()
    for text in (
        "nucleus",
        "Class score0.80",
        "Mask IoU0.50",
        "Ranking score0.95",
        f"Area{area} px",
    ):
        expect(tooltip).to_contain_text(text)
    expect(tooltip).to_contain_text("Box88, 63 – 113, 88")
    assert state(page)["hovered"] == "p2"
    page.mouse.move(5, 5)
    expect(tooltip).to_be_hidden()


def test_a_click_on_the_canvas_selects_the_row_and_one_on_the_row_centres(opened: Opener) -> None:
    document = documents.crowd(300, (1000, 1400))
    page = opened(document, threshold=0)
    selected = page.locator("[data-testid=instance-row][aria-selected=true]")
    click_at(page, "p250")
    expect(selected).to_have_attribute("data-id", "p250")
    expect(selected).to_be_in_viewport()
    expect(page.get_by_test_id("picked-name")).to_be_visible()
    for _ in range(8):
        page.keyboard.press("+")
    page.get_by_test_id("instances").evaluate("list => { list.scrollTop = 0 }")
    page.locator("[data-id=p2]").click()
    wait(page)
    x, y, width, height = document["instances"][1]["bbox"]
    zoom, (left, top), size = (state(page)[name] for name in ("zoom", "pan", "size"))
    assert left + (x + width / 2) * zoom == pytest.approx(size[0] / 2, abs=1)
    assert top + (y + height / 2) * zoom == pytest.approx(size[1] / 2, abs=1)


def test_the_list_holds_only_the_rows_in_sight(opened: Opener) -> None:
    page = opened(documents.crowd(600, (400, 600)), threshold=0)
    rows = page.get_by_test_id("instance-row")
    assert rows.count() < 50
    page.get_by_test_id("instances").evaluate("list => { list.scrollTop = list.scrollHeight }")
    expect(page.locator("[data-id=p600]")).to_be_visible()
    assert rows.count() < 50


def test_the_list_is_walked_by_keys_and_sorted(opened: Opener) -> None:
    page = opened(a_document(), threshold=0)
    page.get_by_test_id("instances").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert state(page)["selected"] == "p2"
    page.keyboard.press("n")
    assert state(page)["selected"] == "p3"
    page.get_by_test_id("sort").select_option("small")
    page.get_by_test_id("instances").focus()
    page.keyboard.press("Home")
    assert state(page)["selected"] == "p2"  # 441 px, the smallest
