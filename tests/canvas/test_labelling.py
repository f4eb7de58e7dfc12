"""The page Label: what is open, picked and done there, and how it looks at once and after."""

import pytest
from playwright.sync_api import Page, expect

from tests.canvas import documents
from tests.canvas.conftest import Labelled
from tests.canvas.planted import SIZE
from tests.canvas.scene import click_at, set_slider, state
from tests.canvas.sheets import Sheets, go, label, saved, shown, squares, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

FIRST, SECOND = Sheets.key(0), Sheets.key(1)


def shift_click(page: Page, uid: str) -> None:
    page.keyboard.down("Shift")
    click_at(page, uid)
    page.keyboard.up("Shift")


def test_the_image_stays_when_the_page_changes(page: Page, labelled: Labelled) -> None:
    labelled(at=1)
    assert set(shown(page)["states"]) == {"m0", "m1", "m2", "m3"}
    go(page, "browse")
    until(page, "s.ready && s.shown.includes('p1')")
    assert state(page)["document"] == SECOND
    go(page, "label")
    until(page, "s.ready && s.shown.includes('m1')")
    assert state(page)["document"] == SECOND
    page.go_back()
    until(page, "s.ready && s.shown.includes('p1')")
    page.go_forward()
    until(page, "s.ready && s.shown.includes('m1')")


def test_an_address_opens_the_label_that_it_names(page: Page, labelled: Labelled) -> None:
    labelled("&instance=m2", at=1)
    assert shown(page)["picked"] == "m2"
    assert "tab=label" in page.url
    page.keyboard.press("PageDown")
    until(page, f"s.document === '{Sheets.key(2)}' && s.ready")
    page.go_back()
    until(page, f"s.document === '{SECOND}' && s.ready")


def test_without_an_image_the_first_one_opens(page: Page, labelled: Labelled) -> None:
    labelled(at=None)
    assert state(page)["document"] == FIRST


def test_accepting_shows_at_once_goes_on_and_reaches_the_server(
    page: Page, labelled: Labelled
) -> None:
    made = labelled()
    click_at(page, "m0")
    page.keyboard.press("a")
    assert shown(page)["states"]["m0"] == "accepted"
    until(page, "l.picked === 'm1'")
    saved(page)
    rest = dict.fromkeys(("m1", "m2", "m3"), "proposed")
    assert made.states(FIRST) == {"m0": "accepted", **rest}
    ((key, said),) = made.sent
    assert (key, said["kind"], said["revision"], said["drop"]) == (FIRST, "accept", 0, [])
    assert said["actions"] == 2  # the click and the key
    until(page, "l.revision === 1 && l.undo === 'accept'")


def test_a_rejected_proposal_stays_as_a_memory_and_a_drawn_label_goes(
    page: Page, labelled: Labelled
) -> None:
    hand = {"state": "new", "origin": "person"}
    mask = documents.rectangle(SIZE, 100, 60, 20, 20)
    made = labelled(start=[*squares(2), label("n1", mask, None, **hand)])
    click_at(page, "n1")
    page.keyboard.press("Delete")
    until(page, "!('n1' in l.states)")
    click_at(page, "m0")
    page.keyboard.press("x")
    until(page, "l.states.m0 === 'rejected' && !s.shown.includes('m0')")
    saved(page)
    assert made.states(FIRST) == {"m0": "rejected", "m1": "proposed"}
    page.get_by_test_id("review-more").locator("summary").click()
    page.get_by_test_id("show-rejected").check()
    until(page, "s.shown.includes('m0')")
    assert page.evaluate("document.activeElement.dataset.testid") == "canvas"


def test_a_class_is_chosen_by_its_number_and_by_its_name(page: Page, labelled: Labelled) -> None:
    made = labelled()
    click_at(page, "m0")
    page.keyboard.press("2")
    saved(page)
    assert made.rows[FIRST]["m0"]["category_id"] == 2
    assert shown(page)["states"]["m0"] == "edited"  # a class is the person's word too
    expect(page.get_by_test_id("label-name")).to_have_text("nucleus")
    page.keyboard.press("c")
    page.keyboard.type("ce")
    page.keyboard.press("Enter")
    saved(page)
    assert made.rows[FIRST]["m0"]["category_id"] == 1
    page.keyboard.press("c")
    page.keyboard.type("spindle")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("label-name")).to_have_text("spindle")
    saved(page)
    assert made.rows[FIRST]["m0"]["category_id"] == 3
    assert made.categories[2]["name"] == "spindle"


def test_backspace_brings_the_proposal_back_class_and_mask(page: Page, labelled: Labelled) -> None:
    made = labelled()
    before = page.evaluate("studio.mask('m0')")
    click_at(page, "m0")
    page.keyboard.press("2")
    page.get_by_test_id("label-grow").click()
    saved(page)
    assert page.evaluate("studio.mask('m0')")["area"] > before["area"]
    page.get_by_test_id("label-revert").click()
    saved(page)
    assert page.evaluate("studio.mask('m0')") == before
    row = made.rows[FIRST]["m0"]
    assert (row["category_id"], row["state"], row["proposed_rle"]) == (1, "proposed", None)
    expect(page.get_by_test_id("label-revert")).to_have_count(0)
    page.keyboard.press("Backspace")
    expect(page.get_by_test_id("label-note")).to_have_text("It is as the model proposed it.×")


def test_others_see_the_name_that_somebody_gave(page: Page, labelled: Labelled) -> None:
    made = labelled()
    page.get_by_test_id("review-more").locator("summary").click()
    page.get_by_test_id("actor-name").fill("Grace")
    page.keyboard.press("Enter")
    click_at(page, "m0")
    page.keyboard.press("x")
    saved(page)
    assert made.sent[0][1]["actor"].startswith("Grace-")
    page.get_by_test_id("history").locator("summary").click()
    expect(page.get_by_test_id("history")).to_contain_text("Grace rejection, 1 label")


