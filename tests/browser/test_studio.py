"""The Studio as people meet it: in a browser, with a model that finds bright blobs."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from pycocotools import mask as codec
from pycocotools.coco import COCO

from comask.annotation.records import Rle
from tests.app.standins import STAND_IN, BlobDetector, blobs, encode, studio
from tests.browser.served import (
    PATIENCE,
    Site,
    above,
    prediction_of,
    quiet,
    requests_during,
    serve,
    show,
    slide,
    state,
    until,
    upload,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:.*(no_silent_downcasting|copy keyword)"),  # gradio of pandas
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

HOSTILE = "<img src=x onerror=document.title='run'> ${document.title='run'} {{value}}.png"


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a Studio that tests look at and leave as it was."""
    detector = BlobDetector()
    services = studio(tmp_path_factory.mktemp("studio"), detector)
    with serve(services) as address:
        yield Site(address, services, detector)


def test_it_opens_on_the_samples_with_their_instances(shared_site: Site, page: Page) -> None:
    prediction = show(page, shared_site)
    opened = state(page)
    assert opened["document"] == shared_site.services.images.listed("samples")[0].key
    assert opened["total"] == len(prediction) > 2
    assert opened["shown"] == above(prediction, opened["threshold"])
    expect(page.get_by_test_id("image")).to_have_count(3)
    for word in ("first", "CPU"):
        expect(page.get_by_test_id("status-text")).to_contain_text(word)


def test_the_slider_shows_what_a_run_at_that_score_gives_and_asks_nobody(
    shared_site: Site, page: Page
) -> None:
    prediction = show(page, shared_site)
    expect(page.get_by_test_id("status-text")).to_contain_text("CPU", timeout=PATIENCE)
    shown: list[list[str]] = []

    def move() -> None:
        for hundredths in (5, 20, 30, 45, 60, 75, 90, 100):
            slide(page, hundredths / 100)
            shown.append(state(page)["shown"])

    assert requests_during(page, move) == []
    expected = [above(prediction, h / 100) for h in (5, 20, 30, 45, 60, 75, 90, 100)]
    assert shown == expected
    assert len({len(found) for found in shown}) > 3


def test_a_click_picks_the_instance_in_the_list_too(shared_site: Site, page: Page) -> None:
    show(page, shared_site)
    slide(page, 0.05)
    expect(page.get_by_test_id("status-text")).to_contain_text("CPU", timeout=PATIENCE)
    wanted = state(page)["shown"][-1]
    point = page.evaluate("id => window.studio.point(id)", wanted)

    def click() -> None:
        page.mouse.click(point["x"], point["y"])

    assert requests_during(page, click) == []
    until(page, f"s.selected === '{wanted}'")
    expect(page.locator("[data-testid=instances] [aria-selected=true]")).to_have_count(1)


@pytest.mark.parametrize("score", [0.05, 0.5])
def test_the_downloaded_file_holds_every_mask_that_is_drawn(
    shared_site: Site, page: Page, tmp_path: Path, score: float
) -> None:
    show(page, shared_site)
    slide(page, score)
    with page.expect_download() as waiting:
        page.get_by_test_id("download").click()
    saved = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(saved)
    assert saved.name == "sample-0.json"
    truth = COCO(str(saved))
    annotations = truth.loadAnns(truth.getAnnIds())
    shown = state(page)["shown"]
    assert len(annotations) == len(shown) > 0
    for annotation, drawn in zip(annotations, shown, strict=True):
        mask = page.evaluate("id => window.studio.mask(id)", drawn)
        inside = codec.decode({"size": mask["size"], "counts": mask["counts"]})
        np.testing.assert_array_equal(truth.annToMask(annotation), inside)
        assert annotation["area"] == mask["area"] == inside.sum()
        assert annotation["bbox"] == mask["bbox"]
    assert [c["name"] for c in truth.loadCats(truth.getCatIds())] == ["blob", "speck"]


