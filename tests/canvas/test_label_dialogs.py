"""Pre-labelling from the page: scope, classes, a forecast, progress, failures, the way back."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.canvas import label_dialogs
from tests.canvas.harness import Site
from tests.canvas.label_dialogs import HOSTILE, PROJECT, Planted, wanted

pytestmark = pytest.mark.browser

Start = Callable[..., Planted]
RUNNING = {"stage": "running", "done": 4, "total": 12, "seconds_left": 130, "added": 9, "images": 3}
ENDED = {"stage": "finished", "done": 12, "total": 12, "seconds_left": 0, "added": 31, "images": 11}
FAILED = [{"key": f"d{PROJECT}-3", "file_name": HOSTILE, "sentence": "The file ends too early."}]


@pytest.fixture
def start(page: Page, site: Site) -> Start:
    """Give a function that opens the dialog over planted routes."""

    def show(**options: object) -> Planted:
        made = Planted(site, **options)  # type: ignore[arg-type]
        label_dialogs.show(page, site)
        page.evaluate("rooms.prelabel.open()")
        return made

    return show


def test_a_sentence_says_what_will_happen_before_it_does(page: Page, start: Start) -> None:
    start()
    sentence = page.get_by_test_id("prelabel-sentence")
    expect(sentence).to_have_text(
        "24 images, 6 of them with human work that stays as it is; class score above 0.50."
    )
    page.get_by_test_id("prelabel-scope-unlabelled").check()
    expect(sentence).to_contain_text("6 images, none of them with human work")
    page.get_by_test_id("prelabel-scope-image").check()
    expect(sentence).to_contain_text("1 image, with human work that stays as it is")
    page.get_by_test_id("prelabel-scope-selected").check()
    expect(sentence).to_have_text("Choose images in the list.")
    expect(page.get_by_test_id("prelabel-start")).to_be_hidden()


def test_images_are_chosen_in_a_list_by_click_and_by_key(page: Page, start: Start) -> None:
    made = start()
    page.get_by_test_id("prelabel-scope-selected").check()
    box = page.get_by_test_id("prelabel-images")
    row = box.get_by_test_id("line-row")
    expect(row.nth(1)).to_contain_text(HOSTILE)
    row.nth(0).click()
    row.nth(2).click(modifiers=["Shift"])
    expect(page.get_by_test_id("prelabel-sentence")).to_contain_text("3 images, 1 of them")
    box.press("ArrowDown")
    box.press("Space")
    expect(page.get_by_test_id("prelabel-sentence")).to_contain_text("4 images")
    row.nth(1).click()
    page.get_by_test_id("prelabel-start").click()
    page.wait_for_function("rooms.prelabel.task.id !== null")
    assert made.said("prelabel")[0]["keys"] == [f"d{PROJECT}-{at}" for at in (0, 2, 3)]
    assert page.title() == "canvas"


def test_a_long_list_of_images_holds_only_what_is_in_sight(page: Page, start: Start) -> None:
    start(images=4000)
    page.get_by_test_id("prelabel-scope-selected").check()
    box = page.get_by_test_id("prelabel-images")
    expect(box.get_by_test_id("line-row").first).to_contain_text("image-00000")
    assert box.get_by_test_id("line-row").count() < 20
    box.evaluate("(box) => { box.scrollTop = box.scrollHeight }")
    expect(box.locator("[data-at='3999']")).to_contain_text("image-03999")
    assert box.get_by_test_id("line-row").count() < 20


def test_classes_without_a_place_stand_out_and_are_counted(page: Page, start: Start) -> None:
    made = start(classes=[("cell", 1), (HOSTILE, None), ("debris", None)])
    count = page.get_by_test_id("mapping-count")
    expect(count).to_have_text(
        "2 of 3 classes of the checkpoint have none here: what is found of them is left out."
    )
    rows = page.get_by_test_id("mapping-row")
    expect(rows.nth(0)).to_contain_text(HOSTILE)  # the ones without a place come first
    expect(rows.nth(0)).to_contain_text("no class here")
    select = rows.nth(0).get_by_test_id("mapping-to")
    select.focus()
    select.select_option("nucleus")
    expect(count).to_contain_text("1 of 3 classes of the checkpoint has none here")
    select = rows.nth(1).get_by_test_id("mapping-to")
    select.focus()
    select.select_option("new")
    expect(count).to_have_text("All 3 classes of the checkpoint have one here.")
    assert [one["id"] for one in made.said("categories")[0]["categories"]] == [1, 2, None]
    page.get_by_test_id("prelabel-start").click()
    page.wait_for_function("rooms.prelabel.task.id !== null")
    assert made.said("prelabel")[0]["mapping"] == {"cell": 1, HOSTILE: 2, "debris": 3}


def test_all_classes_without_a_place_become_new_ones_at_once(page: Page, start: Start) -> None:
    made = start(classes=[("debris", None), ("dust", None)])
    expect(page.get_by_test_id("prelabel-sentence")).to_contain_text("nothing would be added")
    expect(page.get_by_test_id("prelabel-start")).to_be_hidden()
    page.get_by_test_id("mapping-add-all").click()
    expect(page.get_by_test_id("mapping-count")).to_contain_text("All 2 classes")
    expect(page.get_by_test_id("prelabel-start")).to_be_visible()
    names = [one["name"] for one in made.said("categories")[0]["categories"]]
    assert names == ["cell", "nucleus", "debris", "dust"]


def test_everything_that_was_set_is_sent(page: Page, start: Start) -> None:
    made = start()
    page.get_by_test_id("prelabel-checkpoint").select_option("second")
    page.get_by_test_id("prelabel-policy-replace").check()
    for name, value in (("prelabel-score", 0.35), ("prelabel-overlap", 0.7)):
        page.get_by_test_id(name).fill(str(value))
    expect(page.get_by_test_id("prelabel-score-value")).to_have_text("0.35")
    expect(page.get_by_test_id("prelabel-sentence")).to_contain_text("score above 0.35")
    page.get_by_test_id("prelabel-start").click()
    page.wait_for_function("rooms.prelabel.task.id !== null")
    (said,) = made.said("prelabel")
    assert len(said.pop("key")) == 36
    assert said == {
        "project": PROJECT,
        "checkpoint": "second",
        "scope": "all",
        "keys": [],
        "min_score": 0.35,
        "mapping": {"cell": 1},
        "policy": "replace",
        "overlap": 0.7,
        "actor": "me",
    }
    assert [said["checkpoint"] for said in made.said("mapping")] == ["first", "second"]


def test_progress_failures_and_what_was_added_show(page: Page, start: Start) -> None:
    made = start(steps=[RUNNING, {**ENDED, "failed": FAILED, "failed_count": 1, "left_out": 5}])
    page.get_by_test_id("prelabel-start").click()
    progress = page.get_by_test_id("prelabel-progress")
    expect(progress).to_have_text("4 of 12 images, 9 proposals added, 2 min left")
    expect(page.get_by_test_id("prelabel-form")).to_be_hidden()
    expect(progress).to_have_text(
        "Pre-labelling is done: 31 proposals added on 11 images. "
        "5 instances left out: their classes have none here. 1 image failed."
    )
    page.get_by_test_id("prelabel-failed-count").click()
    failure = page.get_by_test_id("prelabel-failure")
    expect(failure).to_have_text(f"{HOSTILE} The file ends too early.")
    # as the first proposals came, and at the end
    page.wait_for_function("asked.length === 2")
    assert wanted(page) == [["reload"], ["reload"]]
    page.get_by_test_id("prelabel-retry").click()
    expect(progress).to_contain_text("12 of 12 images")
    assert [what for what, _ in made.asked if what == "retry"] == ["retry"]
    assert page.title() == "canvas"


def test_a_failure_leads_to_its_image(page: Page, start: Start) -> None:
    start(steps=[{**ENDED, "failed": FAILED, "failed_count": 1}])
    page.get_by_test_id("prelabel-start").click()
    page.get_by_test_id("prelabel-failed-count").click()
    page.get_by_test_id("prelabel-failure-open").click()
    expect(page.get_by_test_id("label-dialog")).to_be_hidden()
    assert wanted(page)[-1] == ["open", f"d{PROJECT}-3", None]


def test_a_run_is_stopped_and_undone_as_a_whole(page: Page, start: Start) -> None:
    made = start(steps=[RUNNING])
    page.get_by_test_id("prelabel-start").click()
    page.get_by_test_id("prelabel-stop").click()
    progress = page.get_by_test_id("prelabel-progress")
    expect(progress).to_contain_text("Pre-labelling was stopped after 4 of 12 images: 9 proposals")
    expect(page.get_by_test_id("prelabel-retry")).to_have_text("Go on")
    page.get_by_test_id("prelabel-undo").click()
    expect(page.get_by_test_id("prelabel-undo-text")).to_have_text(
        "Undone on 3 images. 1 label that somebody has changed since stays as it is."
    )
    (said,) = made.said("undo")
    assert (said["project"], said["actor"]) == (PROJECT, "me")
    page.get_by_test_id("prelabel-undo").click()  # the same button does it again
    expect(page.get_by_test_id("prelabel-undo-text")).to_contain_text("Done again on 3 images.")
    assert len(made.said("redo")) == 1


def test_undo_of_a_batch_takes_nothing_else_back(page: Page, start: Start) -> None:
    made = start(steps=[ENDED], standing="brush")
    page.get_by_test_id("prelabel-start").click()
    page.get_by_test_id("prelabel-undo").click()
    expect(page.get_by_test_id("prelabel-undo-complaint")).to_contain_text("(brush)")
    assert made.said("undo") == []


def test_a_run_outlives_the_dialog_and_the_page(page: Page, site: Site, start: Start) -> None:
    made = start(steps=[RUNNING])
    page.get_by_test_id("prelabel-start").click()
    expect(page.get_by_test_id("prelabel-stop")).to_be_visible()
    page.keyboard.press("Escape")
    corner = page.get_by_test_id("prelabel-corner")
    expect(corner).to_have_text("Pre-labelling 33 %")
    label_dialogs.show(page, site)  # a reload
    expect(corner).to_have_text("Pre-labelling 33 %")
    made.task = ENDED
    expect(corner).to_have_text("Pre-labelling is done: 31 added")
    corner.click()
    expect(page.get_by_test_id("prelabel-progress")).to_contain_text("31 proposals added")
    expect(page.get_by_test_id("prelabel-form")).to_be_visible()
    expect(corner).to_be_hidden()


def test_a_run_that_somebody_else_began_shows_while_it_goes_on(page: Page, site: Site) -> None:
    made = Planted(site, going="k7", task=RUNNING)
    label_dialogs.show(page, site)
    corner = page.get_by_test_id("prelabel-corner")
    expect(corner).to_have_text("Pre-labelling 33 %")
    made.task = ENDED
    label_dialogs.show(page, site)
    page.evaluate("rooms.prelabel.open()")
    expect(page.get_by_test_id("prelabel-start")).to_be_visible()
    expect(corner).to_be_hidden()
    expect(page.get_by_test_id("prelabel-undo")).to_be_hidden()


def test_a_run_that_the_server_forgot_is_forgotten(page: Page, start: Start) -> None:
    made = start()
    page.get_by_test_id("prelabel-start").click()
    expect(page.get_by_test_id("prelabel-progress")).to_contain_text("nothing new was added")
    made.going, made.task = None, {}
    page.reload()
    label_dialogs.show(page, made.site)
    page.evaluate("rooms.prelabel.open()")
    expect(page.get_by_test_id("prelabel-start")).to_be_visible()
    expect(page.get_by_test_id("prelabel-progress")).to_be_hidden()


def test_refusals_are_said_where_they_were_met(rough_page: Page, site: Site) -> None:
    page = rough_page
    made = Planted(site, classes=[("a", None), ("b", None), ("cell", 1)])
    made.refusals = {"prelabel": "Nothing is mapped.", "categories": "Two classes are called a."}
    label_dialogs.show(page, site)
    page.evaluate("rooms.prelabel.open()")
    page.get_by_test_id("prelabel-start").click()
    expect(page.get_by_test_id("prelabel-complaint")).to_have_text("Nothing is mapped.")
    page.get_by_test_id("mapping-add-all").click()
    expect(page.get_by_test_id("mapping-complaint")).to_have_text("Two classes are called a.")
    expect(page.get_by_test_id("prelabel-start")).to_be_visible()


def region(page: Page) -> tuple[float, float]:
    page.get_by_test_id("prelabel-scope-region").check()
    page.get_by_test_id("prelabel-start").click()
    box = page.get_by_test_id("region").bounding_box()
    assert box is not None
    return box["x"], box["y"]


def test_a_region_is_a_box_dragged_over_the_image(page: Page, start: Start) -> None:
    made = start()
    left, top = region(page)
    screen = "([x, y]) => rooms.prelabel.labelling.viewer.view.toScreen(x, y)"
    (x1, y1), (x2, y2) = (page.evaluate(screen, point) for point in ([20, 30], [100, 90]))
    page.mouse.move(left + x1, top + y1)
    page.mouse.down()
    page.mouse.move(left + x2, top + y2, steps=3)
    page.mouse.up()
    page.wait_for_function("asked.length === 3")
    (said,) = made.said("region")
    assert [round(value / 2) for value in said["box"]] == [10, 15, 50, 45]
    assert (said["key"], said["revision"], said["mapping"]) == (f"d{PROJECT}-0", 3, {"cell": 1})
    assert wanted(page)[1:] == [
        ["reload"],
        ["say", "2 instances added. The cut-out is larger to the model, so its levels change."],
    ]


def test_a_region_needs_no_mouse_and_can_be_given_up(page: Page, start: Start) -> None:
    made = start()
    region(page)
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("region")).to_have_count(0)
    assert made.said("region") == []
    page.evaluate("rooms.prelabel.open()")
    region(page)
    page.keyboard.press("Enter")
    page.wait_for_function("asked.length === 3")
    assert made.said("region")[0]["box"] == [0, 0, 160, 120]


def test_every_control_has_a_name(page: Page, start: Start) -> None:
    start(classes=[("debris", None)])
    expect(page.get_by_test_id("mapping-row")).to_have_count(1)
    for room in ("prelabel", "piles", "exporting", "exporting.importing", "ledger"):
        page.evaluate("() => document.querySelector('dialog[open]')?.close()")
        page.evaluate(f"void rooms.{room}.open()")
        nameless = page.get_by_test_id("label-dialog").evaluate(
            """(dialog) => [...dialog.querySelectorAll("button, input, select, a, [tabindex='0']")]
              .filter((one) => !(one.ariaLabel || one.textContent || one.labels?.length))
              .map((one) => one.outerHTML)"""
        )
        assert nameless == []


def test_setting_a_slider_is_by_key_too(page: Page, start: Start) -> None:
    start()
    slider = page.get_by_test_id("prelabel-score")
    slider.press("ArrowRight")
    expect(page.get_by_test_id("prelabel-score-value")).to_have_text("0.51")
