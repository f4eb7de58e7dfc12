"""The film of how instances are made, over routes whose numbers are known."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.canvas import harness, planted
from tests.canvas.planted import DATASET, Planted
from tests.canvas.scene import state

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

Start = Callable[..., Planted]

FILMED = f"?source=dataset&dataset={DATASET}&mode=viewer&image=d{DATASET}-0&instance=p1"
# every place of the film that is drawn
WATCH = """
window.watched = [];
const look = () => {
  const { at } = studio.state().film;
  if (at !== null) watched.push(at);
  requestAnimationFrame(look);
};
look();
"""
INKED = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Uint32Array(data.buffer).some((pixel) => pixel !== 0);
}"""


@pytest.fixture
def start(page: Page, site: harness.Site) -> Start:
    """Give a function that opens an image of the planted dataset with an instance picked."""

    def show(more: str = "", **options: bool) -> Planted:
        made = Planted(site, **options)
        page.goto(site.put_page(planted.value()) + FILMED + more)
        page.wait_for_function("Boolean(window.studio)")
        until(page, "s.ready && s.selected === 'p1'")
        return made

    return show


def until(page: Page, condition: str) -> None:
    page.wait_for_function(f"(() => {{ const s = studio.state(); return {condition} }})()")


def test_the_making_of_a_mask_is_shown_step_by_step(page: Page, start: Start) -> None:
    made = start()
    steps = []
    for _ in range(7):
        page.keyboard.press("r")
        until(page, "s.film.at === null || s.film.ready")
        steps.append(state(page)["film"]["stage"])
    assert steps == ["proposal", "first", "votes", "box", "mask", "iou", None]
    page.get_by_test_id("film-open").click()
    page.get_by_test_id("film-votes").click()
    expect(page.get_by_test_id("film-meaning")).to_contain_text("7 by 7")
    expect(page.get_by_test_id("film-facts")).to_contain_text("25.0 of 49")
    expect(page.locator(".cs-film-flag")).to_contain_text("Moved level")
    assert state(page)["film"]["at"] == 0.4
    page.keyboard.press("Escape")
    assert (state(page)["film"]["at"], state(page)["selected"]) == (None, "p1")
    assert len([what for what, _ in made.asked if what == "trace"]) == 2  # once for each opening


def test_time_goes_back_and_forth_by_keys(page: Page, start: Start) -> None:
    start()
    page.keyboard.press(".")  # opens it
    until(page, "s.film.ready && s.film.at === 0")
    for key, at in ((".", 0.02), (".", 0.04), (",", 0.02), (",", 0.0), (",", 0.0)):
        page.keyboard.press(key)
        assert abs(state(page)["film"]["at"] - at) < 1e-9
    scrubber = page.get_by_test_id("film-scrub")
    scrubber.focus()
    page.keyboard.press("End")
    until(page, "s.film.at === 1")
    page.keyboard.press(",")  # while the scrubber has the focus too
    until(page, "Math.abs(s.film.at - 0.98) < 1e-9")


def test_all_instances_are_filmed_at_once_as_far_as_they_are_shown(
    page: Page, start: Start
) -> None:
    made = start("&score=0.7")
    page.keyboard.press("f")
    until(page, "s.film.ready && s.film.all && s.film.playing")
    assert state(page)["film"]["count"] == 2  # of 0.9, 0.8 and 0.6
    page.keyboard.press("Shift+R")
    until(page, "!s.film.playing")
    page.keyboard.press("[")
    for _ in range(10):
        page.keyboard.press("[")
    until(page, "s.film.count === 3")
    assert len([what for what, _ in made.asked if what == "traces"]) == 1
    drawn = page.evaluate("window.studio.film()")
    assert [one["id"] for one in drawn] == ["p1", "p2", "p3"]
    assert drawn[2]["votes"][48] == [10, 10, 40, 34]
    page.keyboard.press("f")
    until(page, "s.film.ready && !s.film.all && s.film.count === 1")


