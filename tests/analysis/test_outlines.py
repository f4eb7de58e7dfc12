"""Outlines of masks by hand, and which lines an ablation draws."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from comask.analysis.difference import difference
from comask.analysis.outlines import LOOKS, after_lines, before_lines, change_key, outline
from comask.annotation import rle
from tests.analysis.predicted import predicted

LOST, KEPT, WAS, IS, GAINED = (
    (0, 0, 10, 10),
    (20, 0, 30, 10),
    (0, 20, 10, 30),
    (3, 20, 13, 30),  # 7 of 13 columns in common: an IoU of 0.54
    (40, 20, 50, 30),
)


def mask(*box: int) -> np.ndarray:
    x1, y1, x2, y2 = box
    drawn = np.zeros((8, 10), np.uint8)
    drawn[y1:y2, x1:x2] = 1
    return drawn


def test_a_square_s_outline_runs_through_its_outermost_pixels() -> None:
    (points,) = outline(rle.encode(mask(2, 1, 6, 4)))
    assert_allclose(points.min(axis=0), [2.5, 1.5])
    assert_allclose(points.max(axis=0), [5.5, 3.5])


def test_a_ring_has_two_borders_and_nothing_has_none() -> None:
    ring = mask(1, 1, 8, 7)
    ring[3:5, 3:6] = 0
    assert len(outline(rle.encode(ring))) == 2
    assert outline(rle.encode(mask(0, 0, 0, 0))) == ()


def test_every_kind_of_change_has_its_line_on_its_side() -> None:
    before, after = predicted(LOST, KEPT, WAS), predicted(KEPT, IS, GAINED)
    told = difference(before, after)

    def drawn(lines: list) -> list[tuple[float, float, tuple, str]]:
        return [(*one.points.min(axis=0).tolist(), one.colour, one.line) for one in lines]

    colour = {kind: look[0] for kind, look in LOOKS.items()}
    assert drawn(before_lines(before, told)) == [
        (20.5, 0.5, colour["kept"], "solid"),
        (0.5, 20.5, colour["moved"], "solid"),
        (0.5, 0.5, colour["lost"], "dashed"),
    ]
    assert drawn(after_lines(before, after, told)) == [
        (0.5, 20.5, colour["moved"], "dotted"),
        (0.5, 0.5, colour["lost"], "dashed"),
        (20.5, 0.5, colour["kept"], "solid"),
        (3.5, 20.5, colour["moved"], "solid"),
        (40.5, 20.5, colour["gained"], "solid"),
    ]
    words = [one.word.split(":")[0] for one in change_key(told)]
    assert words == ["1 lost", "1 gained", "1 moved", "1 kept"]


@pytest.mark.parametrize("boxes", [(), (KEPT,)])
def test_nothing_found_is_drawn_as_nothing(boxes: tuple) -> None:
    before, after = predicted(*boxes), predicted()
    told = difference(before, after)
    assert len(before_lines(before, told)) == len(after_lines(before, after, told)) == len(boxes)
