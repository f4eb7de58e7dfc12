"""The page Label has keys of its own, and everybody may choose others."""

import pytest
from playwright.sync_api import Page, expect

from tests.canvas.conftest import Labelled, wait
from tests.canvas.scene import click_at, state
from tests.canvas.sheets import go, saved, shown, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

TOOLS = {
    "b": "brush",
    "e": "erase",
    "p": "polygon",
    "o": "box",
    "r": "refit",
    "l": "lasso",
    "s": "split",
    "w": "hand",
    "v": "select",
}


def test_the_sheet_lists_every_key_of_the_page_and_only_those(
    page: Page, labelled: Labelled
) -> None:
    labelled()
    page.keyboard.press("?")
    sheet = page.get_by_test_id("sheet")
    expect(sheet).to_be_visible()
    for words in ("Accept, and on to the next", "Refit: drag a box", "Undo what you did last"):
        expect(sheet).to_contain_text(words)
    expect(sheet).not_to_contain_text("How the picked instance was made")
    keys = page.evaluate("studioParts.labelkeys.TABLE.flatMap(one => one.keys).length")
    assert keys == page.evaluate(
        "new Set(studioParts.labelkeys.TABLE.flatMap(one => one.keys)).size"
    )
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    go(page, "browse")
    until(page, "s.ready && s.shown.includes('p1')")
    page.keyboard.press("?")
    expect(sheet).to_contain_text("How the picked instance was made")


def test_browse_keeps_its_keys_and_label_does_not_hear_them(page: Page, labelled: Labelled) -> None:
    labelled()
    before = state(page)
    for key in ("m", "o", "b", "l", "s", "p", "t", "v", "c", "Escape"):
        page.keyboard.press(key)
    after = state(page)
    for name in ("switches", "layers", "panel", "colouring"):
        assert after[name] == before[name]
    go(page, "browse")
    until(page, "s.ready && s.shown.includes('p1')")
    page.keyboard.press("m")
    assert state(page)["switches"]["fill"] is not before["switches"]["fill"]
    page.keyboard.press("a")
    assert shown(page)["pending"] == 0


def test_a_key_for_each_tool_and_esc_steps_back(page: Page, labelled: Labelled) -> None:
    labelled()
    for key, name in TOOLS.items():
        page.keyboard.press(key)
        assert shown(page)["tool"] == name
        pressed = page.get_by_test_id(f"tool-{name}")
        expect(pressed).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("b")
    radius = shown(page)["radius"]
    page.keyboard.press("]")
    assert shown(page)["radius"] > radius
    page.keyboard.press("[")
    page.keyboard.press("[")
    assert shown(page)["radius"] < radius
    page.keyboard.press("Escape")
    assert shown(page)["tool"] == "select"
    click_at(page, "m0")
    page.keyboard.press("Escape")
    assert shown(page)["picked"] is None
    page.keyboard.press("Escape")
    until(page, "s.front === 'grid'")


def test_hold_shows_the_bare_photograph(page: Page, labelled: Labelled) -> None:
    labelled()
    page.keyboard.down("h")
    assert state(page)["hiddenAll"] is True
    page.keyboard.up("h")
    assert state(page)["hiddenAll"] is False


def test_another_key_can_be_chosen_and_is_kept(page: Page, labelled: Labelled) -> None:
    made = labelled()
    page.keyboard.press("?")
    page.get_by_test_id("key-accept").click()
    expect(page.get_by_test_id("key-accept")).to_have_text("press a key")
    page.keyboard.press("g")
    expect(page.get_by_test_id("key-accept")).to_have_text("G")
    page.get_by_test_id("key-hide").click()
    page.keyboard.press("j")  # was for the next one
    said = "J was for “Next in the queue”, and is now for “Hide everything while held”."
    expect(page.get_by_test_id("keys-said")).to_have_text(said)
    expect(page.get_by_test_id("key-next")).to_have_text("no key")
    page.get_by_test_id("key-reject").click()
    page.keyboard.press("?")
    expect(page.get_by_test_id("keys-said")).to_have_text("? cannot be given away.")
    page.keyboard.press("Escape")
    page.reload()
    wait(page)
    assert page.get_by_test_id("label-accept").get_attribute("title") == (
        "Accept, and on to the next ( G )"
    )
    click_at(page, "m0")
    page.keyboard.press("a")
    page.keyboard.press("g")
    saved(page)
    assert [said["kind"] for _, said in made.sent] == ["accept"]
    page.keyboard.down("j")
    assert state(page)["hiddenAll"] is True
    page.keyboard.up("j")
    assert state(page)["hiddenAll"] is False
    page.keyboard.press("?")
    page.get_by_test_id("keys-reset").click()
    expect(page.get_by_test_id("key-accept")).to_have_text("A")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    saved(page)
    assert len(made.sent) == 2


def test_letters_that_are_typed_are_no_commands(page: Page, labelled: Labelled) -> None:
    labelled()
    click_at(page, "m0")
    page.keyboard.press("c")
    page.keyboard.type("axu")
    assert shown(page)["pending"] == 0
    assert shown(page)["states"]["m0"] == "proposed"
    expect(page.get_by_test_id("class-find")).to_have_value("axu")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("label-dialog")).to_be_hidden()
    assert shown(page)["picked"] == "m0"


def test_capitals_and_the_caps_lock_are_told_apart(scripts: Page) -> None:
    made = scripts.evaluate(
        """() => [
          ["a", {}], ["A", {}], ["A", { shiftKey: true }], ["z", { ctrlKey: true }],
          ["Z", { metaKey: true, shiftKey: true }], ["?", { shiftKey: true }], ["Enter", {}],
          ["Tab", { shiftKey: true }],
        ].map(([key, more]) => new KeyboardEvent("keydown", { key, ...more }))
          .map((event) => studioParts.labelkeys.combo(event))"""
    )
    assert made == ["A", "A", "Shift+A", "Ctrl+Z", "Ctrl+Shift+Z", "?", "Enter", "Shift+Tab"]
