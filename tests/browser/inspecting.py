"""The page Inspect over the bundled checkpoint, and the same numbers from the library."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from app.services import Services
from app.settings import CHECKOUT, Settings
from comask.data import images
from comask.predict import PredictionSettings, Predictor
from tests.app.standins import BlobDetector
from tests.browser.served import Site, serve, state, until

CHECKPOINT = CHECKOUT / "assets" / "checkpoints" / "comask-tiny-nuclei.safetensors"
SAMPLES = CHECKOUT / "assets" / "samples"
SAMPLE = "microscopy/stained.png"
ANSWERED = "s.inspection && !s.inspection.busy && s.inspection.note === ''"


@dataclass(frozen=True)
class Bench:
    """What the library says of the sample, with a predictor that the page knows nothing of."""

    predictor: Predictor
    pixels: NDArray[np.uint8]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in image pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


@contextmanager
def served(workspace: Path, **settings: Any) -> Iterator[Site]:
    """Serve a Studio that opens with the bundled checkpoint for nuclei, or with other assets."""
    if not CHECKPOINT.is_file():
        pytest.skip("assets/checkpoints does not hold the bundled checkpoint")
    if "assets" not in settings:
        settings["checkpoint"] = CHECKPOINT
    services = Services(Settings(workspace=workspace, device="cpu", **settings))
    with serve(services) as address:
        yield Site(address, services, BlobDetector())


def bench(checkpoint: Path = CHECKPOINT, sample: str = SAMPLE) -> Bench:
    """Open the checkpoint and the sample beside the Studio."""
    settings = PredictionSettings(min_score=0.05)  # as the Studio runs it
    predictor = Predictor.from_checkpoint(checkpoint, device="cpu", settings=settings)
    return Bench(predictor, images.load(SAMPLES / sample).pixels)


def open_inspect(page: Page, site: Site, sample: str = SAMPLE) -> None:
    """Open a sample, wait until the model has seen it, and go to the page Inspect."""
    page.goto(site.address)
    until(page, "true")
    page.get_by_test_id("image").filter(has_text=sample).click()
    title = "document.querySelector('[data-testid=title]').textContent"
    until(page, f"{title} === '{sample}' && s.total > 0 && !s.pending")
    page.locator("[data-page=inspect]").click()
    answered(page, "s.inspection.chosen")


def answered(page: Page, condition: str = "true") -> dict[str, Any]:
    """Wait for an answer with which a condition on the state ``s`` holds; what is there then."""
    until(page, f"{ANSWERED} && ({condition})")
    found: dict[str, Any] = state(page)["inspection"]
    return found


def ask(page: Page, *presses: str, where: str = "true") -> dict[str, Any]:
    """Press buttons by their names and wait for the answer."""
    for name in presses:
        page.get_by_test_id(name).click()
        page.wait_for_timeout(50)
    return answered(page, where)


def pick_map(page: Page, level: int, name: str) -> dict[str, Any]:
    """Click a small map; it is drawn large."""
    page.get_by_test_id(f"map-P{level}-{name}").click()
    where = f"s.inspection.chosen?.level === {level} && s.inspection.chosen.name === '{name}'"
    return answered(page, where)


def on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Say where a place of the image lies in the window: image pixels -> CSS pixels."""
    box = page.get_by_test_id("canvas").bounding_box()
    assert box is not None
    now = state(page)
    (left, top), zoom = now["pan"], now["zoom"]
    return box["x"] + left + x * zoom, box["y"] + top + y * zoom


def centre(row: int, column: int, stride: int, scale: float) -> tuple[float, float]:
    """Say where a cell looks: cell i sees network pixel stride x i, whose centre is half on."""
    return (column * stride + 0.5) / scale, (row * stride + 0.5) / scale


def value_at(page: Page, x: float, y: float) -> str:
    """Point at a place of the image and read what the page says of the map there."""
    page.mouse.move(1, 1)
    page.mouse.move(*on_screen(page, x, y))
    place = page.get_by_test_id("heat-pointer")
    expect(place).to_contain_text("at cell")
    return place.text_content() or ""


def number(text: str) -> float:
    """Read a number as the page writes it."""
    return float(text.replace("−", "-").replace("%", "").strip())


def table(page: Page, name: str) -> dict[str, list[str]]:
    """Read a table: the first cell of each line, then the others."""
    rows: list[list[str]] = page.get_by_test_id(name).evaluate(
        "table => [...table.tBodies[0].rows]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent.trim()))"
    )
    return {first: others for first, *others in rows}


def pixel(page: Page, layer: str, x: float, y: float) -> list[int]:
    """Read a pixel of a canvas at a place of the image: red, green, blue, opacity."""
    return page.evaluate(
        """([layer, x, y]) => {
          const canvas = document.querySelector(`[data-layer=${layer}]`);
          const { pan, zoom } = window.studio.state();
          const ratio = canvas.width / canvas.clientWidth;
          const at = [pan[0] + x * zoom, pan[1] + y * zoom].map((one) => Math.floor(one * ratio));
          return [...canvas.getContext('2d').getImageData(...at, 1, 1).data];
        }""",
        [layer, x, y],
    )


def bar(page: Page) -> NDArray[np.int64]:
    """Read the colours of the scale, from the smallest value to the largest: (256, 3)."""
    found = page.get_by_test_id("scale-bar").evaluate(
        "bar => [...bar.getContext('2d').getImageData(0, 0, bar.width, 1).data]"
    )
    return np.array(found).reshape(-1, 4)[:, :3]


def slide_to(page: Page, name: str, value: float) -> None:
    """Move a slider, as a hand does."""
    page.get_by_test_id(name).evaluate(
        "(slider, value) => { slider.value = value;"
        " slider.dispatchEvent(new Event('input', {bubbles: true})); }",
        value,
    )


def in_colour(page: Page, colour: tuple[int, int, int]) -> int:
    """Count the pixels of the masks' canvas that have exactly a colour."""
    count: int = page.evaluate(
        """(colour) => {
          const canvas = document.querySelector('[data-layer=masks]');
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          let count = 0;
          for (let at = 0; at < data.length; at += 4) {
            if (data[at + 3] === 255 && colour.every((c, i) => data[at + i] === c)) count += 1;
          }
          return count;
        }""",
        list(colour),
    )
    return count
