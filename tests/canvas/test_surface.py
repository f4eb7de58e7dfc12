"""The drawing surface in a browser: what is shown, picked, filtered, and what goes wrong."""

import json
import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from app.canvas import payload
from comask.annotation.records import Category
from tests.canvas import documents, harness
from tests.canvas.conftest import Opener, wait

pytestmark = pytest.mark.browser

SIZE = (200, 300)
OUTER = documents.rectangle(SIZE, 40, 30, 120, 100)
MIDDLE = documents.rectangle(SIZE, 70, 50, 60, 50)
INNER = documents.disc(SIZE, 100, 75, 12)
LONE = documents.disc(SIZE, 240, 150, 20)
SCORES = [0.9, 0.8, 0.6, 0.3]
MASKS = [OUTER, INNER, LONE, MIDDLE]  # p1 .. p4 in rank order


def a_document(key: str = "a", **layers: Any) -> payload.Document:
    found = documents.found(MASKS, SCORES, [0, 1, 0, 1])
    return payload.document(documents.image(key, SIZE), prediction=found, **layers)


def with_truth() -> payload.Document:
    return a_document(truth=documents.drawn([LONE]), truth_categories=[Category(1, "cell")])


def state(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("studio.state()")
    return found


def set_slider(page: Page, name: str, value: float) -> None:
    page.get_by_test_id(name).evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')) }",
        value,
    )
    wait(page)


def click_at(page: Page, identity: str) -> None:
    point = page.evaluate("id => studio.point(id)", identity)
    page.mouse.click(point["x"], point["y"])


# what is shown


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


# what is drawn


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


# zoom and pan


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


# picking


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
    click_at(page, "p3")
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


# what is open


def test_nothing_open_says_the_next_step(page: Page, site: harness.Site) -> None:
    page.goto(site.put_page(None, upload="files"))
    expect(page.get_by_test_id("empty")).to_contain_text("Choose images from your computer")
    page.get_by_test_id("open-sample").click()
    assert page.evaluate("sent") == [["open_sample", {}]]
    with page.expect_file_chooser():
        page.get_by_test_id("open-upload").click()


def test_an_image_of_the_list_opens_in_the_browser_and_python_hears(
    opened: Opener, site: harness.Site
) -> None:
    other = site.put_document(a_document("b"))
    images = [
        {
            "key": "a",
            "file_name": "a.png",
            "url": "/api/documents/a",
            "export": "/api/exports/a.json",
        },
        {"key": "b", "file_name": "b.png", "url": other, "export": "/api/exports/b.json?x=1"},
        {"key": "c", "file_name": "c.png", "url": None, "note": "waiting for the model"},
    ]
    page = opened(a_document(), {"images": images})
    expect(page.get_by_test_id("images-count")).to_have_text("1 of 3")
    page.keyboard.press("PageDown")
    page.wait_for_function("studio.state().ready && studio.state().document === 'b'")
    assert ["open_image", {"key": "b"}] in page.evaluate("sent")
    page.get_by_test_id("image").nth(2).dispatch_event("click")
    assert state(page)["document"] == "b"
    set_slider(page, "threshold", 0.25)
    link = page.get_by_test_id("download").get_attribute("href")
    assert link == f"{site.address}/api/exports/b.json?x=1&min_score=0.25"
    page.evaluate(
        "value => give(value)", {"url": "/api/documents/a", "images": images, "status": ["x"]}
    )
    assert state(page)["document"] == "b"  # Python said nothing new about what is open


def test_picking_tells_python(opened: Opener) -> None:
    page = opened(a_document())
    click_at(page, "p3")
    assert page.evaluate("sent.at(-1)") == ["select_instance", {"key": "a", "id": "p3"}]


def test_progress_comes_without_the_value(opened: Opener) -> None:
    page = opened(a_document())
    busy = {"text": "12 of 30 images", "done": 12, "total": 30}
    page.evaluate("p => give(p, 'progress')", {"status": ["tiny", "CPU"], "busy": busy})
    expect(page.get_by_test_id("busy")).to_contain_text("12 of 30 images")
    assert page.get_by_test_id("busy-progress").evaluate("bar => bar.value") == pytest.approx(0.4)
    expect(page.get_by_test_id("status-text")).to_have_text("tinyCPU")
    page.evaluate("give({status: [], busy: null}, 'progress')")
    expect(page.get_by_test_id("busy")).to_be_hidden()
    assert state(page)["document"] == "a"


def test_no_instances_is_an_ordinary_image(opened: Opener) -> None:
    nothing = payload.document(documents.image("a", SIZE), prediction=documents.found([], []))
    page = opened(nothing)
    expect(page.get_by_test_id("instances-note")).to_contain_text("found nothing")
    expect(page.get_by_test_id("shown-count")).to_have_text("shown 0 of 0")
    page.keyboard.press("n")
    page.keyboard.press("z")
    assert state(page)["selected"] is None


