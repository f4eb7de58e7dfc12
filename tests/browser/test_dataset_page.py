"""A COCO folder on the page, from its path to the stage that lost an object; real routes."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.folders import IMAGES, folder_of_blobs, open_folder, run_over_all
from tests.browser.served import PATIENCE, Site, state, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:.*(no_silent_downcasting|copy keyword)"),  # gradio of pandas
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]


def test_from_a_path_to_what_the_model_missed(site: Site, page: Page, tmp_path: Path) -> None:
    open_folder(page, site, folder_of_blobs(tmp_path / "dataset"))
    expect(page.get_by_test_id("dataset-facts")).to_contain_text(f"{IMAGES} images")
    run_over_all(page)
    page.get_by_test_id("threshold").evaluate(
        "(slider) => { slider.value = 0.05; slider.dispatchEvent(new Event('input')) }"
    )
    expect(page.get_by_test_id("image-precision")).to_have_text("1.00", timeout=PATIENCE)
    missed = page.get_by_test_id("count-fn").text_content()
    assert missed is not None
    assert int(missed) >= IMAGES - 1  # the dark objects, but where a blob lies
    page.get_by_test_id("grid-sort").select_option("fn")
    page.get_by_test_id("tile").first.click()
    until(page, "s.front === 'viewer' && s.totals !== null")
    now = state(page)
    assert now["totals"]["fp"] == 0
    (lost,) = [one for one, judged in now["verdicts"].items() if judged["verdict"] == "fn"]
    point = page.evaluate("id => window.studio.point(id)", lost)
    page.mouse.click(point["x"], point["y"])
    until(page, f"s.selected === '{lost}'")
    reason = page.get_by_test_id("autopsy")
    expect(reason).to_have_attribute("data-cause", "no_proposal", timeout=PATIENCE)
    expect(page.get_by_test_id("autopsy-sentence")).to_contain_text("proposal")


def test_the_whole_set_and_its_images_agree(site: Site, page: Page, tmp_path: Path) -> None:
    open_folder(page, site, folder_of_blobs(tmp_path / "dataset"))
    run_over_all(page)
    whole = [page.get_by_test_id(f"count-{name}").text_content() for name in ("tp", "fp", "fn")]
    sums = np.zeros(3, int)
    page.get_by_test_id("tile").first.click()
    for number in range(IMAGES):
        until(page, f"s.document?.endsWith('-{number}') && s.totals !== null")
        totals = state(page)["totals"]
        sums += [totals["tp"], totals["fp"], totals["fn"]]
        page.keyboard.press("PageDown")
    assert [str(count) for count in sums.tolist()] == whole


def test_precision_over_recall_is_drawn_and_a_cell_opens_its_instances(
    site: Site, page: Page, tmp_path: Path
) -> None:
    open_folder(page, site, folder_of_blobs(tmp_path / "dataset"))
    run_over_all(page)
    page.get_by_test_id("tab-metrics").click()
    expect(page.locator("#curves .main-svg").first).to_be_visible(timeout=PATIENCE)
    place, over = page.get_by_test_id("curves-place").bounding_box(), page.locator("#curves")
    box = over.bounding_box()
    assert place is not None
    assert box is not None
    assert abs(box["x"] - place["x"]) <= 1
    assert abs(box["width"] - place["width"]) <= 1
    expect(over).to_contain_text("blob")
    cell = page.get_by_test_id("confusion-cell").first
    count = cell.text_content()
    cell.click()
    expect(page.get_by_test_id("set-instances-count")).to_have_text(str(count), timeout=PATIENCE)
    page.get_by_test_id("set-instances").get_by_test_id("line-row").first.click()
    until(page, "s.front === 'viewer' && s.selected !== null")


def test_an_address_of_a_dataset_opens_in_a_fresh_page(
    site: Site, page: Page, tmp_path: Path
) -> None:
    open_folder(page, site, folder_of_blobs(tmp_path / "dataset"))
    run_over_all(page)
    page.get_by_test_id("tile").nth(2).click()
    until(page, "s.front === 'viewer' && s.totals !== null && s.document.endsWith('-2')")
    page.get_by_test_id("colour-verdict").click()
    page.get_by_test_id("panel-side").click()
    page.keyboard.press("j")
    page.wait_for_timeout(500)
    told = ["document", "selected", "panel", "colouring", "totals", "front", "dataset"]
    before, address = state(page), page.url
    page.goto("about:blank")
    page.goto(address)
    until(page, f"s.selected === '{before['selected']}' && s.totals !== null")
    after = state(page)
    assert {name: after[name] for name in told} == {name: before[name] for name in told}
    assert after["selected"] is not None


@pytest.mark.parametrize("tab", ["tab-metrics", "page-report"])
def test_a_page_that_needs_a_run_offers_it(
    site: Site, browser: Browser, tmp_path: Path, tab: str
) -> None:
    page = browser.new_page()  # that there is no report yet is an error in its console
    open_folder(page, site, folder_of_blobs(tmp_path / "dataset"))
    page.get_by_test_id(tab).click()
    page.get_by_test_id("run-offer").locator("visible=true").click(timeout=PATIENCE)
    expect(page.get_by_test_id("run-text")).to_have_text(
        f"{IMAGES} of {IMAGES} images", timeout=PATIENCE
    )
    shown = "confusion" if tab == "tab-metrics" else "report-page"
    expect(page.get_by_test_id(shown)).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_test_id("run-offer").locator("visible=true")).to_have_count(0)
    page.close()
