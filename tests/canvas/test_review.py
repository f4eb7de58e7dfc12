"""The review: a queue over all images, decided by single keys, without a mouse."""

import pytest
from playwright.sync_api import Page, expect

from tests.canvas.conftest import Labelled
from tests.canvas.scene import set_slider, state
from tests.canvas.sheets import Sheets, saved, shown, squares, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

FIRST, SECOND, THIRD = (Sheets.key(at) for at in range(3))


def picked(page: Page, key: str, uid: str) -> None:
    until(page, f"s.document === '{key}' && l.picked === '{uid}' && s.ready")


@pytest.mark.slow
def test_a_dataset_is_reviewed_by_keys_alone(page: Page, labelled: Labelled) -> None:
    """Fifty images of twelve: every tenth instance is wrong."""
    made = labelled(images=50, start=squares(12))
    presses = 0

    def press(key: str) -> None:
        nonlocal presses
        presses += 1
        page.keyboard.press(key)

    page.evaluate("window.clicks = 0; addEventListener('pointerdown', () => window.clicks++, true)")
    press("j")
    picked(page, FIRST, "m0")
    for at in range(600):
        picked_now = page.wait_for_function(
            "([key, uid]) => { const s = studio.state();"
            " return s.document === key && s.label.picked === uid }",
            arg=[Sheets.key(at // 12), f"m{at % 12}"],
            polling=5,
        )
        assert picked_now
        press("x" if at % 10 == 3 else "a")
    expect(page.get_by_test_id("label-note")).to_contain_text("All reviewed: export.")
    saved(page)
    states = [made.rows[Sheets.key(at // 12)][f"m{at % 12}"]["state"] for at in range(600)]
    assert states.count("accepted") == 540
    assert all(states[at] == "rejected" for at in range(3, 600, 10))
    assert presses / 540 <= 1.2
    assert page.evaluate("window.clicks") == 0
    assert len(made.log) == 600
    expect(page.get_by_test_id("label-progress")).to_contain_text("600 of 600 reviewed")


def test_the_lowest_score_comes_first_over_all_images(page: Page, labelled: Labelled) -> None:
    labelled()
    page.get_by_test_id("review-order").select_option("score")
    page.keyboard.press("j")
    picked(page, FIRST, "m3")
    page.keyboard.press("a")
    picked(page, SECOND, "m3")
    page.keyboard.press("x")
    picked(page, THIRD, "m3")
    assert shown(page)["queue"] == {"order": "score", "total": 10, "at": 2}
    page.keyboard.press("k")
    picked(page, SECOND, "m3")
    expect(page.get_by_test_id("label-queue")).to_have_text("10 left, score")


def test_j_passes_over_what_is_not_decided_and_comes_round(page: Page, labelled: Labelled) -> None:
    labelled(images=1, start=squares(3))
    for uid in ("m0", "m1", "m2", "m0"):
        page.keyboard.press("j")
        picked(page, FIRST, uid)
    page.keyboard.press("a")
    picked(page, FIRST, "m1")
    page.keyboard.press("a")
    page.keyboard.press("a")
    expect(page.get_by_test_id("label-note")).to_contain_text("All reviewed")


def test_what_the_slider_hides_is_passed_over_and_said(page: Page, labelled: Labelled) -> None:
    labelled(images=2)  # scores 0.99, 0.89, 0.79, 0.69
    set_slider(page, "threshold", 0.85)
    for key, uid in ((FIRST, "m0"), (FIRST, "m1"), (SECOND, "m0"), (SECOND, "m1")):
        page.keyboard.press("j" if (key, uid) == (FIRST, "m0") else "a")
        picked(page, key, uid)
    page.keyboard.press("a")
    note = page.get_by_test_id("label-note")
    expect(note).to_contain_text("All is reviewed but 4 below the score slider.")
    page.get_by_test_id("review-below").click()
    page.keyboard.press("j")
    picked(page, SECOND, "m2")


def test_one_image_alone_can_be_reviewed(page: Page, labelled: Labelled) -> None:
    made = labelled(start=squares(2))
    page.get_by_test_id("review-scope").select_option("image")
    page.keyboard.press("j")
    page.keyboard.press("a")
    page.keyboard.press("x")
    expect(page.get_by_test_id("label-note")).to_contain_text("All of this image is reviewed.")
    assert state(page)["document"] == FIRST
    page.get_by_test_id("review-dataset").click()
    page.keyboard.press("j")
    picked(page, SECOND, "m0")
    saved(page)
    assert made.states(FIRST) == {"m0": "accepted", "m1": "rejected"}


def test_image_by_image_the_review_goes_on_with_what_is_looked_at(
    page: Page, labelled: Labelled
) -> None:
    labelled()
    page.keyboard.press("PageDown")
    until(page, f"s.document === '{SECOND}' && s.ready")
    page.keyboard.press("j")
    picked(page, SECOND, "m0")
    page.keyboard.press("a")
    picked(page, SECOND, "m1")


def test_enter_ends_an_image_and_goes_to_the_next_one(page: Page, labelled: Labelled) -> None:
    made = labelled()
    for row in made.rows[SECOND].values():  # nothing is left to review there
        row = made.rows[SECOND][row["id"]] = {**row, "state": "accepted"}
    page.reload()
    until(page, "s.ready && l.queue.total === 8")
    page.keyboard.press("j")
    picked(page, FIRST, "m0")
    page.keyboard.press("Enter")
    picked(page, THIRD, "m0")
    saved(page)
    assert made.done == {FIRST: "done", SECOND: "open", THIRD: "open"}
    expect(page.get_by_test_id("label-progress")).to_contain_text("1 of 3 images done")


def test_the_next_image_is_there_before_it_is_asked_for(
    rough_page: Page, labelled: Labelled
) -> None:
    page = rough_page
    made = labelled(start=squares(2), on=page)
    page.keyboard.press("j")
    picked(page, FIRST, "m0")
    asked = f"/api/labels/{SECOND}?actor="
    for _ in range(200):
        if any(address.startswith(asked) for address in made.site.asked):
            break
        page.wait_for_timeout(20)
    page.wait_for_timeout(200)
    made.down = True  # from here on the server gives nothing
    page.keyboard.press("a")
    page.keyboard.press("a")
    picked(page, SECOND, "m0")
    made.down = False
    saved(page)


def test_every_shown_proposal_is_accepted_at_once(page: Page, labelled: Labelled) -> None:
    made = labelled()  # scores 0.99, 0.89, 0.79, 0.69
    set_slider(page, "threshold", 0.75)
    page.keyboard.press("Shift+A")
    saved(page)
    assert list(made.states(FIRST).values()) == ["accepted"] * 3 + ["proposed"]
    assert len(made.sent) == 1


def test_an_image_can_be_done_with_its_last_decision(page: Page, labelled: Labelled) -> None:
    made = labelled(start=squares(2))
    page.get_by_test_id("review-more").locator("summary").click()
    page.get_by_test_id("review-finish").check()
    page.keyboard.press("j")
    page.keyboard.press("a")
    page.keyboard.press("x")
    picked(page, SECOND, "m0")
    saved(page)
    assert made.done[FIRST] == "done"
    page.keyboard.press("u")
    until(
        page, f"s.document === '{FIRST}' && l.image_state === 'open' && l.states.m1 === 'proposed'"
    )


def test_close_up_comes_near_and_can_be_switched_off(page: Page, labelled: Labelled) -> None:
    labelled()
    fitted = state(page)["zoom"]
    page.keyboard.press("j")
    until(page, f"l.picked === 'm0' && s.zoom > {2 * fitted}")
    page.get_by_test_id("review-more").locator("summary").click()
    page.get_by_test_id("review-near").uncheck()
    page.keyboard.press("0")
    page.keyboard.press("a")
    until(page, "l.picked === 'm1' && s.ready")
    assert state(page)["zoom"] == fitted


def test_other_states_can_be_reviewed(page: Page, labelled: Labelled) -> None:
    labelled(images=1)
    page.keyboard.press("j")
    page.keyboard.press("x")
    until(page, "l.picked === 'm1' && l.saved")
    page.get_by_test_id("review-more").locator("summary").click()
    page.get_by_test_id("show-rejected").check()
    page.locator("label:has([data-testid=review-state-rejected])").click()
    page.locator("label:has([data-testid=review-state-proposed])").click()
    until(page, "l.queue.total === 1")
    page.keyboard.press("j")
    picked(page, FIRST, "m0")
    page.keyboard.press("a")
    until(page, "l.states.m0 === 'accepted'")


def test_keys_work_on_after_every_button(page: Page, labelled: Labelled) -> None:
    labelled(images=50, start=squares(12))
    page.keyboard.press("j")
    until(page, "l.picked === 'm0'")
    for name in (
        "label-accept",
        "label-reject",
        "label-undo",
        "label-redo",
        "label-zoom",
        "tool-brush",
        "tool-select",
        "label-top",
        "zoom-in",
        "zoom-fit",
        "image-state-set",
        "label-done",
    ):
        page.get_by_test_id(name).click()
        until(page, "s.ready && l.saved")
        before = shown(page)["picked"]
        page.keyboard.press("j")
        until(page, f"s.ready && l.picked !== null && l.picked !== '{before}'")
        assert page.evaluate("document.activeElement.dataset.testid") == "canvas", name
    page.get_by_test_id("label-class").select_option("2")
    page.keyboard.press("x")
    until(page, "Object.values(l.states).includes('rejected')")


def test_ten_thousand_images_cost_what_is_in_sight(page: Page, labelled: Labelled) -> None:
    labelled(images=10_000, start=squares(1))
    expect(page.get_by_test_id("label-images-count")).to_have_text("10 000")
    assert page.evaluate("document.querySelectorAll('*').length") < 1700
    assert page.get_by_test_id("label-images").locator("[data-at]").count() < 30
    page.get_by_test_id("label-images").evaluate("box => { box.scrollTop = box.scrollHeight }")
    last = page.get_by_test_id("label-images").locator("[data-at='9999'][data-here]")
    last.click()
    until(page, f"s.document === '{Sheets.key(9999)}' && s.ready")
    expect(page.get_by_test_id("position")).to_have_text("10 000 / 10 000")
    page.keyboard.press("PageUp")
    until(page, f"s.document === '{Sheets.key(9998)}' && s.ready")
