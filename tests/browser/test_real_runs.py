"""Real images, the bundled checkpoint, the whole page; pycocotools is the judge."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from app.services import Services
from app.settings import CHECKOUT, Settings
from comask.cli import main as comask
from tests.browser.served import PATIENCE, serve, state, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*(no_silent_downcasting|copy keyword)"),  # gradio of pandas
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

CHECKPOINT = CHECKOUT / "assets" / "checkpoints" / "comask-tiny-nuclei.safetensors"
NUCLEI = ("6b72b61b80060a9e.png", "930f246a8e4ff273.png", "0b2e702f90aee4ff.png")  # 191, 41 and 5


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    settings = Settings(workspace=tmp_path / "workspace", checkpoint=CHECKPOINT, device="cpu")
    with serve(Services(settings)) as served:
        yield served


def part_of(folder: Path, images: Path, annotations: Path, names: list[str]) -> Path:
    """Copy a few images of a set and what is drawn in them."""
    content = json.loads(annotations.read_text())
    content["images"] = [one for one in content["images"] if one["file_name"] in names]
    kept = {one["id"] for one in content["images"]}
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] in kept]
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes((images / name).read_bytes())
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


def run_over(page: Page, address: str, folder: Path, count: int) -> None:
    page.goto(address)
    until(page, "true")
    page.locator("#source").get_by_text("Dataset").click()
    page.get_by_test_id("folder").fill(str(folder))
    page.get_by_test_id("folder-open").click()
    expect(page.get_by_test_id("tile")).to_have_count(count, timeout=PATIENCE)
    page.get_by_test_id("run-start").click()
    expect(page.get_by_test_id("run-text")).to_have_text(
        f"{count} of {count} images", timeout=3 * PATIENCE
    )


def put(page: Page, slider: str, value: float) -> None:
    page.get_by_test_id(slider).evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')) }",
        value,
    )


def counts(truth: COCO, results: list[dict[str, Any]], score: float, iou: float) -> list[int]:
    """Count right, wrong and missed ones of pycocotools' own matching, without its limit."""
    kept = [one for one in results if np.float32(one["class_score"]) > np.float32(score)]
    judge = COCOeval(truth, truth.loadRes(kept), "segm")
    judge.params.iouThrs = np.array([iou])
    judge.params.maxDets = [100_000]
    judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
    judge.evaluate()
    images = [one for one in judge.evalImgs if one is not None]
    right = sum(int((one["dtMatches"][0] > 0).sum()) for one in images)
    found = sum(len(one["dtIds"]) for one in images)
    missed = sum(int((one["gtMatches"][0] == 0).sum()) for one in images)
    return [right, found - right, missed]


def test_the_numbers_of_real_nuclei_are_pycocotools_own(
    address: str, page: Page, shared_data: Path, tmp_path: Path
) -> None:
    source = shared_data / "nuclei"
    folder = part_of(tmp_path / "set", source / "val", source / "instances_val.json", list(NUCLEI))
    run_over(page, address, folder, len(NUCLEI))
    words = ["--annotations", folder / "instances.json", "--images", folder]
    words += ["--checkpoint", CHECKPOINT, "--output", tmp_path / "out.json", "--device", "cpu"]
    assert comask(["prelabel", *map(str, words)]) == 0
    truth = COCO(str(folder / "instances.json"))
    results = json.loads((tmp_path / "out.json").read_text())["annotations"]
    assert len(results) > 250
    for score, iou in ((0.05, 0.5), (0.5, 0.5), (0.3, 0.75), (0.9, 0.9)):
        put(page, "threshold", score)
        put(page, "iou", iou)
        expected = counts(truth, results, score, iou)
        for name, count in zip(("tp", "fp", "fn"), expected, strict=True):
            expect(page.get_by_test_id(f"count-{name}")).to_have_text(str(count), timeout=PATIENCE)
    page.get_by_test_id("grid-sort").select_option("errors")
    expect(page.get_by_test_id("tile").first).to_contain_text(NUCLEI[0], timeout=PATIENCE)
    page.get_by_test_id("tile").first.click()
    until(page, "s.front === 'viewer' && s.totals !== null && s.ready")
    now = state(page)
    assert now["total"] > 191
    assert sum(now["totals"][name] for name in ("tp", "fn")) == 191


def test_a_checkpoint_of_other_classes_shows_what_it_found_and_judges_nothing(
    address: str, browser: Browser, shared_data: Path, tmp_path: Path
) -> None:
    page = browser.new_page()  # the refusal to judge is an error in its console
    source = shared_data / "coco-mini"
    names = sorted(path.name for path in (source / "val2017").iterdir())[:2]
    folder = part_of(tmp_path / "set", source / "val2017", source / "instances_val2017.json", names)
    run_over(page, address, folder, len(names))
    put(page, "threshold", 0.05)
    expect(page.get_by_test_id("tile").first).to_contain_text("found", timeout=PATIENCE)
    note = page.get_by_test_id("set-note")
    expect(note).to_contain_text("finds no class that the annotation file has", timeout=PATIENCE)
    page.get_by_test_id("tile").first.click()
    until(page, "s.front === 'viewer' && s.total > 0 && s.ready")
    assert all(judged["verdict"] != "tp" for judged in state(page)["verdicts"].values())
    page.close()