def test_uploads_appear_with_their_instances_and_bad_ones_with_a_sentence(
    site: Site, page: Page
) -> None:
    show(page, site)
    upload(
        page,
        [
            ("a.png", blobs(seed=11)),
            ("bad.png", b"hello\n"),
            ("b.png", blobs(seed=12)),
            ("c.png", b""),
        ],
    )
    first = site.services
    until(page, "s.total > 0 && document.querySelectorAll('[data-testid=image]').length === 2")
    images = first.images.listed("uploads")
    assert [image.file_name for image in images] == ["a.png", "b.png"]
    until(page, f"s.document === '{images[0].key}' && s.total > 0")
    assert state(page)["total"] == len(prediction_of(site, images[0].key))
    expect(page.locator("#source")).to_contain_text("Uploads (2)")
    refused = page.get_by_test_id("refused")
    expect(refused).to_contain_text("2 files were not taken")
    expect(refused).to_contain_text("bad.png is text, not an image")
    expect(refused).to_contain_text("c.png is empty (0 bytes)")
    expect(page.get_by_test_id("status-text")).to_contain_text("2 images done", timeout=PATIENCE)
    page.get_by_test_id("refused-close").click()
    expect(refused).to_be_hidden()


def test_uploads_are_there_after_a_reload_and_can_be_removed(site: Site, page: Page) -> None:
    show(page, site)
    upload(page, [("a.png", blobs(seed=11)), ("b.png", blobs(seed=12))])
    expect(page.get_by_test_id("status-text")).to_contain_text("2 images done", timeout=PATIENCE)
    page.reload()
    until(page, "s.total > 0")
    page.locator("#source").get_by_text("Uploads (2)").click()
    first, second = site.services.images.listed("uploads")
    until(page, f"s.document === '{first.key}'")
    page.locator("#remove").click()
    until(page, f"s.document === '{second.key}'")
    page.locator("#remove").click()
    expect(page.get_by_test_id("empty")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_test_id("empty-text")).to_contain_text("Choose images")
    page.get_by_test_id("open-sample").click()
    until(page, "s.total > 0")


def test_of_two_quick_choices_the_later_one_holds(shared_site: Site, page: Page) -> None:
    show(page, shared_site)
    page.evaluate(  # the server takes its time with every event
        """() => {
          const send = window.fetch;
          window.fetch = async (url, asked) => {
            if (String(url).includes("/queue/join")) {
              window.asked = (window.asked ?? 0) + 1;
              await new Promise((done) => setTimeout(done, 1000));
            }
            return send(url, asked);
          };
        }"""
    )
    page.locator("#source").get_by_text("Dataset").click()
    page.wait_for_function("window.asked")
    page.locator("#source").get_by_text("Samples").click()
    # what was chosen first comes, and goes again
    page.wait_for_function("window.studio.state().place.source === 'dataset'")
    until(page, "s.place.source === 'samples' && s.total > 0")
    expect(page.locator("#source input:checked")).to_have_value("samples")


def test_a_folder_of_images_can_be_dropped(site: Site, page: Page) -> None:
    show(page, site)
    page.evaluate(
        """bytes => {
          const held = new DataTransfer();
          held.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"}));
          window.dispatchEvent(new DragEvent("dragover", {dataTransfer: held, bubbles: true}));
          if (document.querySelector("[data-testid=drop]").hidden) throw new Error("no sign");
          window.dispatchEvent(new DragEvent("drop", {dataTransfer: held, bubbles: true}));
        }""",
        list(blobs(seed=13)),
    )
    until(page, "document.querySelector('[data-testid=title]').textContent === 'dropped.png'")
    expect(page.get_by_test_id("drop")).to_be_hidden()


def test_names_of_strangers_are_only_text(site: Site, page: Page) -> None:
    show(page, site)
    upload(page, [(HOSTILE, blobs(seed=11)), (f"{HOSTILE}.txt", b"x\n")])
    until(page, "document.querySelectorAll('[data-testid=image]').length === 1")
    expect(page.get_by_test_id("refused")).to_contain_text("onerror")
    expect(page.get_by_test_id("title")).to_contain_text("onerror")
    assert page.title() == "CoMask Studio"