def test_one_unreadable_mask_leaves_the_others(opened: Opener) -> None:
    document = a_document()
    document["instances"][0]["rle"]["counts"] = "~~"
    page = opened(document)
    assert page.evaluate("studio.mask('p1').area") == 0
    page.locator("[data-id=p1]").click()
    expect(page.get_by_test_id("inspector")).to_contain_text("Its mask could not be read.")
    assert page.evaluate("studio.mask('p2').area") == int(INNER.sum())


FAULTS = {
    "gone": (404, b"", "is not on the server any more"),
    "broken": (500, b"", "the server answered 500"),
    "said": (
        422,
        b'{"detail": "This checkpoint cannot read the image."}',
        "This checkpoint cannot",
    ),
    "no json": (200, b"<html>", "is not JSON"),
    "other schema": (200, b'{"schema": 9}', "reads documents of schema 1 and got 9"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_says_what_happened_and_can_be_tried_again(
    rough_page: Page, site: harness.Site, fault: str
) -> None:
    status, body, sentence = FAULTS[fault]
    address = site.put_document(a_document())
    good = site.answers[address]
    site.answers[address] = (status, "application/json", body)
    rough_page.goto(site.put_page({"url": address}))
    expect(rough_page.get_by_test_id("error-text")).to_contain_text(sentence)
    site.answers[address] = good
    rough_page.get_by_test_id("retry").click()
    wait(rough_page)
    expect(rough_page.get_by_test_id("error")).to_be_hidden()


def test_a_photograph_that_fails_leaves_the_masks(rough_page: Page, site: harness.Site) -> None:
    address = site.put_document(a_document())
    site.answers["/api/images/a"] = (500, "text/plain", b"")
    rough_page.goto(site.put_page({"url": address}))
    expect(rough_page.get_by_test_id("error-text")).to_have_text(
        "The photograph could not be loaded."
    )
    assert state(rough_page)["shown"] == ["p1", "p2", "p3"]


def test_a_late_answer_never_replaces_a_newer_image(page: Page, site: harness.Site) -> None:
    slow, quick = site.put_document(a_document("a")), site.put_document(a_document("b"))
    held: list[Any] = []
    page.route(f"**{slow}", lambda route: held.append(route))
    page.goto(site.put_page({"url": slow}))
    page.wait_for_function("window.studio?.state().loading")
    page.evaluate("url => give({url})", quick)
    page.wait_for_function("studio.state().ready && studio.state().document === 'b'")
    for route in held:
        route.abort("aborted")
    assert (state(page)["document"], state(page)["error"]) == ("b", None)


# the page around it


def test_the_state_is_a_copy(opened: Opener) -> None:
    page = opened(a_document())
    page.evaluate("() => { const s = studio.state(); s.shown.push('x'); s.switches.fill = false }")
    assert state(page)["shown"] == ["p1", "p2", "p3"]
    assert state(page)["switches"]["fill"] is True
    assert page.evaluate("Object.isFrozen(studio)") is True


def test_names_are_text(opened: Opener) -> None:
    hostile = "<img src=x onerror=\"document.title='run'\"><b>x</b>"
    found = documents.found([LONE], [0.9], names=(hostile,))
    document = payload.document(documents.image("a", SIZE), prediction=found)
    document["image"]["file_name"] = hostile
    page = opened(
        document, {"images": [{"key": "a", "file_name": hostile, "url": "/api/documents/a"}]}
    )
    click_at(page, "p1")
    for name in ("title", "picked-name", "instance-row", "image", "tooltip"):
        expect(page.get_by_test_id(name).first).to_contain_text(hostile)
    assert page.locator("img[src=x], b").count() == 0
    assert page.title() == "canvas"


def test_the_page_never_scrolls_and_the_canvas_has_most_of_it(opened: Opener) -> None:
    page = opened(with_truth(), {"status": ["a checkpoint", "CPU"]})
    sizes = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    for width, height, least in (
        (1440, 900, 0.6),
        (1280, 720, 0.55),
        (900, 700, 0.95),
        (600, 800, 0.95),
    ):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function(f"{sizes}.join() === '{width},{height}'")
        page.wait_for_function(f"studio.state().size[0] >= {least * width}")


def test_below_a_thousand_pixels_the_rails_fold(opened: Opener, page: Page) -> None:
    page.set_viewport_size({"width": 900, "height": 700})
    opened(a_document())
    expect(page.get_by_test_id("threshold")).to_be_hidden()
    page.get_by_test_id("fold-left").click()
    expect(page.get_by_test_id("threshold")).to_be_visible()
    page.get_by_test_id("fold-right").click()
    expect(page.get_by_test_id("threshold")).to_be_hidden()
    page.get_by_test_id("instance-row").first.click()
    assert state(page)["selected"] == "p1"
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("instances")).to_be_hidden()
    assert state(page)["selected"] == "p1"


def test_it_is_light_or_dark_as_the_system_is(opened: Opener) -> None:
    page = opened(a_document())
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        expect(page.locator("[data-studio-root]")).to_have_attribute("data-theme", scheme)


def test_the_sheet_lists_the_keys(opened: Opener) -> None:
    page = opened(a_document())
    page.keyboard.press("?")
    expect(page.get_by_test_id("sheet")).to_be_visible()
    keys = page.get_by_test_id("keys").locator("kbd").all_inner_texts()
    assert {
        "+",
        "−",
        "0",
        "1",
        "H (hold)",
        "Esc",
        "M",
        "O",
        "B",
        "L",
        "S",
        "P",
        "T",
        "N",
        "?",
    } <= set(keys)
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("sheet")).to_be_hidden()


