"""Three piles of what model and labels do not agree on, and an action for each."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.canvas import label_dialogs
from tests.canvas.harness import Site
from tests.canvas.label_dialogs import PILES, PROJECT, Planted, wanted

pytestmark = pytest.mark.browser

Start = Callable[..., Planted]


@pytest.fixture
def start(page: Page, site: Site) -> Start:
    """Give a function that opens the dialog over planted routes."""

    def show(**options: object) -> Planted:
        made = Planted(site, standing="extra add", **options)  # type: ignore[arg-type]
        label_dialogs.show(page, site)
        page.evaluate("rooms.piles.open()")
        return made

    return show


def test_piles_are_counted_and_agreement_is_said(page: Page, start: Start) -> None:
    start()
    expect(page.get_by_test_id("pile-extra-count")).to_have_text("12")
    expect(page.get_by_test_id("pile-missed-count")).to_have_text("3")
    expect(page.get_by_test_id("pile-low-count")).to_have_text("5")
    expect(page.get_by_test_id("piles-sentence")).to_have_text(
        "92 of 100 labels agree with the model at IoU 0.50 or more (92 %), in 24 images."
    )
    row = page.get_by_test_id("piles-rows").get_by_test_id("line-row")
    expect(row.nth(1)).to_contain_text("nucleus")
    expect(row.nth(1)).to_contain_text("image-00001.png")
    expect(row.nth(1)).to_contain_text("score 0.75")
    page.get_by_test_id("pile-low").click()
    expect(row.first).to_contain_text("score 0.75 · IoU 0.31")


def test_the_server_counts_again_once_a_slider_stands_still(page: Page, start: Start) -> None:
    made = start()
    expect(page.get_by_test_id("pile-extra-count")).to_have_text("12")
    before = len(made.said("piles"))
    bar = page.get_by_test_id("piles-bar")
    for _ in range(5):
        bar.press("ArrowRight")
    made.piles = {**PILES, "low": 7}
    expect(page.get_by_test_id("pile-low-count")).to_have_text("7")
    asked = made.said("piles")[before:]
    assert asked[-1]["bar"] == "0.55"
    assert len(asked) < 5
    expect(page.get_by_test_id("piles-sentence")).to_contain_text("IoU 0.55")


def test_a_whole_pile_is_acted_on_and_taken_back_at_once(page: Page, start: Start) -> None:
    made = start()
    page.get_by_test_id("pile-add").click()
    expect(page.get_by_test_id("piles-done")).to_have_text("12 instances on 12 images added.")
    expect(page.get_by_test_id("pile-extra-count")).to_have_text("0")
    expect(page.get_by_test_id("piles-rows")).to_contain_text("This pile is empty.")
    expect(page.get_by_test_id("pile-add")).to_have_count(0)
    (said,) = made.said("act")
    assert len(said.pop("key")) == 36
    assert said == {
        "project": PROJECT,
        "checkpoint": "first",
        "bar": 0.5,
        "min_score": 0.5,
        "pile": "extra",
        "action": "add",
        "rows": None,
        "actor": "me",
    }
    made.piles = dict(PILES)
    page.get_by_test_id("piles-undo").click()
    expect(page.get_by_test_id("piles-undo-text")).to_contain_text("Undone on 3 images.")
    expect(page.get_by_test_id("pile-extra-count")).to_have_text("12")
    assert wanted(page) == [["reload"], ["reload"]]


@pytest.mark.parametrize(
    ("pile", "actions"),
    [("extra", ["add", "dismiss"]), ("missed", ["review", "reject"]), ("low", ["take", "review"])],
)
def test_every_pile_has_its_actions(
    page: Page, start: Start, pile: str, actions: list[str]
) -> None:
    start()
    page.get_by_test_id(f"pile-{pile}").click()
    expect(page.get_by_test_id(f"pile-{pile}")).to_have_attribute("aria-pressed", "true")
    for action in actions:
        expect(page.get_by_test_id(f"pile-{action}").last).to_contain_text("all")


def test_chosen_rows_alone_are_acted_on_by_keys(page: Page, start: Start) -> None:
    made = start()
    page.get_by_test_id("pile-missed").click()
    rows = page.get_by_test_id("piles-rows")
    expect(rows.locator("[data-at='2']")).to_contain_text("image-00002")
    rows.press("ArrowDown")
    rows.press("Space")
    rows.press("ArrowDown")
    rows.press("ArrowDown")
    rows.press("Space")
    button = page.get_by_test_id("pile-reject")
    expect(button).to_have_text("Reject: 2 chosen")
    button.press("Enter")
    expect(page.get_by_test_id("piles-done")).to_have_text("2 instances on 2 images rejected.")
    assert made.said("act")[0]["rows"] == [
        {"key": f"d{PROJECT}-{at}", "label": f"t{at}", "found": None} for at in (0, 2)
    ]
    expect(page.get_by_test_id("pile-missed-count")).to_have_text("1")
    expect(rows).to_be_focused()


def test_a_row_leads_to_its_instance_and_the_dialog_comes_back_as_it_was(
    page: Page, start: Start
) -> None:
    start()
    page.get_by_test_id("pile-low").click()
    page.get_by_test_id("piles-rows").locator("[data-at='3']").get_by_role("button").click()
    expect(page.get_by_test_id("label-dialog")).to_be_hidden()
    assert wanted(page) == [["open", f"d{PROJECT}-3", "t3"]]
    page.evaluate("rooms.piles.open()")
    expect(page.get_by_test_id("pile-low")).to_have_attribute("aria-pressed", "true")
    rows = page.get_by_test_id("piles-rows")
    expect(rows.locator("[data-at='0']")).to_contain_text("image-00000")
    rows.press("ArrowDown")
    rows.press("Enter")
    assert wanted(page)[-1] == ["open", f"d{PROJECT}-0", "t0"]


def test_what_has_no_label_is_pointed_at(page: Page, start: Start) -> None:
    start()
    row = page.get_by_test_id("piles-rows").locator("[data-at='0']")
    row.get_by_role("button").click()
    assert wanted(page) == [["open", f"d{PROJECT}-0", None], ["zoom", [0, 5, 10, 10]]]


def test_long_piles_hold_only_what_is_in_sight(page: Page, start: Start) -> None:
    start(piles={**PILES, "extra": 50_000})
    rows = page.get_by_test_id("piles-rows")
    expect(page.get_by_test_id("pile-add")).to_have_text("Add: all 50 000")
    rows.evaluate("(box) => { box.scrollTop = box.scrollHeight }")
    expect(rows.locator("[data-at='49999']")).to_contain_text("image-49999")
    assert rows.get_by_test_id("line-row").count() < 30


def test_images_without_a_result_offer_to_run_the_checkpoint(page: Page, start: Start) -> None:
    running = {"stage": "running", "done": 19, "total": 24, "seconds_left": 40}
    made = start(
        piles={**PILES, "waiting": 5},
        steps=[running, {**running, "stage": "finished", "done": 24}],
    )
    waiting = page.get_by_test_id("piles-waiting")
    expect(waiting).to_contain_text("5 images have no result of this checkpoint yet")
    page.get_by_test_id("piles-run").click()
    expect(waiting).to_have_text("The checkpoint runs: 19 of 24 images, 40 s left")
    made.piles = dict(PILES)
    expect(waiting).to_be_hidden()
    assert made.said("run") == [{"dataset": PROJECT, "checkpoint": "first"}]


def test_refusals_leave_the_pile_as_it_is(rough_page: Page, site: Site) -> None:
    page = rough_page
    made = Planted(site, refusals={"act": "The images have changed: count again."})
    label_dialogs.show(page, site)
    page.evaluate("rooms.piles.open()")
    page.get_by_test_id("pile-dismiss").click()
    complaint = page.get_by_test_id("piles-complaint")
    expect(complaint).to_have_text("The images have changed: count again.")
    expect(page.get_by_test_id("pile-dismiss")).to_have_text("Dismiss: all 12")
    made.refusals = {"piles": "The checkpoint can't be read."}
    page.get_by_test_id("pile-missed").click()
    expect(complaint).to_have_text("The checkpoint can't be read.")
    expect(page.get_by_test_id("pile-missed-count")).to_have_text("–")


def test_without_a_label_nothing_is_said_about_agreement(page: Page, start: Start) -> None:
    start(piles={**PILES, "agree": 0, "low": 0, "missed": 0})
    expect(page.get_by_test_id("piles-sentence")).to_have_text(
        "No label in 24 images yet: everything that the model found is extra."
    )