def test_a_run_over_the_list_shows_its_progress_and_can_be_stopped(site: Site, page: Page) -> None:
    site.detector.gate.clear()
    page.goto(site.address)
    until(page, "s.pending")
    expect(page.get_by_test_id("busy-text")).to_contain_text("Looking for instances")
    page.locator("#run").click()
    expect(page.get_by_test_id("busy-text")).to_contain_text("0 of 3 images", timeout=PATIENCE)
    page.locator("#stop").click()
    expect(page.get_by_test_id("status-text")).to_contain_text("Stopped at", timeout=PATIENCE)
    site.detector.gate.set()
    page.locator("#run").click()
    expect(page.get_by_test_id("status-text")).to_contain_text("3 images done", timeout=PATIENCE)
    until(page, "s.total > 0 && !s.pending")
    for hidden in ("#stop", "#run"):
        expect(page.locator(hidden)).to_be_hidden()


def test_a_run_is_pushed_to_the_page(site: Site, page: Page) -> None:
    show(page, site)
    site.detector.gate.clear()
    page.locator("#run").click()
    expect(page.get_by_test_id("busy-text")).to_contain_text("1 of 3 images", timeout=PATIENCE)
    quiet(page)  # it listens

    def finish() -> None:
        site.detector.gate.set()
        status = page.get_by_test_id("status-text")
        expect(status).to_contain_text("3 images done", timeout=PATIENCE)

    assert requests_during(page, finish) == []


def test_an_image_that_the_model_fails_on_says_so_in_the_list(site: Site, page: Page) -> None:
    page.goto(site.address)
    bad = encode(np.full((30, 40, 3), 13, np.uint8))
    until(page, "true")
    upload(page, [("good.png", blobs(seed=11)), ("bad.png", bad)])
    status = page.get_by_test_id("status-text")
    expect(status).to_contain_text("2 images done, 1 failed", timeout=PATIENCE)
    row = page.get_by_test_id("image").filter(has_text="bad.png")
    expect(row).to_contain_text("out of memory")
    row.click()
    expect(page.get_by_test_id("instances-note")).to_contain_text("out of memory")


def test_a_file_that_is_no_checkpoint_is_one_sentence_and_all_stays(
    site: Site, page: Page, tmp_path: Path
) -> None:
    before = show(page, site)
    garbage = tmp_path / "garbage.safetensors"
    garbage.write_bytes(b"garbage")
    page.locator("#checkpoint_upload").locator("xpath=..").locator(
        "input[type=file]"
    ).first.wait_for(state="attached")
    with page.expect_file_chooser() as chooser:
        page.locator("#checkpoint_upload").click()
    chooser.value.set_files(garbage)
    expect(page.locator("#complaint")).to_contain_text(
        "garbage.safetensors is no checkpoint, or one cut short.", timeout=PATIENCE
    )
    expect(page.locator("#checkpoint input")).to_have_value("first")
    slide(page, 0.05)
    assert state(page)["shown"] == above(before, 0.05)


def test_an_uploaded_checkpoint_is_chosen_and_the_other_can_be_chosen_again(
    site: Site, page: Page, tmp_path: Path
) -> None:
    show(page, site)
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(STAND_IN + b"mine")
    with page.expect_file_chooser() as chooser:
        page.locator("#checkpoint_upload").click()
    chooser.value.set_files(mine)
    expect(page.locator("#checkpoint input")).to_have_value("mine", timeout=PATIENCE)
    until(page, "s.url.includes('checkpoint=mine') && s.total > 0")
    page.locator("#checkpoint input").click()
    page.locator("[data-testid=dropdown-option][aria-label=first]").click()
    until(page, "s.url.includes('checkpoint=first') && s.total > 0")


