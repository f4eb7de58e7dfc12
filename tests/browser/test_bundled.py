"""The way from the first page to a COCO file, with the bundled checkpoint and a sample."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page
from pycocotools.coco import COCO

from app.services import Services
from app.settings import CHECKOUT, Settings
from comask.annotation import rle
from comask.data import images
from comask.predict import PredictionSettings, Predictor
from tests.browser.served import PATIENCE, serve, slide, state, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:.*(no_silent_downcasting|copy keyword)"),  # gradio of pandas
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

CHECKPOINT = CHECKOUT / "assets" / "checkpoints" / "comask-tiny-nuclei.safetensors"
SAMPLE = "microscopy/stained.png"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not CHECKPOINT.is_file():
        pytest.skip("assets/checkpoints holds no checkpoint for nuclei")
    settings = Settings(workspace=tmp_path_factory.mktemp("workspace"), device="cpu")
    with serve(Services(settings)) as served:
        yield served


def test_from_the_sample_to_a_file_that_pycocotools_reads(
    address: str, page: Page, tmp_path: Path
) -> None:
    page.goto(address)
    until(page, "true")
    page.get_by_test_id("image").filter(has_text=SAMPLE).click()
    title = "document.querySelector('[data-testid=title]').textContent"
    until(page, f"{title} === '{SAMPLE}' && !s.pending")
    # the page opens with the checkpoint for photographs, and offers the one for nuclei
    page.get_by_test_id("suits").click()
    until(page, "!s.pending && !document.querySelector('[data-testid=suits]')")
    page.get_by_test_id("layer-truth").uncheck()
    counts: list[int] = []
    pixels = images.load(CHECKOUT / "assets" / "samples" / SAMPLE).pixels
    for score in (0.05, 0.5, 0.9):
        slide(page, score)
        settings = PredictionSettings(min_score=score)
        run = Predictor.from_checkpoint(CHECKPOINT, device="cpu", settings=settings)
        wanted = [mask.to_coco() for mask in run.predict(pixels).masks if rle.area(mask)]
        shown = state(page)["shown"]
        drawn = [page.evaluate("id => window.studio.mask(id)", one) for one in shown]
        assert [{"size": mask["size"], "counts": mask["counts"]} for mask in drawn] == wanted
        counts.append(len(wanted))
        with page.expect_download(timeout=PATIENCE) as waiting:
            page.get_by_test_id("download").click()
        saved = tmp_path / f"{score}.json"
        waiting.value.save_as(saved)
        written = COCO(str(saved)).loadAnns(COCO(str(saved)).getAnnIds())
        assert [annotation["segmentation"] for annotation in written] == wanted
        assert all(annotation["iscrowd"] == 0 for annotation in written)
        assert json.loads(saved.read_text())["categories"][0]["name"] == "nucleus"
    assert counts[0] > counts[1] > counts[2] > 0
