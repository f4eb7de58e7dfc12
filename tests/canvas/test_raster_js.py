"""From masks to screen pixels: exactly the mask's pixels, at every zoom."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page

from comask.annotation import rle
from tests.canvas import documents

pytestmark = pytest.mark.browser

SIZE = (24, 32)
RING = documents.disc(SIZE, 15, 12, 9) & ~documents.disc(SIZE, 15, 12, 4)
DOT = documents.rectangle(SIZE, 20, 12, 1, 1)
RED, GREEN = [255, 0, 0], [0, 255, 0]

PAINT = """({instances, frame, look}) => {
  const pixels = new Uint32Array(frame.width * frame.height);
  const drawn = instances.map(({ code, colour, truth }) =>
    ({ mask: studioParts.rle.decode(code), colour, truth }));
  const placed = { dash: [0, 0], dpr: 1, ...frame };
  const target = { pixels, width: frame.width, height: frame.height };
  studioParts.raster.paint(target, drawn, placed, look);
  return Array.from(new Uint8Array(pixels.buffer));
}"""
SPREAD = """({code, by}) => {
  const { raster, rle } = studioParts;
  const [height, width] = code.size;
  const frame = { scale: 1, x: 0, y: 0, width, height };
  const runs = raster.project(rle.decode(code).rows, frame, new raster.Runs());
  const moved = raster.spread(runs, by, new raster.Runs());
  const out = Array.from({ length: height }, () => new Array(width).fill(0));
  for (let row = 0; row < height; row++) {
    for (let at = moved.from(row); at < moved.to(row); at += 2) {
      out[row].fill(1, Math.max(0, moved.edges[at]), Math.max(0, moved.edges[at + 1]));
    }
  }
  return out.map((row) => row.slice(0, width));
}"""
FILL = {"fill": True, "outline": False, "opacity": 0.5}
LINES = {"fill": False, "outline": True, "opacity": 0.5}


def one(mask: documents.Mask, colour: list[int], truth: bool = False) -> dict[str, Any]:
    return {"code": rle.encode(mask).to_coco(), "colour": colour, "truth": truth}


def paint(
    page: Page, instances: list[dict[str, Any]], frame: dict[str, float], look: dict[str, Any]
) -> NDArray[np.uint8]:
    flat = page.evaluate(PAINT, {"instances": instances, "frame": frame, "look": look})
    return np.array(flat, np.uint8).reshape(int(frame["height"]), int(frame["width"]), 4)


def nearest(mask: documents.Mask, frame: dict[str, float]) -> documents.Mask:
    """Take the image pixel under the centre of each screen pixel."""
    rows = np.floor((np.arange(frame["height"]) + 0.5 - frame["y"]) / frame["scale"]).astype(int)
    columns = np.floor((np.arange(frame["width"]) + 0.5 - frame["x"]) / frame["scale"]).astype(int)
    inside = ((rows >= 0) & (rows < mask.shape[0]))[:, None]
    inside = inside & ((columns >= 0) & (columns < mask.shape[1]))[None, :]
    sampled = mask[np.clip(rows, 0, mask.shape[0] - 1)][:, np.clip(columns, 0, mask.shape[1] - 1)]
    return sampled & inside


@pytest.mark.parametrize("scale", [1, 2, 3.7, 0.6, 17])
@pytest.mark.parametrize("place", [(0, 0), (5, -7), (-40, 3)])
def test_a_fill_covers_exactly_the_masks_pixels(
    scripts: Page, scale: float, place: tuple[int, int]
) -> None:
    frame = {"scale": scale, "x": place[0], "y": place[1], "width": 60, "height": 50}
    drawn = paint(scripts, [one(RING, RED)], frame, FILL)
    np.testing.assert_array_equal(drawn[..., 3] > 0, nearest(RING, frame))
    assert {tuple(pixel) for pixel in drawn[drawn[..., 3] > 0]} <= {(255, 0, 0, 128)}


def test_an_outline_is_the_rim_inside_the_mask_two_pixels_deep(scripts: Page) -> None:
    square = documents.rectangle(SIZE, 4, 3, 20, 16)
    frame = {"scale": 1, "x": 0, "y": 0, "width": 32, "height": 24}
    alpha = paint(scripts, [one(square, RED)], frame, LINES)[..., 3]
    core = documents.rectangle(SIZE, 6, 5, 16, 12)
    np.testing.assert_array_equal(alpha > 0, square & ~core)
    outer = square & ~documents.rectangle(SIZE, 5, 4, 18, 14)
    assert set(alpha[outer].tolist()) == {255}


def test_the_edge_of_the_screen_is_no_outline(scripts: Page) -> None:
    full = np.ones(SIZE, bool)
    frame = {"scale": 4, "x": -20, "y": -20, "width": 40, "height": 40}  # well inside the image
    assert paint(scripts, [one(full, RED)], frame, LINES).max() == 0


def test_the_last_of_the_list_lies_on_top(scripts: Page) -> None:
    frame = {"scale": 1, "x": 0, "y": 0, "width": 32, "height": 24}
    big, small = documents.rectangle(SIZE, 2, 2, 20, 20), documents.rectangle(SIZE, 5, 5, 4, 4)
    drawn = paint(scripts, [one(big, RED), one(small, GREEN)], frame, FILL)
    assert drawn[6, 6].tolist() == [0, 255, 0, 128]
    assert drawn[3, 3].tolist() == [255, 0, 0, 128]


def test_what_is_smaller_than_a_screen_pixel_still_shows(scripts: Page) -> None:
    frame = {"scale": 0.1, "x": 0, "y": 0, "width": 4, "height": 3}
    drawn = paint(scripts, [one(DOT, RED)], frame, FILL)
    assert np.argwhere(drawn[..., 3] > 0).tolist() == [[1, 2]]


def test_truth_is_hatched_and_dashed(scripts: Page) -> None:
    square = documents.rectangle(SIZE, 0, 0, 32, 24)
    frame = {"scale": 1, "x": 0, "y": 0, "width": 32, "height": 24}
    hatched = paint(scripts, [one(square, RED, truth=True)], frame, FILL)[..., 3] > 0
    assert hatched.mean() == pytest.approx(0.375, abs=0.02)
    row = paint(scripts, [one(square, RED, truth=True)], frame, LINES)[0]
    assert {tuple(pixel) for pixel in row} == {(255, 255, 255, 255), (0, 0, 0, 150)}


@pytest.mark.parametrize("by", [1, -1])
def test_growing_and_shrinking_look_at_four_neighbours(scripts: Page, by: int) -> None:
    noise = np.random.default_rng(4).random((30, 41)) < 0.6
    noise[:, [0, -1]] = noise[[0, -1]] = False
    got = scripts.evaluate(SPREAD, {"code": rle.encode(noise).to_coco(), "by": by})
    five = [noise, *(np.roll(noise, step, axis) for step in (1, -1) for axis in (0, 1))]
    expected = np.any(five, axis=0) if by > 0 else np.all(five, axis=0)
    np.testing.assert_array_equal(np.array(got, bool), expected)
