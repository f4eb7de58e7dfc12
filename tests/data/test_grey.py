"""Windows of deep grey, worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comask.data import grey, images


def test_a_window_spreads_what_lies_between_its_limits() -> None:
    deep = np.array([[0, 100, 160, 200, 65535]], np.uint16)
    # 60 of 100 is 153 of 255
    assert grey.window(deep, 100, 200).tolist() == [[0, 0, 153, 255, 255]]
    assert grey.window(deep, 160, 160).tolist() == [[0, 0, 0, 0, 0]]


def test_a_window_of_floats_takes_what_is_no_number_for_black() -> None:
    deep = np.array([[np.nan, -np.inf, np.inf, -1.0, 1.0, 0.0]], np.float32)
    assert grey.window(deep, -1, 1).tolist() == [[0, 0, 255, 0, 255, 128]]


def test_without_a_window_the_shown_range_is_what_load_shows(tmp_path: Path) -> None:
    deep = (np.arange(2000, dtype=np.uint16) * 10 + 3000).reshape(40, 50)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    loaded = images.load(tmp_path / "deep.png")
    assert loaded.original is not None
    found = grey.measure(loaded.original)
    assert (found.bits, found.low, found.high) == (16, 3000, 22990)
    assert found.shown == pytest.approx((3019.99, 22970.01))  # 1.999 steps of 10 inside
    np.testing.assert_array_equal(grey.window(deep, *found.shown), loaded.pixels[..., 0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_picture_without_a_number_has_an_empty_range(value: float) -> None:
    found = grey.measure(np.full((3, 4), value, np.float32))
    assert (found.bits, found.low, found.high, found.shown) == (32, 0, 0, (0, 0))
