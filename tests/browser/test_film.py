"""The film of how instances are made, with the bundled checkpoint: what is drawn is what was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from app.services import Services
from app.settings import CHECKOUT, Settings
from comask.predict import Prediction
from tests.app.standins import BlobDetector
from tests.browser.served import PATIENCE, Site, prediction_of, serve, slide, state, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*(no_silent_downcasting|copy keyword)"),  # gradio of pandas
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

CHECKPOINT = CHECKOUT / "assets" / "checkpoints" / "comask-tiny-nuclei.safetensors"
SAMPLE = "microscopy/touching-16bit.png"
FILMED = 20
STAGES = ["proposal", "first", "votes", "box", "mask", "iou"]
FRAME = 100  # milliseconds


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not CHECKPOINT.is_file():
        pytest.skip("assets/checkpoints does not hold the bundled checkpoint")
    settings = Settings(
        workspace=tmp_path_factory.mktemp("workspace"), checkpoint=CHECKPOINT, device="cpu"
    )
    services = Services(settings)
    with serve(services) as address:
        yield Site(address, services, BlobDetector())


@pytest.fixture
def prediction(site: Site, page: Page) -> Prediction:
    """Open the sample and wait for its instances."""
    page.goto(site.address)
    until(page, "true")
    page.get_by_test_id("image").filter(has_text=SAMPLE).click()
    title = "document.querySelector('[data-testid=title]').textContent"
    until(page, f"{title} === '{SAMPLE}' && s.total > 0 && !s.pending")
    return prediction_of(site, state(page)["document"])


def mean_of(votes: Any, weights: Any) -> np.ndarray:
    """Average as the paper's code does: whole pixels, and 1e-5 below the line."""
    inclusive = np.array(votes, np.float64) - [0, 0, 1, 1]
    weights = np.array(weights, np.float64)[:, None]
    return (inclusive * weights).sum(axis=0) / (weights.sum() + 1e-5) + [0, 0, 1, 1]


def scrub(page: Page, at: float) -> None:
    page.get_by_test_id("film-scrub").evaluate(
        "(slider, at) => { slider.value = 1000 * at;"
        " slider.dispatchEvent(new Event('input', {bubbles: true})); }",
        at,
    )
    until(page, f"s.film.ready && Math.abs(s.film.at - {at}) < 1e-9")


def drawn(page: Page) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = page.evaluate("window.studio.film()")
    return told


def test_every_stage_of_twenty_instances_is_what_the_model_did(
    prediction: Prediction, page: Page
) -> None:
    slide(page, 0.5)
    page.keyboard.press("j")
    page.keyboard.press("r")
    seen = set()
    for _ in range(FILMED):
        name = state(page)["selected"]
        row = int(name[1:]) - 1
        for at, stage in enumerate(STAGES):
            scrub(page, at / 5)
            assert state(page)["film"]["stage"] == stage
            (one,) = drawn(page)
            assert one["id"] == name
            box = mean_of(one["votes"], one["weights"]) if at >= 3 else one["proposal"]
            np.testing.assert_allclose(one["box"], box, atol=1e-3)
        told = prediction.trace
        np.testing.assert_array_equal(one["votes"], told.votes[row].reshape(49, 4))
        np.testing.assert_array_equal(one["weights"], told.weights[row].ravel())
        np.testing.assert_array_equal(one["box"], prediction.boxes[row])
        assert one["mask"]["counts"] == prediction.masks[row].counts
        assert one["mask"]["counts"] == page.evaluate("id => window.studio.mask(id).counts", name)
        seen.add(name)
        page.keyboard.press("j")
        until(page, f"s.selected !== '{name}' && s.film.ready")
    assert len(seen) == FILMED


def test_all_at_once_is_drawn_as_it_was_and_fast(prediction: Prediction, page: Page) -> None:
    slide(page, 0.05)
    page.keyboard.press("f")
    until(page, "s.film.ready && s.film.all")
    told = drawn(page)
    assert len(told) == state(page)["film"]["count"] > 174
    page.keyboard.press("Shift+R")
    scrub(page, 1)
    for one in drawn(page):
        row = int(one["id"][1:]) - 1
        box = mean_of(one["votes"], one["weights"])
        np.testing.assert_allclose(one["box"], box, atol=1e-3)
        assert one["mask"]["counts"] == prediction.masks[row].counts
    times = []
    for at in np.linspace(0, 1, 41).round(3).tolist():
        scrub(page, at)
        times.append(state(page)["paint"]["lastInputMs"])
    assert float(np.median(times)) <= FRAME, times
    scrub(page, 0.4)
    expect(page.get_by_test_id("film-meaning")).to_contain_text("zoom in to see them")


def test_it_plays_to_the_end_and_stays_there(prediction: Prediction, page: Page) -> None:
    page.keyboard.press("j")
    page.get_by_test_id("film-open").click()
    until(
        page, "s.film.playing && s.film.stage === 'votes' && s.film.at > 0.25 && s.film.at < 0.39"
    )
    assert 0 < state(page)["film"]["moment"]["votes"] < 1
    until(page, "!s.film.playing && s.film.at === 1")
    expect(page.get_by_test_id("film-meaning")).to_contain_text("guess of how well")


@pytest.mark.parametrize(("kind", "format_"), [("gif", "GIF"), ("png", "PNG")])
def test_films_are_saved_from_the_page(
    prediction: Prediction, page: Page, tmp_path: Path, kind: str, format_: str
) -> None:
    page.keyboard.press("j")
    page.keyboard.press("r")
    until(page, "s.film.ready")
    with page.expect_download(timeout=PATIENCE) as waiting:
        page.get_by_test_id(f"film-{kind}").click()
    name = state(page)["selected"]
    assert waiting.value.suggested_filename == f"touching-16bit-{name}.{kind}"
    waiting.value.save_as(tmp_path / "film")
    with Image.open(tmp_path / "film") as film:
        assert film.format == format_
