"""The browser's masks against pycocotools."""

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page
from pycocotools import mask as codec

from tests.canvas import documents

pytestmark = pytest.mark.browser

ROUND_TRIP = """codes => codes.map((code) => {
  const mask = studioParts.rle.decode(code);
  return { ...studioParts.rle.encode(mask), area: mask.area, bbox: mask.bbox };
})"""
PIXELS = """code => {
  const mask = studioParts.rle.decode(code);
  const [height, width] = code.size;
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => Number(studioParts.rle.contains(mask, x, y))));
}"""


def encode(mask: documents.Mask) -> dict[str, Any]:
    code = codec.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(code["size"]), "counts": code["counts"].decode()}


def shapes() -> list[documents.Mask]:
    """Build empty, full, one-pixel, one-line, bordering, holed, split and noisy masks."""
    generator = np.random.default_rng(3)
    ring = documents.disc((40, 50), 25, 20, 15) & ~documents.disc((40, 50), 25, 20, 7)
    noise = [
        generator.random((h, w)) < share for h, w in ((7, 5), (33, 64)) for share in (0.1, 0.5, 0.9)
    ]
    blobs = [
        documents.disc((200, 300), *generator.uniform(0, 300, 2), generator.uniform(1, 90))
        for _ in range(60)
    ]
    return [
        np.zeros((5, 4), bool),
        np.ones((5, 4), bool),
        np.ones((1, 1), bool),
        documents.rectangle((9, 9), 0, 0, 1, 1),
        documents.rectangle((9, 9), 8, 8, 1, 1),
        documents.rectangle((9, 9), 3, 0, 1, 9),
        documents.rectangle((9, 9), 2, 0, 4, 9),
        documents.rectangle((9, 9), 0, 4, 9, 1),
        np.indices((8, 8)).sum(0) % 2 == 0,
        ring,
        ring | documents.rectangle((40, 50), 0, 0, 3, 3),
        *noise,
        *blobs,
    ]


def test_masks_come_back_byte_for_byte_with_area_and_box(scripts: Page) -> None:
    codes = [encode(mask) for mask in shapes()]
    expected = [
        {**code, "area": int(codec.area(code)), "bbox": [int(v) for v in codec.toBbox(code)]}
        for code in codes
    ]
    assert scripts.evaluate(ROUND_TRIP, codes) == expected


@pytest.mark.parametrize("mask", shapes()[8:14])
def test_every_pixel_is_the_one_pycocotools_decodes(scripts: Page, mask: documents.Mask) -> None:
    np.testing.assert_array_equal(np.array(scripts.evaluate(PIXELS, encode(mask)), bool), mask)


def test_a_run_longer_than_32_bits_of_shift_still_decodes(scripts: Page) -> None:
    # 20,000 x 20,000 with one pixel at the end: a run of 399,999,999 zeros takes six groups of bits
    counts = codec.frPyObjects({"size": [20000, 20000], "counts": [399_999_999, 1]}, 20000, 20000)
    code = {"size": [20000, 20000], "counts": counts["counts"].decode()}
    (found,) = scripts.evaluate(ROUND_TRIP, [code])
    assert found == {**code, "area": 1, "bbox": [19999, 19999, 1, 1]}


@pytest.mark.parametrize("counts", ["", "~", "5", "o" * 9, "00000"])
def test_damaged_codes_are_refused(scripts: Page, counts: str) -> None:
    refused = (
        """code => { try { studioParts.rle.decode(code); return false } catch { return true } }"""
    )
    assert scripts.evaluate(refused, {"size": [4, 4], "counts": counts})


def test_colours_repeat_after_nineteen_and_their_ink_is_readable(scripts: Page) -> None:
    palette = scripts.evaluate("studioParts.palette.COLOURS")
    assert len({tuple(colour) for colour in palette}) == 19
    contrast = """() => studioParts.palette.COLOURS.map((colour, at) => {
      const paper = studioParts.palette.luminance(colour);
      const ink = studioParts.palette.ink(at) === '#000' ? 0 : 1;
      return (Math.max(paper, ink) + 0.05) / (Math.min(paper, ink) + 0.05);
    })"""
    assert min(scripts.evaluate(contrast)) >= 4.5
