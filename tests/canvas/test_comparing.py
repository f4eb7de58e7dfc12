"""Truth against prediction on the canvas: panels, colours, numbers, without a request."""

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.canvas import documents, harness, planted
from tests.canvas.conftest import Opener, wait
from tests.canvas.scene import click_at, set_slider, state

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

PIXEL = """([x, y]) => {
  const [, masks] = document.querySelectorAll(".cs-view canvas");
  const dpr = masks.width / masks.clientWidth;
  const place = [Math.round(x * dpr), Math.round(y * dpr)];
  return [...masks.getContext("2d").getImageData(...place, 1, 1).data];
}"""
BLUE, RED, YELLOW = [86, 180, 233], [213, 94, 0], [240, 228, 66]


def at(page: Page, x: float, y: float, pane: int = 0) -> list[int]:
    """Read the colour of the masks over a point of the image, in one of the panes."""
    now = state(page)
    (left, top), shift = now["pan"], now["panes"][pane]["shift"]
    place = [x * now["zoom"] + left + shift, y * now["zoom"] + top]
    found: list[int] = page.evaluate(PIXEL, place)
    return found


def near(colour: list[int], other: list[int]) -> bool:
    return colour[3] > 0 and max(abs(a - b) for a, b in zip(colour, other, strict=False)) <= 3


def only_masks(page: Page) -> None:
    for name in ("outline", "boxes", "labels", "scores"):
        switch = page.get_by_test_id(f"switch-{name}")
        if switch.is_checked():
            switch.locator("xpath=..").click()
    wait(page)


def test_the_numbers_of_the_image_follow_both_sliders_without_a_request(
    opened: Opener, site: harness.Site
) -> None:
    page = opened(planted.scene())
    before = len(site.asked)
    expect(page.get_by_test_id("image-precision")).to_have_text("0.67")
    assert [state(page)["totals"][name] for name in ("tp", "fp", "fn")] == [2, 1, 1]
    set_slider(page, "iou", 0.81)  # the nearer one has 0.8
    assert [state(page)["totals"][name] for name in ("tp", "fp", "fn")] == [1, 2, 2]
    expect(page.get_by_test_id("count-fn")).to_have_text("2")
    set_slider(page, "threshold", 0.85)
    assert [state(page)["totals"][name] for name in ("tp", "fp", "fn")] == [0, 1, 3]
    set_slider(page, "iou", 0.8)
    expect(page.get_by_test_id("image-f1")).to_have_text("0.50")  # 2 of 1 + 3
    page.get_by_test_id("kind-box").click()
    assert state(page)["kind"] == "box"
    assert site.asked[before:] == []


def test_verdicts_are_coloured_and_a_missed_object_is_on_the_prediction_too(
    opened: Opener,
) -> None:
    page = opened(planted.scene())
    only_masks(page)
    page.get_by_test_id("panel-prediction").click()
    wait(page)
    assert state(page)["shown"] == ["p1", "p2", "p3"]
    page.get_by_test_id("colour-verdict").click()
    wait(page)
    assert state(page)["shown"] == ["p1", "p2", "p3", "t2"]
    assert near(at(page, 25, 20), BLUE)
    assert near(at(page, 70, 98), RED)
    hatched = [at(page, x, 82.5) for x in np.arange(22, 43, 0.5)]
    assert any(near(colour, YELLOW) for colour in hatched)
    assert any(colour[3] == 0 for colour in hatched)  # hatched, not filled
    page.get_by_test_id("panel-truth").click()
    wait(page)
    assert state(page)["shown"] == ["t1", "t2", "t3"]


def test_every_panel_names_what_it_shows(opened: Opener) -> None:
    page = opened(planted.scene())
    named = {
        "truth": ["Truth"],
        "prediction": ["Prediction"],
        "both": ["Truth and prediction"],
        "swipe": ["Truth", "Prediction"],
        "side": ["Truth", "Prediction"],
    }
    for panel, names in named.items():
        page.get_by_test_id(f"panel-{panel}").click()
        expect(page.locator(".cs-pane")).to_have_text(names)
        page.keyboard.press("0")
        for _ in range(9):
            page.keyboard.press("+")
        for name in page.locator(".cs-pane").all():
            expect(name).to_be_in_viewport()


def test_side_by_side_shows_the_same_place_in_both_to_the_pixel(opened: Opener) -> None:
    page = opened(planted.scene())
    only_masks(page)
    page.get_by_test_id("panel-side").click()
    wait(page)
    view = page.get_by_test_id("canvas").bounding_box()
    assert view is not None
    page.mouse.move(view["x"] + 100, view["y"] + 300)
    for _ in range(6):
        page.mouse.wheel(0, -250)
    wait(page)
    page.mouse.down()
    page.mouse.move(view["x"] + 160, view["y"] + 330, steps=4)
    page.mouse.up()
    wait(page)
    now = state(page)
    assert now["zoom"] > 7
    half = now["panes"][1]["shift"]
    assert half == now["panes"][0]["width"]
    # the disc is in both layers, so its edge must lie at the same place in both panes
    edges = """([top, height, half]) => {
      const masks = document.querySelectorAll(".cs-view canvas")[1];
      const read = (left) => {
        const { data } = masks.getContext("2d").getImageData(left, top, half, height);
        const rows = [];
        for (let y = 0; y < height; y += 40) {
          let first = -1;
          for (let x = 0; x < half && first < 0; x++) if (data[4 * (y * half + x) + 3]) first = x;
          rows.push(first);
        }
        return rows;
      };
      return [read(0), read(half)];
    }"""
    page.get_by_test_id("switch-fill").locator("xpath=..").click()
    page.get_by_test_id("switch-outline").locator("xpath=..").click()
    page.get_by_test_id("class-only").nth(1).click(force=True)  # the nucleus alone
    page.keyboard.press("0")
    wait(page)
    left, right = page.evaluate(edges, [0, int(view["height"]) - 2, half])
    both = [(a, b) for a, b in zip(left, right, strict=True) if a >= 0 or b >= 0]
    assert len(both) >= 3
    assert all(abs(a - b) <= 1 for a, b in both)