def test_the_whole_list_is_downloaded_in_one_file(site: Site, page: Page, tmp_path: Path) -> None:
    show(page, site)
    slide(page, 0.3)
    page.locator("#run").click()
    expect(page.get_by_test_id("status-text")).to_contain_text("3 images done", timeout=PATIENCE)
    with page.expect_download() as waiting:
        page.get_by_test_id("download-all").click()
    waiting.value.save_as(tmp_path / "all.json")
    content = json.loads((tmp_path / "all.json").read_text())
    samples = site.services.images.listed("samples")
    assert [i["file_name"] for i in content["images"]] == [image.file_name for image in samples]
    wanted = [len(above(prediction_of(site, image.key), 0.3)) for image in samples]
    found = [sum(a["image_id"] == number for a in content["annotations"]) for number in (1, 2, 3)]
    assert found == wanted


def test_a_list_in_part_is_not_downloaded_and_says_why(site: Site, browser: Browser) -> None:
    with browser.new_context() as context:  # the refused request is an error in its console
        page = context.new_page()
        show(page, site)
        page.get_by_test_id("download-all").click()
        refused = page.get_by_test_id("refused")
        expect(refused).to_contain_text("Nothing was downloaded", timeout=PATIENCE)
        expect(refused).to_contain_text("2 of 3 images have no result yet")


def test_without_a_checkpoint_the_page_says_the_next_step(page: Page, tmp_path: Path) -> None:
    with serve(studio(tmp_path, checkpoint=False)) as address:
        page.goto(address)
        until(page, "true")
        expect(page.locator("#hint")).to_contain_text(
            "There is no checkpoint yet", timeout=PATIENCE
        )
        expect(page.get_by_test_id("status-text")).to_contain_text("No checkpoint")
        page.close()


def test_without_anything_the_page_offers_an_upload(page: Page, tmp_path: Path) -> None:
    with serve(studio(tmp_path, samples=0)) as address:
        page.goto(address)
        expect(page.get_by_test_id("empty")).to_be_visible(timeout=PATIENCE)
        with page.expect_file_chooser() as chooser:
            page.get_by_test_id("open-upload").click()
        chooser.value.set_files(
            {
                "name": "a.png",
                "mimeType": "image/png",
                "buffer": encode(np.full((30, 40, 3), 99, np.uint8)),
            }
        )
        until(page, "s.total === 1")
        page.close()


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1000, 700), (900, 700), (420, 800)])
def test_the_page_never_scrolls(shared_site: Site, page: Page, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    show(page, shared_site)
    size = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    )
    assert size == [width, height]
    view = page.get_by_test_id("view").bounding_box()
    assert view is not None
    assert view["width"] >= 0.6 * width or width == 1000
    folded = width < 1000
    assert page.locator("#source").is_visible() != folded
    if folded:
        page.get_by_test_id("fold-left").click()
        expect(page.locator("#source")).to_be_visible()


def test_light_and_dark_are_chosen_and_kept(shared_site: Site, page: Page) -> None:
    page.emulate_media(color_scheme="light")
    show(page, shared_site)
    surface = page.locator("[data-studio-root]")
    expect(surface).to_have_attribute("data-theme", "light")
    page.get_by_test_id("theme").click()
    expect(surface).to_have_attribute("data-theme", "dark")
    page.reload()
    until(page, "s.total > 0")
    expect(surface).to_have_attribute("data-theme", "dark")


def test_every_control_has_a_name_for_tests(shared_site: Site, page: Page) -> None:
    show(page, shared_site)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, a")]
          .filter((one) => one.offsetParent !== null)
          .filter((one) => !one.closest("[data-testid]") && !one.closest("[id]:not([id^=html-])"))
          .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert nameless == []


def test_masks_survive_the_way_through_the_browser(shared_site: Site, page: Page) -> None:
    prediction = show(page, shared_site)
    for row, mask in enumerate(prediction.masks):
        drawn = page.evaluate("id => window.studio.mask(id)", f"p{row + 1}")
        assert Rle((drawn["size"][0], drawn["size"][1]), drawn["counts"]) == mask