def test_controls_are_large_enough_and_have_names(opened: Opener) -> None:
    page = opened(
        with_truth(), {"images": [{"key": "a", "file_name": "a", "url": "/api/documents/a"}]}
    )
    small = """() => [...document.querySelectorAll(
        '.studio :is(button, select, a, label, [role=option], input[type=range])')]
      .filter((one) => one.checkVisibility() && !one.closest('h2'))
      .map((one) => [one.dataset.testid ?? one.textContent, one.getBoundingClientRect()])
      .filter(([, { width, height }]) => Math.min(width, height) < 24)
      .map(([name, { width, height }]) => `${name}: ${width} x ${height}`)"""
    assert page.evaluate(small) == []
    tree = page.locator("[data-studio-root]").aria_snapshot()
    nameless = re.findall(
        r"^\s*- (?:button|checkbox|slider|combobox|listbox|link)(?::|$| \[)", tree, re.M
    )
    assert nameless == []


def test_every_visible_control_is_reached_by_tab(opened: Opener) -> None:
    page = opened(with_truth())
    names = []
    for _ in range(40):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.dataset.testid ?? null"))
    wanted = {
        "threshold",
        "opacity",
        "switch-fill",
        "layer-truth",
        "class",
        "zoom-in",
        "canvas",
        "instances",
    }
    assert wanted <= set(names)


def test_letters_typed_into_a_field_are_no_commands(opened: Opener) -> None:
    names = [f"class {at}" for at in range(14)]
    found = documents.found([LONE] * 14, [0.9] * 14, list(range(14)), names)
    page = opened(payload.document(documents.image("a", SIZE), prediction=found))
    before = json.dumps(state(page)["switches"])
    page.get_by_test_id("classes-search").fill("class 1")
    page.get_by_test_id("classes-search").press("b")
    assert json.dumps(state(page)["switches"]) == before
    page.get_by_test_id("classes-search").fill("12")
    assert page.get_by_test_id("class").locator("visible=true").count() == 1


def test_a_document_fetched_again_keeps_the_view_the_photograph_and_the_pick(
    opened: Opener, site: harness.Site
) -> None:
    page = opened(a_document())
    click_at(page, "p3")
    page.keyboard.press("+")
    wait(page)
    before = state(page)
    pictures = site.asked.count("/api/images/a")
    site.put_document(with_truth())
    page.evaluate("give({url: '/api/documents/a', revision: 1})")
    page.wait_for_function("studio.state().ready && studio.state().total === 5")
    after = state(page)
    assert [after[name] for name in ("zoom", "pan")] == [before[name] for name in ("zoom", "pan")]
    assert after["selected"] == "p3"
    assert site.asked.count("/api/images/a") == pictures
    other = payload.document(
        documents.image("a", SIZE), prediction=documents.found([OUTER] * 3, [1] * 3)
    )
    site.put_document(other)
    page.evaluate("give({url: '/api/documents/a', revision: 2})")
    page.wait_for_function("studio.state().ready && studio.state().total === 3")
    assert state(page)["selected"] is None  # p3 is another instance now


def test_what_is_still_to_come_is_fetched_when_it_is_there(page: Page, site: harness.Site) -> None:
    early = payload.document(documents.image("a", SIZE))
    early["pending"] = {"text": "Looking for instances", "url": "/api/later"}
    held: list[Any] = []
    page.route("**/api/later", lambda route: held.append(route))
    page.goto(site.put_page({"url": site.put_document(early)}))
    expect(page.get_by_test_id("busy")).to_contain_text("Looking for instances")
    wait(page)  # the photograph is there already
    assert (state(page)["pending"], state(page)["total"]) == (True, 0)
    held[0].fulfill(json=a_document())
    page.wait_for_function("!studio.state().pending")
    expect(page.get_by_test_id("busy")).to_be_hidden()
    assert state(page)["shown"] == ["p1", "p2", "p3"]


def test_a_note_says_why_there_are_no_predictions(opened: Opener) -> None:
    document = a_document()
    document["note"] = "There is no checkpoint yet."
    page = opened(document)
    expect(page.get_by_test_id("instances-note")).to_have_text("There is no checkpoint yet.")
    expect(page.get_by_test_id("instance-row")).to_have_count(3)