def test_a_click_on_either_side_picks_what_is_there(opened: Opener) -> None:
    page = opened(planted.scene())
    page.get_by_test_id("panel-side").click()
    wait(page)
    for wanted in ("t2", "p3", "t1", "p1"):
        click_at(page, wanted)
        assert state(page)["selected"] == wanted


def test_the_swipe_line_divides_truth_from_prediction(opened: Opener) -> None:
    page = opened(planted.scene())
    only_masks(page)
    page.get_by_test_id("panel-swipe").click()
    wait(page)
    line = page.get_by_test_id("swipe")
    box, view = line.bounding_box(), page.get_by_test_id("view").bounding_box()
    assert box is not None
    assert view is not None
    assert box["x"] + 14 == pytest.approx(view["x"] + view["width"] / 2, abs=1)

    def drag(share: float) -> None:
        here = line.bounding_box()
        assert here is not None
        page.mouse.move(here["x"] + (6 if share < 0.5 else 14), view["y"] + 200)
        page.mouse.down()
        page.mouse.move(view["x"] + share * view["width"], view["y"] + 200, steps=3)
        page.mouse.up()
        wait(page)

    drag(1.0)
    assert at(page, 70, 98)[3] == 0  # the wrong one is no truth
    drag(0.0)
    assert at(page, 70, 98)[3] > 0
    assert at(page, 30, 80)[3] == 0  # what was missed is no prediction
    line.focus()
    page.keyboard.press("ArrowRight")
    assert state(page)["swipe"] == 0.02


def test_blink_turns_by_itself_and_by_hand(opened: Opener) -> None:
    page = opened(planted.scene())
    page.get_by_test_id("panel-blink").click()
    expect(page.get_by_test_id("pane-truth")).to_be_visible()
    expect(page.get_by_test_id("pane-prediction")).to_be_visible()
    page.keyboard.press("x")
    names = page.locator(".cs-pane")
    before = names.text_content()
    page.wait_for_timeout(1800)
    assert names.text_content() == before  # by hand: the clock stands
    page.keyboard.press("x")
    assert names.text_content() != before


def test_keys_go_through_panels_colours_and_lines(opened: Opener) -> None:
    page = opened(planted.scene())
    seen = []
    for _ in range(6):
        page.keyboard.press("v")
        seen.append(state(page)["panel"])
    assert seen == ["swipe", "blink", "side", "truth", "prediction", "both"]
    page.keyboard.press("Shift+V")
    assert state(page)["panel"] == "prediction"
    page.keyboard.press("c")
    page.keyboard.press("}")
    page.keyboard.press("i")
    now = state(page)
    assert (now["colouring"], now["iou"], now["kind"]) == ("verdict", 0.55, "box")


def test_without_truth_there_is_nothing_to_compare(opened: Opener) -> None:
    page = opened(documents.crowd(5, (60, 80)))
    for name in ("compare-bar", "match-section", "numbers"):
        expect(page.get_by_test_id(name)).to_be_hidden()
    expect(page.locator(".cs-pane")).to_have_text(["Prediction"])
    page.keyboard.press("v")
    page.keyboard.press("c")
    now = state(page)
    assert (now["panel"], now["colouring"]) == ("prediction", "instance")


def test_the_inspector_draws_where_a_score_comes_from_and_how_well_the_mask_fits(
    opened: Opener,
) -> None:
    page = opened(planted.scene())
    click_at(page, "p1")
    expect(page.get_by_test_id("picked-score")).to_have_text("1.05")
    expect(page.get_by_test_id("bars-score")).to_contain_text("0.3 × mask IoU")
    expect(page.get_by_test_id("bars-fit")).to_contain_text("Predicted IoU0.50True IoU0.80")
    expect(page.get_by_test_id("picked-levels")).to_have_text("P2 → P3")
    expect(page.get_by_test_id("picked-verdict")).to_contain_text("TP IoU 0.80")
    page.get_by_test_id("picked-partner").click()
    assert state(page)["selected"] == "t1"
    click_at(page, "p3")
    expect(page.get_by_test_id("picked-verdict")).to_contain_text("nothing there")


def test_verdicts_of_three_hundred_follow_the_slider_without_a_request(
    opened: Opener, site: harness.Site
) -> None:
    made = documents.shifted(documents.crowd(300, (520, 696)))
    surer = sum((one["class_score"] or 0) > 0.5 for one in made["instances"])
    page = opened(made)
    page.get_by_test_id("colour-verdict").click()
    before = len(site.asked)
    right = []
    for hundredths in range(50, 90, 5):
        set_slider(page, "iou", hundredths / 100)
        now = state(page)
        verdicts = [one["verdict"] for one in now["verdicts"].values()]
        tp, fp, fn = (now["totals"][name] for name in ("tp", "fp", "fn"))
        assert (tp + fp, tp + fn) == (surer, 240)  # each fifth of the 300 has no truth
        assert [verdicts.count(name) for name in ("tp", "fp", "fn")] == [2 * tp, fp, fn]
        assert len([one for one in now["shown"] if one.startswith("t")]) == 240
        right.append(tp)
    assert right == sorted(right, reverse=True)
    assert right[0] > right[-1]
    assert site.asked[before:] == []
