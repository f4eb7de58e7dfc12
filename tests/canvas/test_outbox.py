"""What is done on the page Label is sent in order, once, and never lost."""

import json

import pytest
from playwright.sync_api import Page, expect

from tests.canvas.conftest import Labelled, wait
from tests.canvas.scene import click_at
from tests.canvas.sheets import Sheets, saved, shown, squares, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

FIRST, SECOND = Sheets.key(0), Sheets.key(1)


def relabel(page: Page, *uids: str) -> None:
    for uid in uids:
        click_at(page, uid)
        page.keyboard.press("2")


def kinds(made: Sheets) -> list[str]:
    return [gesture["kind"] for gesture in made.log]


def test_quick_gestures_arrive_in_their_order(page: Page, labelled: Labelled) -> None:
    made = labelled(start=squares(12))
    made.seconds = 0.05
    page.keyboard.press("j")
    for _ in range(12):
        page.keyboard.press("a")
    saved(page)
    assert [said["put"][0]["id"] for key, said in made.sent] == [f"m{at}" for at in range(12)]
    assert [said["revision"] for _, said in made.sent] == list(range(12))
    assert len({said["key"] for _, said in made.sent}) == 12


def test_what_waits_outlasts_a_reload_and_arrives_once(
    rough_page: Page, labelled: Labelled
) -> None:
    page = rough_page
    made = labelled(on=page)
    made.lost = 1  # the first is applied, and nobody hears of it
    relabel(page, "m0")
    until(page, "l.pending === 1")
    for _ in range(400):  # until it has arrived
        if made.log:
            break
        page.wait_for_timeout(25)
    made.down = True
    relabel(page, "m1", "m2")
    said = page.get_by_test_id("label-saved")
    expect(said).to_have_text("not saved yet, 3 changes waiting")
    assert len(made.log) == 1
    made.down = False
    page.reload()
    wait(page)
    until(page, "l.states.m0 === 'edited' && l.states.m1 === 'edited' && l.states.m2 === 'edited'")
    saved(page)
    expect(said).to_have_text("saved")
    assert kinds(made) == ["relabel"] * 3
    assert [list(gesture["after"]) for gesture in made.log] == [["m0"], ["m1"], ["m2"]]
    assert (
        page.evaluate("Object.keys(localStorage).filter(n => n.startsWith('comask-outbox'))") == []
    )


def test_a_server_that_comes_back_gets_everything(rough_page: Page, labelled: Labelled) -> None:
    page = rough_page
    made = labelled(on=page)
    made.down = True
    relabel(page, "m0", "m1")
    expect(page.get_by_test_id("label-saved")).to_have_text("not saved yet, 2 changes waiting")
    assert shown(page)["states"]["m1"] == "edited"  # the work goes on meanwhile
    made.down = False
    saved(page)
    assert made.states(FIRST)["m0"] == made.states(FIRST)["m1"] == "edited"


def test_undo_waits_for_the_gestures_before_it(rough_page: Page, labelled: Labelled) -> None:
    page = rough_page
    made = labelled(on=page)
    made.down = True
    relabel(page, "m0")
    page.keyboard.press("Control+z")
    until(page, "l.pending === 2")
    made.down = False
    until(page, "l.saved && l.states.m0 === 'proposed'")
    assert [what for what, _ in made.sent] == [FIRST, "undo"]
    assert made.states(FIRST)["m0"] == "proposed"


def test_other_labels_that_somebody_changed_are_kept_beside_mine(
    rough_page: Page, labelled: Labelled
) -> None:
    page = rough_page
    made = labelled(on=page)
    made.elsewhere(FIRST, "m3", category_id=2, state="edited")
    relabel(page, "m0")
    saved(page)
    note = page.get_by_test_id("label-note")
    expect(note).to_contain_text("Ada changed this image meanwhile")
    assert made.states(FIRST)["m0"] == made.states(FIRST)["m3"] == "edited"
    assert shown(page)["states"]["m3"] == "edited"
    first, second = (said for _, said in made.sent)
    assert first["key"] == second["key"]
    assert (first["revision"], second["revision"]) == (0, 1)


@pytest.mark.parametrize(
    ("button", "state"), [("keep-mine", "edited"), ("take-theirs", "rejected")]
)
def test_a_clash_is_explained_and_decided_by_hand(
    rough_page: Page, labelled: Labelled, button: str, state: str
) -> None:
    page = rough_page
    made = labelled(on=page)
    made.elsewhere(FIRST, "m0", state="rejected")
    relabel(page, "m0", "m1")  # the second waits behind the first
    note = page.get_by_test_id("label-note")
    expect(note).to_contain_text("Ada changed a label that you changed too")
    assert shown(page)["conflict"] == "Somebody else changed this image."
    expect(page.get_by_test_id("label-saved")).to_have_text("not saved yet, 2 changes waiting")
    page.get_by_test_id(button).click()
    saved(page)
    assert made.states(FIRST)["m0"] == state
    assert made.states(FIRST)["m1"] == "edited"
    assert shown(page)["conflict"] is None
    assert shown(page)["states"]["m0"] == state
    expect(note).to_be_hidden()


def test_what_is_refused_can_be_taken_away_and_the_rest_goes_on(
    rough_page: Page, labelled: Labelled
) -> None:
    page = rough_page
    made = labelled(on=page)
    made.refuse = "The mask is of another image."
    relabel(page, "m0", "m1")
    note = page.get_by_test_id("label-note")
    expect(note).to_contain_text("Your change was not taken: The mask is of another image.")
    saved(page)
    assert made.states(FIRST)["m0"] == "proposed"
    assert made.states(FIRST)["m1"] == "edited"
    until(page, "l.states.m0 === 'proposed' && l.states.m1 === 'edited'")
    with page.expect_download() as got:
        page.get_by_test_id("label-refused-file").click()
    content = json.loads(got.value.path().read_text(encoding="utf-8"))
    assert content["body"]["put"][0]["id"] == "m0"


def test_an_image_that_is_gone_holds_the_queue_until_somebody_decides(
    rough_page: Page, labelled: Labelled
) -> None:
    page = rough_page
    made = labelled(on=page)
    made.gone = True
    relabel(page, "m0")
    note = page.get_by_test_id("label-note")
    expect(note).to_contain_text("Your changes wait: This image is not here.")
    made.gone = False
    page.get_by_test_id("hold-again").click()
    saved(page)
    assert made.states(FIRST)["m0"] == "edited"


def test_work_that_changed_nothing_is_counted_when_the_image_is_left(
    page: Page, labelled: Labelled
) -> None:
    made = labelled()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("PageDown")
    until(page, f"s.document === '{SECOND}' && l.saved")
    ((actions, seconds),) = [(said["actions"], said["seconds"]) for said in made.efforts]
    assert actions == 3
    assert 0 <= seconds < 60
    relabel(page, "m0")
    saved(page)
    assert made.sent[0][1]["actions"] == 2
    assert made.sent[0][1]["seconds"] <= 30
