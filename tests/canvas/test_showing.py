"""What is shown and drawn: score, classes, layers, switches, pixels."""

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.canvas import documents, harness
from tests.canvas.conftest import Opener, wait
from tests.canvas.scene import (
    INNER,
    LONE,
    MIDDLE,
    OUTER,
    SIZE,
    a_document,
    set_slider,
    state,
    with_truth,
)

pytestmark = pytest.mark.browser


def test_the_slider_shows_what_scores_above_it(opened: Opener) -> None:
    page = opened(a_document())
    for threshold, count in ((0, 4), (0.29, 4), (0.3, 3), (0.31, 3), (0.6, 2), (0.8, 1), (0.9, 0)):
        set_slider(page, "threshold", threshold)
        assert state(page)["shown"] == ["p1", "p2", "p3", "p4"][:count]
        assert state(page)["hidden"] == 4 - count
        expect(page.get_by_test_id("shown-count")).to_have_text(f"shown {count} of 4")
        expect(page.get_by_test_id("instance-row")).to_have_count(count)


def test_moving_sliders_and_switches_asks_the_server_for_nothing(
    opened: Opener, site: harness.Site
) -> None:
    page = opened(with_truth())
    before = len(site.asked)
    for value in (0, 0.2, 0.5, 0.95):
        set_slider(page, "threshold", value)
    set_slider(page, "opacity", 80)
    for name in ("fill", "outline", "boxes", "labels", "scores"):
        page.get_by_test_id(f"switch-{name}").click()
    page.get_by_test_id("layer-truth").click()
    page.get_by_test_id("class").first.click()
    wait(page)
    assert len(site.asked) == before
    assert state(page)["switches"] == dict.fromkeys(state(page)["switches"], False)
    assert state(page)["opacity"] == 0.8


def test_the_slider_starts_where_python_says_and_reset_goes_back(opened: Opener) -> None:
    page = opened(a_document(), threshold=0.7)
    assert state(page)["shown"] == ["p1", "p2"]
    set_slider(page, "threshold", 0.1)
    page.get_by_test_id("threshold-reset").click()
    assert state(page)["threshold"] == 0.7
    expect(page.get_by_test_id("threshold-value")).to_have_text("0.70")


def test_classes_are_filtered_one_by_one_all_none_and_only(opened: Opener) -> None:
    page = opened(a_document(), threshold=0)
    page.get_by_role("checkbox", name="nucleus").click()
    assert state(page)["shown"] == ["p1", "p3"]
    assert state(page)["classes"] == ["cell"]
    page.get_by_test_id("classes-none").click()
    assert state(page)["shown"] == []
    expect(page.get_by_test_id("instances-note")).to_contain_text("Nothing passes the filters")
    page.get_by_test_id("classes-all").click()
    assert len(state(page)["shown"]) == 4
    page.get_by_test_id("class-only").nth(1).dispatch_event("click")
    assert state(page)["shown"] == ["p2", "p4"]


def test_filters_outlast_a_change_of_image(opened: Opener, site: harness.Site) -> None:
    page = opened(a_document())
    set_slider(page, "threshold", 0.7)
    page.get_by_role("checkbox", name="nucleus").click()
    address = site.put_document(a_document("b"))
    page.evaluate("url => give({url})", address)
    page.wait_for_function("studio.state().ready && studio.state().document === 'b'")
    assert (state(page)["threshold"], state(page)["shown"]) == (0.7, ["p1"])


def test_layers_switch_and_truth_is_never_filtered_by_score(opened: Opener) -> None:
    page = opened(with_truth(), threshold=0.95)
    assert state(page)["shown"] == ["t1"]
    page.keyboard.press("t")
    assert state(page)["shown"] == []
    page.keyboard.press("t")
    page.get_by_test_id("layer-prediction").click()
    set_slider(page, "threshold", 0)
    assert state(page)["shown"] == ["t1"]


def test_a_layer_that_is_not_there_cannot_be_switched(opened: Opener) -> None:
    page = opened(a_document())
    expect(page.get_by_test_id("layer-truth")).to_be_disabled()
    expect(page.get_by_test_id("layer-truth-count")).to_have_text("none")


def test_boxes_and_labels_start_switched_off_where_they_would_hide_the_image(
    opened: Opener,
) -> None:
    page = opened(documents.crowd(80, (200, 300)), threshold=0)
    assert [name for name, on in state(page)["switches"].items() if on] == ["fill", "outline"]
    page.keyboard.press("b")
    assert state(page)["switches"]["boxes"] is True


def test_every_mask_is_the_documents(opened: Opener) -> None:
    document = documents.crowd(60, SIZE)
    page = opened(document, threshold=0)
    for one in document["instances"]:
        drawn = page.evaluate("id => studio.mask(id)", one["id"])
        assert drawn == {**one["rle"], "area": one["area"], "bbox": one["bbox"]}


def test_the_canvas_holds_exactly_the_masks_pixels(opened: Opener) -> None:
    page = opened(a_document(), threshold=0)
    page.get_by_test_id("switch-outline").click()
    page.keyboard.press("1")  # one screen pixel for each image pixel
    wait(page)
    left, top = state(page)["pan"]
    read = """([x, y, w, h]) => Array.from(document.querySelector('[data-layer=masks]')
      .getContext('2d').getImageData(x, y, w, h).data)"""
    flat = page.evaluate(read, [left, top, SIZE[1], SIZE[0]])
    pixels = np.array(flat, np.uint8).reshape(*SIZE, 4)
    np.testing.assert_array_equal(pixels[..., 3] > 0, OUTER | MIDDLE | INNER | LONE)
    # the smaller on top: p2 is sky blue, p4 (the fourth hue) reddish purple, p1 orange
    for x, y, colour in (
        (100, 75, [86, 180, 233]),
        (75, 55, [204, 121, 167]),
        (45, 35, [230, 159, 0]),
    ):
        assert np.abs(pixels[y, x, :3].astype(int) - colour).max() <= 2  # premultiplied by 0.45


def test_hold_h_hides_everything_but_the_photograph(opened: Opener) -> None:
    page = opened(a_document())
    page.keyboard.down("h")
    wait(page)
    empty = """document.querySelector('[data-layer=masks]').getContext('2d')
      .getImageData(0, 0, 900, 800).data.every((value) => value === 0)"""
    assert state(page)["hiddenAll"] is True
    assert page.evaluate(empty) is True
    page.keyboard.up("h")
    wait(page)
    assert state(page)["hiddenAll"] is False
    assert page.evaluate(empty) is False