def test_one_command_acts_on_all_that_is_chosen(page: Page, labelled: Labelled) -> None:
    made = labelled()
    click_at(page, "m0")
    shift_click(page, "m2")
    shift_click(page, "m3")
    shift_click(page, "m3")  # out again
    assert shown(page)["chosen"] == ["m0", "m2"]
    expect(page.get_by_test_id("label-name")).to_have_text("2 chosen")
    page.keyboard.press("2")
    saved(page)
    assert [row["category_id"] for row in made.rows[FIRST].values()] == [2, 1, 2, 1]
    assert len(made.sent) == 1
    click_at(page, "m1")
    assert shown(page)["chosen"] == []


def test_undo_and_redo_are_the_servers_and_go_to_the_image(page: Page, labelled: Labelled) -> None:
    made = labelled()
    click_at(page, "m0")
    page.keyboard.press("2")
    page.keyboard.press("PageDown")
    until(page, f"s.document === '{SECOND}' && s.ready")
    page.keyboard.press("Control+z")
    until(page, f"s.document === '{FIRST}' && s.ready && l.states.m0 === 'proposed'")
    assert made.rows[FIRST]["m0"]["category_id"] == 1
    assert [what for what, _ in made.sent] == [FIRST, "undo"]
    until(page, "l.undo === null && l.redo === 'relabel'")
    expect(page.get_by_test_id("label-note")).to_contain_text("Undone: change of class")
    page.get_by_test_id("label-redo").click()
    until(page, "l.states.m0 === 'edited'")
    page.keyboard.press("u")
    until(page, "l.states.m0 === 'proposed' && l.saved")
    page.keyboard.press("u")
    expect(page.get_by_test_id("label-note")).to_contain_text("Nothing to undo")


def test_the_slider_hides_proposals_only(page: Page, labelled: Labelled) -> None:
    made = labelled()  # scores 0.99, 0.89, 0.79, 0.69
    click_at(page, "m3")
    page.keyboard.press("2")
    set_slider(page, "threshold", 0.85)
    assert state(page)["shown"] == ["m0", "m1", "m3"]
    page.keyboard.press("Shift+A")
    saved(page)
    states = {"m0": "accepted", "m1": "accepted", "m2": "proposed", "m3": "edited"}
    assert made.states(FIRST) == states


def test_crowds_order_and_the_images_own_state(page: Page, labelled: Labelled) -> None:
    made = labelled()
    click_at(page, "m1")
    page.get_by_test_id("label-crowd").check()
    page.keyboard.press("t")
    page.get_by_test_id("image-state-set").click()
    saved(page)
    row = made.rows[FIRST]["m1"]
    assert (row["iscrowd"], row["z"]) == (True, 5)  # the others lie at 1, 3 and 4
    assert made.done[FIRST] == "done"
    expect(page.get_by_test_id("image-state")).to_contain_text("This image is done")
    page.get_by_test_id("image-state-set").click()
    until(page, "l.image_state === 'open' && l.saved")


def test_the_history_says_who_did_what(page: Page, labelled: Labelled) -> None:
    made = labelled()
    made.elsewhere(FIRST, "m1", category_id=2)
    page.get_by_test_id("history").locator("summary").click()
    expect(page.get_by_test_id("history")).to_contain_text("Ada change of class, 1 label")


def test_states_show_as_signs_in_the_list(page: Page, labelled: Labelled) -> None:
    labelled()
    click_at(page, "m0")
    page.keyboard.press("a")
    rows = page.get_by_test_id("instance-row")
    expect(rows.nth(0).locator(".cs-state")).to_have_attribute(
        "title", "accepted: Somebody found it right as it was"
    )
    expect(rows.nth(1).locator(".cs-state")).to_have_text("?")


def test_without_a_class_the_page_asks_for_the_first_one(page: Page, labelled: Labelled) -> None:
    made = labelled(categories=[], start=[])
    expect(page.get_by_test_id("label-empty")).to_have_text("This project has no class yet.")
    page.get_by_test_id("first-class").click()
    page.keyboard.type("cell")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("label-empty")).to_contain_text("No label in this image yet")
    assert made.categories == [{"id": 1, "name": "cell"}]
    assert shown(page)["category"] == 1


def test_a_new_document_keeps_what_did_not_change(scripts: Page) -> None:
    sheet = {
        "schema": 1,
        "revision": 3,
        "image": documents.image("a", SIZE),
        "categories": [{"id": 1, "name": "cell"}],
        "instances": squares(3),
        "label": {},
    }
    kept, colours, states = scripts.evaluate(
        """(json) => {
          const { labels } = studioParts;
          const sheet = labels.read(json);
          const before = labels.build(sheet, [], null);
          const decoded = before.byId.get("m1").mask;
          const put = { ...json.instances[1], state: "accepted" };
          const gesture = { kind: "accept", body: { put: [put], drop: ["m0"] } };
          const after = labels.build(sheet, [gesture], before);
          const one = after.byId.get("m1");
          const same = after.byId.get("m2") === before.byId.get("m2");
          return [
            [same, one.mask === decoded, after.byId.has("m0")],
            [one.index, before.byId.get("m1").index],
            [one.state, before.byId.get("m1").state],
          ];
        }""",
        sheet,
    )
    assert kept == [True, True, False]
    assert colours[0] == colours[1]
    assert states == ["accepted", "proposed"]
