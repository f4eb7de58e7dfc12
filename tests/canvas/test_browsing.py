"""A dataset on the page: open it, look through the grid, filter, run, come back by an address."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.canvas import harness, planted
from tests.canvas.planted import DATASET, Planted
from tests.canvas.scene import click_at, set_slider, state

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

NODES = "document.querySelectorAll('*').length"
Start = Callable[..., Planted]


@pytest.fixture
def start(page: Page, site: harness.Site) -> Start:
    """Give a function that opens the planted dataset in a browser."""

    def show(address: str = f"?source=dataset&dataset={DATASET}", **options: object) -> Planted:
        made = Planted(site, **options)  # type: ignore[arg-type]
        page.goto(site.put_page(planted.value()) + address)
        page.wait_for_function("Boolean(window.studio)")
        return made

    return show


def until(page: Page, condition: str) -> None:
    page.wait_for_function(f"(() => {{ const s = studio.state(); return {condition} }})()")


def tile(page: Page, at: int) -> object:
    return page.locator(f"[data-testid=tile][data-at='{at}']")


def test_without_a_dataset_the_page_says_the_next_step_and_offers_it(
    page: Page, start: Start
) -> None:
    start("")
    expect(page.get_by_test_id("dataset-empty")).to_contain_text("No dataset is open")
    page.get_by_test_id("dataset-start").click()
    expect(page.get_by_test_id("folder")).to_be_focused()
    expect(page.get_by_test_id("recent-dataset")).to_contain_text("planted24 images")
    page.get_by_test_id("recent-dataset").click()
    expect(page.get_by_test_id("tile").first).to_be_visible()
    assert state(page)["dataset"] == DATASET
    page.get_by_test_id("dataset-other").click()
    expect(page.get_by_test_id("dataset-form")).to_be_visible()


def test_a_folder_is_opened_by_its_path_and_its_reading_shows(page: Page, start: Start) -> None:
    made = start("")
    made.indexing = [
        {"state": "indexing", "done": 30, "total": 120, "sentence": "Reading annotations"},
        {"state": "indexing", "done": 90, "total": 120, "sentence": "Reading annotations"},
    ]
    page.get_by_test_id("folder").fill(" /data/planted ")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("indexing-text")).to_have_text("Reading annotations 25 %")
    expect(page.get_by_test_id("indexing-text")).to_have_text("Reading annotations 75 %")
    expect(page.get_by_test_id("tile")).to_have_count(24)
    assert made.asked[0] == ("open", {"folder": "/data/planted", "annotations": None})
    expect(page.get_by_test_id("dataset-facts")).to_have_text(
        "24 images · 80 objects · 2 classes · 1 file missing"
    )


def test_what_cannot_be_opened_says_why_where_it_was_asked_for(
    rough_page: Page, site: harness.Site
) -> None:
    page = rough_page
    Planted(site)
    page.goto(site.put_page(planted.value()))
    page.get_by_test_id("folder").fill("/nowhere")
    page.get_by_test_id("folder-open").click()
    complaint = page.get_by_test_id("dataset-complaint")
    expect(complaint).to_have_text("There is no folder /nowhere.")
    page.get_by_test_id("samples-fetch").click()
    expect(complaint).to_contain_text("there is no network")
    expect(page.get_by_test_id("indexing")).to_be_hidden()
    page.goto(site.address + "/?source=dataset&dataset=ffffffffffff")
    expect(complaint).to_have_text("This dataset is not on the server any more.")
    expect(page.get_by_test_id("dataset-form")).to_be_visible()


def test_tiles_say_how_well_the_model_did_or_why_nobody_knows(page: Page, start: Start) -> None:
    start()
    expect(tile(page, 0)).to_contain_text("●2✕1○1")  # type: ignore[arg-type]
    expect(tile(page, 3)).to_contain_text("The model ran out of memory.")  # type: ignore[arg-type]
    expect(tile(page, 5)).to_contain_text("file is missing")  # type: ignore[arg-type]
    expect(tile(page, 7)).to_contain_text("no result yet")  # type: ignore[arg-type]
    expect(tile(page, 1)).to_contain_text(planted.HOSTILE)  # type: ignore[arg-type]
    assert page.title() == "canvas"


def test_a_hundred_thousand_images_cost_what_is_in_sight(page: Page, start: Start) -> None:
    made = start(images=100_000)
    expect(page.get_by_test_id("tile").first).to_be_visible()
    expect(page.get_by_test_id("grid-count")).to_have_text("100 000 images")
    nodes = page.evaluate(NODES)
    assert nodes < 1500
    page.get_by_test_id("jump").fill("90000")
    page.keyboard.press("Enter")
    wanted = page.locator("[data-testid=tile][data-at='89999'][data-state=done]")
    expect(wanted).to_have_attribute("aria-selected", "true")
    expect(wanted).to_contain_text("image-089999")
    assert page.evaluate(NODES) < nodes + 300
    expect(page.locator("[data-testid=tile][data-state=loading]")).to_have_count(0)
    offsets = {said["offset"] for what, said in made.asked if what == "grid"}
    assert offsets == {"0", "89900", "90000"}  # nothing on the way was fetched
    page.keyboard.press("End")
    last = page.locator("[data-testid=tile][data-at='99999'][data-state=done]")
    expect(last).to_be_in_viewport()


def test_scrolling_fast_fetches_only_where_it_ends(page: Page, start: Start) -> None:
    made = start(images=100_000)
    expect(page.get_by_test_id("tile").first).to_be_visible()
    made.asked.clear()
    grid = page.get_by_test_id("grid")
    grid.evaluate(
        """async (box) => {
          for (let step = 1; step <= 30; step++) {
            box.scrollTop = step * 100_000;
            await new Promise((resolve) => requestAnimationFrame(resolve));
          }
        }"""
    )
    until(page, "document.querySelector('[data-testid=tile][data-state=done]')")
    assert len([what for what, _ in made.asked if what == "grid"]) <= 3


def test_the_grid_goes_by_keys(page: Page, start: Start) -> None:
    start()
    expect(page.get_by_test_id("tile")).to_have_count(24)
    page.get_by_test_id("grid").focus()
    columns = page.evaluate(
        "() => { const tops = [...document.querySelectorAll('[data-testid=tile]')]"
        ".map((one) => one.getBoundingClientRect().top);"
        " return tops.filter((top) => top === tops[0]).length }"
    )
    for key, selected in (("ArrowRight", 1), ("ArrowDown", 1 + columns), ("Home", 0), ("End", 23)):
        page.keyboard.press(key)
        assert state(page)["grid"]["selected"] == selected
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    until(page, "s.ready && s.front === 'viewer'")
    assert state(page)["document"] == f"d{DATASET}-0"
    page.keyboard.press("PageDown")
    until(page, f"s.ready && s.document === 'd{DATASET}-1'")
    page.keyboard.press("n")  # 2 has no mistake, 3 failed
    until(page, f"s.ready && s.document === 'd{DATASET}-4'")
    page.keyboard.press("Shift+N")
    until(page, f"s.ready && s.document === 'd{DATASET}-1'")
    page.keyboard.press("g")
    expect(page.get_by_test_id("grid")).to_be_visible()
    page.get_by_test_id("tile").nth(0).click()
    until(page, "s.ready && s.front === 'viewer'")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("grid")).to_be_visible()


def test_filters_and_order_ask_for_another_list(page: Page, start: Start) -> None:
    made = start()
    expect(page.get_by_test_id("tile")).to_have_count(24)
    page.get_by_test_id("filter-name").fill("00002")
    expect(page.get_by_test_id("tile")).to_have_count(5)  # 2, and 20 to 23
    expect(page.get_by_test_id("grid-count")).to_have_text("5 of 24 images")
    page.get_by_test_id("filter-category").select_option("2")
    page.get_by_test_id("filter-size").select_option("small")
    page.get_by_test_id("filter-error").select_option("duplicate")
    page.get_by_test_id("grid-sort").select_option("errors")
    expect(page.get_by_test_id("tile").first).to_contain_text("image-000023")
    said = [said for what, said in made.asked if what == "grid"][-1]
    wanted = {"name": "00002", "category": "2", "size": "small", "error": "duplicate"}
    assert {name: said[name] for name in wanted} == wanted
    assert (said["sort"], said["dataset"], said["checkpoint"]) == ("errors", DATASET, "first")
    page.get_by_test_id("filter-clear").click()
    expect(page.get_by_test_id("grid-count")).to_have_text("24 images")
    page.get_by_test_id("filter-name").fill("nowhere")
    expect(page.get_by_test_id("grid-note")).to_contain_text("No image passes the filters.")
    page.get_by_test_id("grid-clear").click()
    expect(page.get_by_test_id("grid-count")).to_have_text("24 images")


def test_the_numbers_of_the_set_follow_the_sliders_one_request_a_stop(
    page: Page, start: Start
) -> None:
    made = start()
    expect(page.get_by_test_id("count-tp")).to_have_text("50")
    expect(page.get_by_test_id("numbers-title")).to_have_text("24 images")
    expect(page.get_by_test_id("image-precision")).to_have_text("0.88")
    made.asked.clear()
    page.get_by_test_id("threshold").evaluate(
        """(slider) => {
          for (let hundredths = 50; hundredths <= 80; hundredths++) {
            slider.value = hundredths / 100;
            slider.dispatchEvent(new Event("input"));
          }
        }"""
    )
    expect(page.get_by_test_id("count-tp")).to_have_text("20")
    page.wait_for_timeout(500)
    metrics = [said for what, said in made.asked if what == "metrics"]
    assert [said["score"] for said in metrics] == ["0.8"]
    assert len([what for what, _ in made.asked if what == "grid"]) == 1


def test_error_kinds_and_cells_open_their_instances(page: Page, start: Start) -> None:
    made = start()
    page.get_by_test_id("error-localisation").click()
    expect(page.get_by_test_id("set-instances-title")).to_have_text("poor fit")
    expect(page.get_by_test_id("set-instances-count")).to_have_text("9")
    expect(page.get_by_test_id("set-instances").get_by_test_id("line-row")).to_have_count(9)
    assert state(page)["place"]["error"] == "localisation"
    page.get_by_test_id("tab-metrics").click()
    cells = page.get_by_test_id("confusion-cell")
    expect(cells).to_have_count(8)  # one of the nine is empty
    expect(cells.nth(1)).to_have_text("3")
    cells.nth(1).click()
    expect(page.get_by_test_id("set-instances-title")).to_have_text("cell found as nucleus")
    expect(page.get_by_test_id("set-instances-count")).to_have_text("3")
    assert [said for what, said in made.asked if what == "instances"][-1]["cell"] == "1,2"
    cells.nth(2).click()
    expect(page.get_by_test_id("set-instances-title")).to_have_text("cell not found")
    page.get_by_test_id("set-instances").get_by_test_id("line-row").nth(1).click()
    until(page, f"s.ready && s.document === 'd{DATASET}-1' && s.selected === 'p3'")
    page.go_back()
    expect(page.get_by_test_id("confusion")).to_be_visible()
    page.get_by_test_id("tab-grid").click()
    expect(page.get_by_test_id("filter-cell")).to_contain_text("cell not found")
    page.get_by_test_id("filter-cell").click()
    assert state(page)["place"]["cell"] == ""


def test_two_checkpoints_are_compared_instance_by_instance(page: Page, start: Start) -> None:
    made = start()
    page.get_by_test_id("tab-compare").click()
    expect(page.get_by_test_id("diff")).to_contain_text("Choose a second checkpoint")
    page.get_by_test_id("diff-other").select_option("second")
    rows = page.get_by_test_id("diff-rows").get_by_test_id("line-row")
    expect(rows).to_have_count(4)
    expect(page.get_by_test_id("diff-gained")).to_contain_text("1 gained")
    expect(page.get_by_test_id("diff-false_gained")).to_contain_text("+ 1 false gained")
    expect(rows.last).to_contain_text("no true object")
    page.get_by_test_id("diff-false_gained").click()
    expect(rows).to_have_count(1)
    rows.first.click()  # it is to be seen with the second checkpoint alone
    until(page, "s.front === 'viewer' && s.place.checkpoint === 'second'")
    page.go_back()
    until(page, "s.front === 'compare' && s.place.checkpoint === 'first'")
    assert state(page)["place"]["other"] == "second"
    expect(page.get_by_test_id("diff-false_gained")).to_have_attribute("aria-pressed", "true")
    page.get_by_test_id("diff-false_gained").click()
    expect(rows).to_have_count(4)
    expect(rows.first).to_contain_text("lost")
    said = [said for what, said in made.asked if what == "compare"][-1]
    assert (said["a"], said["b"], said["sort"]) == ("first", "second", "change")
    rows.first.click()
    until(page, "s.ready && s.selected === 'p1'")


def test_a_missed_object_says_why_and_names_what_suppressed_it(page: Page, start: Start) -> None:
    made = start(f"?source=dataset&dataset={DATASET}&mode=viewer&image=d{DATASET}-0&instance=t2")
    until(page, "s.ready && s.selected === 't2'")
    expect(page.get_by_test_id("autopsy-sentence")).to_contain_text("suppressed by a surer one")
    said = [said for what, said in made.asked if what == "autopsy"]
    assert said == [{"checkpoint": "first", "score": "0.5", "iou": "0.5", "kind": "mask"}]
    page.get_by_test_id("autopsy-suppressor").click()
    assert state(page)["selected"] == "p3"
    expect(page.get_by_test_id("autopsy")).to_have_count(0)


def test_a_run_shows_how_far_it_is_can_be_stopped_and_lists_failures(
    page: Page, start: Start
) -> None:
    made = start(judged=2)
    expect(page.get_by_test_id("run-text")).to_have_text("2 of 23 images")  # one file is missing
    page.get_by_test_id("run-start").click()
    expect(page.get_by_test_id("run-text")).to_have_text("4 of 24 images, 2 min left")
    failed = [{"key": f"d{DATASET}-3", "file_name": planted.HOSTILE, "sentence": "Out of memory."}]
    made.run |= {"done": 9, "failed": failed, "seconds_left": 40}
    expect(page.get_by_test_id("run-text")).to_have_text("9 of 24 images, 1 failed, 40 s left")
    page.get_by_test_id("run-stop").click()
    expect(page.get_by_test_id("run-start")).to_have_text("Go on with the run")
    page.get_by_test_id("run-failed-count").click()
    expect(page.get_by_test_id("run-failure")).to_contain_text("Out of memory.")
    expect(page.get_by_test_id("run-failure")).to_contain_text(planted.HOSTILE)
    page.reload()
    expect(page.get_by_test_id("run-text")).to_have_text("9 of 24 images, 1 failed")
    page.get_by_test_id("run-retry").click()
    expect(page.get_by_test_id("run-stop")).to_be_visible()
    assert [what for what, _ in made.asked if what in ("run", "stop", "retry")] == [
        "run",
        "stop",
        "retry",
    ]


def test_the_report_stands_on_its_own_page(page: Page, start: Start) -> None:
    start(f"?source=dataset&dataset={DATASET}&tab=report")
    frame = page.frame_locator("[data-testid=report-page]")
    expect(frame.locator("h1")).to_have_text("AP 0.42")
    for kind in ("html", "json"):
        link = page.get_by_test_id(f"report-{kind}")
        expect(link).to_have_attribute("href", f"/api/reports/{DATASET}.{kind}?checkpoint=first")
    page.evaluate("window.dispatchEvent(new CustomEvent('studio-page', {detail: 'browse'}))")
    expect(page.get_by_test_id("grid")).to_be_visible()


def test_without_truth_there_is_only_what_was_found(page: Page, start: Start) -> None:
    made = start(truth=False)
    expect(page.get_by_test_id("tile").first).to_be_visible()
    expect(page.get_by_test_id("tab-metrics")).to_be_disabled()
    for name in ("match-section", "numbers", "set-tables"):
        expect(page.get_by_test_id(name)).to_be_hidden()
    assert "metrics" not in [what for what, _ in made.asked]


def test_an_address_opens_the_same_state_in_a_fresh_browser(page: Page, start: Start) -> None:
    start()
    page.get_by_test_id("filter-name").fill("image")
    page.get_by_test_id("grid-sort").select_option("fn")
    until(page, "s.grid.url?.includes('sort=fn')")
    page.get_by_test_id("tile").nth(2).click()
    until(page, "s.ready && s.front === 'viewer'")
    click_at(page, "p2")
    page.get_by_test_id("colour-verdict").click()
    page.get_by_test_id("panel-side").click()
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("b")
    set_slider(page, "threshold", 0.3)
    set_slider(page, "iou", 0.65)
    page.get_by_test_id("kind-box").click()
    until(page, "location.search.includes('kind=box')")
    page.wait_for_timeout(400)
    told = ["place", "document", "selected", "threshold", "iou", "kind", "panel", "colouring"]
    told += ["switches", "zoom", "pan", "totals", "shown", "dataset", "front"]
    before = state(page)
    address = page.url
    page.goto("about:blank")
    held: list[Route] = []
    page.route("**/api/documents/**", lambda route: held.append(route))
    page.goto(address)
    until(page, "s.dataset && s.front === 'viewer'")
    page.wait_for_timeout(600)  # more than the pause after which the address is written
    assert page.url == address  # it keeps what it asks for while the image is on its way
    held[0].continue_()
    until(page, "s.ready && s.selected === 'p2'")
    after = state(page)
    assert {name: after[name] for name in told} == {name: before[name] for name in told}
    page.wait_for_timeout(400)
    assert page.url == address


def test_back_undoes_steps_and_not_slider_moves(page: Page, start: Start) -> None:
    start()
    page.get_by_test_id("tile").nth(0).click()
    until(page, "s.ready && s.front === 'viewer'")
    for hundredths in (60, 70, 80):
        set_slider(page, "threshold", hundredths / 100)
        page.wait_for_timeout(250)
    page.keyboard.press("PageDown")
    until(page, f"s.ready && s.document === 'd{DATASET}-1'")
    page.go_back()
    until(page, f"s.ready && s.document === 'd{DATASET}-0' && s.threshold === 0.8")
    page.go_back()
    until(page, "s.front === 'grid'")
    page.go_forward()
    until(page, f"s.ready && s.front === 'viewer' && s.document === 'd{DATASET}-0'")


def test_nonsense_in_the_address_is_passed_over(page: Page, start: Start) -> None:
    start(f"?source=dataset&dataset={DATASET}&score=nan&iou=-1&kind=x&panel=%3Cb%3E&at=1,2&mode=zz")
    expect(page.get_by_test_id("tile").first).to_be_visible()
    now = state(page)
    assert (now["threshold"], now["iou"], now["kind"], now["place"]["mode"]) == (
        0.5,
        0.5,
        "mask",
        "grid",
    )
