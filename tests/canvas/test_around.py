"""The page around the image: sizes, folds, themes, keys, names."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from app.canvas import payload
from tests.canvas import documents
from tests.canvas.conftest import Opener
from tests.canvas.scene import (
    LONE,
    SIZE,
    a_document,
    click_at,
    state,
    with_truth,
)

pytestmark = pytest.mark.browser


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