def test_who_wants_less_motion_sees_stages_and_nothing_between(page: Page, start: Start) -> None:
    page.emulate_media(reduced_motion="reduce")
    start()
    page.evaluate(WATCH)
    page.keyboard.press("r")
    until(page, "s.film.ready")
    page.keyboard.press("r")
    assert state(page)["film"]["at"] == 0.2  # at once
    page.keyboard.press("Shift+R")
    until(page, "s.film.at === 0.6")
    page.keyboard.press("Shift+R")
    assert set(page.evaluate("window.watched")) <= {0, 0.2, 0.4, 0.6}


def test_otherwise_there_are_frames_between_the_stages(page: Page, start: Start) -> None:
    page.emulate_media(reduced_motion="no-preference")
    start()
    page.evaluate(WATCH)
    page.keyboard.press("r")
    until(page, "s.film.ready")
    page.keyboard.press("r")
    until(page, "s.film.at === 0.2 && !s.film.playing")
    between = [at for at in page.evaluate("window.watched") if 0 < at < 0.2]
    assert len(set(between)) > 3
    assert between == sorted(between)


def test_the_final_mask_hides_while_the_film_runs(page: Page, start: Start) -> None:
    start()
    masks = page.locator("canvas[data-layer=masks]")
    assert masks.evaluate(INKED)
    page.keyboard.press("r")
    until(page, "s.film.ready && s.ready")
    assert not masks.evaluate(INKED)
    page.keyboard.press("Escape")
    until(page, "s.film.at === null && s.ready")
    assert masks.evaluate(INKED)


def test_what_can_not_be_told_says_why(rough_page: Page, site: harness.Site) -> None:
    page = rough_page
    Planted(site)
    page.goto(site.put_page(planted.value()) + FILMED)
    page.wait_for_function("Boolean(window.studio)")
    until(page, "s.ready && s.selected === 'p1'")
    reason = "The checkpoint has not seen this image yet."
    site.routes.insert(0, (r"GET /api/traces/(\S+)", lambda _: (409, {"detail": reason})))
    page.keyboard.press("r")
    expect(page.get_by_test_id("film-meaning")).to_have_text(reason)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")  # drops the pick
    page.keyboard.press("r")
    expect(page.get_by_test_id("film-meaning")).to_contain_text("Pick an instance")
    page.goto("about:blank")


def test_without_collaboration_nothing_pretends_a_second_pass(page: Page, start: Start) -> None:
    start(collaborative=False)
    page.keyboard.press("r")
    until(page, "s.film.ready")
    stops = page.get_by_test_id("film-stops").get_by_role("button")
    expect(stops).to_have_text(["Proposal", "Mask", "Votes", "Mean box", "Predicted IoU"])
    expect(page.get_by_test_id("film-facts")).to_contain_text("all equal")
    expect(page.get_by_test_id("film-facts")).not_to_contain_text("2nd mask")
    page.get_by_test_id("film-votes").click()
    expect(page.get_by_test_id("film-meaning")).to_contain_text("All of them weigh the same")
    expect(page.get_by_test_id("film-legend")).to_be_hidden()
    page.get_by_test_id("film-iou").click()
    until(page, "s.film.at === 1")
    moment = state(page)["film"]["moment"]
    assert (moment["first"] > 0, moment["second"]) == (True, 0)


def test_files_are_those_of_what_is_filmed(page: Page, start: Start) -> None:
    start("&score=0.7")
    page.keyboard.press("r")
    until(page, "s.film.ready")
    gif, strip = page.get_by_test_id("film-gif"), page.get_by_test_id("film-png")
    own = f"/api/films/d{DATASET}-0"
    expect(gif).to_have_attribute("href", f"{own}.gif?checkpoint=first&instance=p1")
    page.keyboard.press("f")
    until(page, "s.film.ready && s.film.all")
    expect(strip).to_have_attribute(
        "href", f"{own}.png?checkpoint=first&instance=all&min_score=0.7"
    )
