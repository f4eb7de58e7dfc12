"""Numbers as colours: ends, middles, and what there is of a map without any spread."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from comask.analysis.scales import ENDS, KINDS, Kind, Scale, colour_table


@pytest.mark.parametrize("kind", KINDS)
def test_every_colour_stands_for_one_value(kind: Kind) -> None:
    table = colour_table(kind)
    assert table.shape == (256, 3)
    assert len(np.unique(table, axis=0)) == 256


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_painted_reads_back(kind: Kind) -> None:
    scale = Scale(-2.0, 6.0, kind)
    values = np.linspace(-2, 6, 1000, dtype=np.float32)[None]
    painted = scale.paint(values)[0].astype(int)
    distances = np.abs(painted[:, None] - colour_table(kind).astype(int)).sum(axis=2)
    read = np.array([scale.value(step / 255) for step in distances.argmin(axis=1)])
    tolerance = 8 * 2 / 255 if kind == "root" else 8 / 255  # a root is twice as steep at its top
    assert np.abs(read - values[0]).max() <= tolerance


def test_a_signed_scale_is_white_at_zero() -> None:
    scale = Scale.over(
        [np.array([[-1.0, 0.5]], np.float32), np.array([[3.0]], np.float32)], "signed"
    )
    assert scale.limits == [-3.0, 3.0]
    assert_array_equal(scale.paint(np.array([[-3.0, 3.0]], np.float32))[0], [ENDS[0], ENDS[2]])
    near_zero = scale.paint(np.zeros((1, 1), np.float32))[0, 0]
    assert_allclose(near_zero.astype(int), ENDS[1], atol=1)


def test_a_root_gives_small_values_more_colours() -> None:
    scale = Scale(0.0, 4.0, "root")
    assert_allclose(scale.shares(np.array([0, 1, 4, 9, -1], np.float32)), [0, 0.5, 1, 1, 0])
    assert [scale.value(share) for share in (0, 0.5, 1)] == [0, 1, 4]


def test_maps_share_the_ends_of_all() -> None:
    maps = [np.array([[1, 2]], np.float32), np.array([[-5, 0]], np.float32)]
    assert Scale.over(maps) == Scale(-5, 2)
    assert Scale.over([]) == Scale(0, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_one_value_has_one_colour(kind: Kind) -> None:
    scale = Scale.over([np.full((2, 3), 7, np.float32)], kind)
    assert len(np.unique(scale.paint(np.full((2, 3), 7, np.float32)).reshape(-1, 3), axis=0)) == 1
