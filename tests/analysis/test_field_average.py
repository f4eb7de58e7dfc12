"""Averages of fields: shifts, scales and counts by hand; sets of images."""

import numpy as np
import pytest

from comask.analysis.effective_field import effective_fields
from comask.analysis.field_average import Site, averaged, set_fields
from comask.analysis.field_values import EffectiveField, Question
from comask.annotation.records import Category
from comask.checkpoint.native import CheckpointInfo
from comask.config import NeckConfig, PreprocessingConfig
from comask.errors import InputError
from comask.predict import Predictor
from tests.models import small_config, small_model

LEVEL = Question()
IMAGE = Question("cascade", "frozen", "image")


def field(
    values: list[list[float]], origin: tuple[float, float], unit: float = 4.0, branch: str = "2x"
) -> EffectiveField:
    """Make a field whose theoretical box is its whole map."""
    given = np.array(values, np.float32)
    height, width = given.shape
    return EffectiveField(
        map=given, unit=unit, origin=origin, level=2, stride=4, branch=branch, question=LEVEL,
        box=(0, 0, width, height), scale=4 / unit, size=(99, 99), cells=((0, 0),),
    )  # fmt: skip


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    config = small_config(NeckConfig(channels=64, branches=2))
    categories = (Category(1, "a"), Category(2, "b"), Category(3, "c"))
    info = CheckpointInfo(config, categories, PreprocessingConfig(short_side=70, long_side=200))
    return Predictor(small_model(config), info, device="cpu")


def pictures(*sizes: tuple[int, int]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


def test_origins_lie_on_each_other_and_every_field_counts_the_same() -> None:
    """The first has all its mass on its origin, the second half of it one to the right."""
    one = averaged([field([[8, 0, 0]], (0, 0)), field([[0, 1, 1]], (0, 1))])
    np.testing.assert_allclose(one.map, [[0, 0.75, 0.25, 0]])
    assert (one.origin, one.unit, one.count, one.empty) == ((0, 1), 4.0, 2, 0)
    assert one.windows == ((1, 0, 4, 1), (0, 0, 3, 1))
    assert one.box == (0, 0, 4, 1)
    assert one.outside == 0
    assert (one.level, one.stride, one.branch, one.is_global) == (2, 4, "2x", False)


def test_a_square_is_measured_inside_each_image() -> None:
    """All the mass needs a square of 3 around the origin: 2 of 3 and 3 of 3 numbers of a row."""
    one = averaged([field([[8, 0, 0]], (0, 0)), field([[0, 1, 1]], (0, 1))])
    assert one.square(1.0) == 3 * 4
    assert one.covered(1.0) == pytest.approx((2 / 3 + 3 / 3) / 2)
    assert one.covered(0.75) == pytest.approx(1 / 3)


def test_another_scale_comes_to_the_first_ones_pixels() -> None:
    """Numbers of 8 image pixels on a grid of 4: the middle one covers 2 x 2 numbers around it.

    Centred on the grid's number 0 it reaches from -0.5 to 1.5, so that 1 / 4, 1 / 2, 1 / 4 fall on
    -1, 0 and 1, both ways.
    """
    fine = field([[1]], (0, 0), unit=4.0)
    coarse = field([[0, 0, 0], [0, 5, 0], [0, 0, 0]], (1, 1), unit=8.0)
    one = averaged([fine, coarse])
    near = 0.5 * np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25])
    near[1, 1] += 0.5
    row, column = (int(at) for at in one.origin)
    np.testing.assert_allclose(one.map[row - 1 : row + 2, column - 1 : column + 2], near)
    assert one.mass == pytest.approx(1)
    assert one.unit == 4.0


@pytest.mark.parametrize("unit", [2.0, 3.7, 4.0, 9.1])
def test_no_mass_is_lost_on_the_way(unit: float) -> None:
    random = np.random.default_rng(1)
    other = field(random.uniform(0, 1, (7, 5)).tolist(), (2.5, 1), unit=unit)
    assert averaged([field([[1]], (0, 0)), other]).mass == pytest.approx(1)


def test_fields_without_mass_are_counted_apart() -> None:
    one = averaged([field([[0, 0]], (0, 0)), field([[0, 3]], (0, 1))])
    assert (one.count, one.empty, one.mass) == (1, 1, 1.0)
    nothing = averaged([field([[0, 0]], (0, 0))])
    assert (nothing.count, nothing.empty, nothing.mass) == (0, 1, 0.0)
    assert (nothing.side(0.9), nothing.covered(0.9)) == (0, 0)


def test_only_like_fields_have_an_average() -> None:
    with pytest.raises(InputError, match="no field"):
        averaged([])
    with pytest.raises(InputError, match="one level, branch and question"):
        averaged([field([[1]], (0, 0)), field([[1]], (0, 0), branch="4x")])


@pytest.mark.parametrize("asked", [LEVEL, IMAGE])
def test_a_set_of_one_is_its_field(predictor: Predictor, asked: Question) -> None:
    images = pictures((70, 100))
    found = set_fields(predictor, images, levels=[3], question=asked)
    alone = effective_fields(predictor, images[0], level=3, cells=[(4, 6)], question=asked)
    assert [one.branch for one in found] == ["1x", "2x", "fused"]
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_allclose(one.map, other.map / other.mass, rtol=1e-3, atol=1e-7)
        assert (one.box, one.origin, one.unit) == (other.box, other.origin, other.unit)
        for share in (0.2, 0.5, 0.99):
            assert one.covered(share) == pytest.approx(other.covered(share))


def test_cells_are_chosen_image_by_image(predictor: Predictor) -> None:
    """No cell in the first image, two in the second one; P5 gets none at all."""
    sites: list[Site] = []
    told: list[tuple[int, int]] = []

    def chosen(site: Site) -> list[tuple[int, int]]:
        sites.append(site)
        return [(0, 0), (2, 1)] if site.number == 1 and site.level == 4 else []

    found = set_fields(
        predictor,
        pictures((70, 100), (140, 100)),
        chosen,
        levels=[4, 5],
        progress=lambda *at: told.append(at),
    )
    assert {(one.level, one.count) for one in found} == {(4, 2)}
    assert sites[2] == Site(1, (140, 100), 0.7, 4, 16, (7, 5))
    assert told == [(1, 2), (1, 2), (2, 2)]


def test_images_may_come_one_by_one(predictor: Predictor) -> None:
    told: list[tuple[int, int]] = []
    found = set_fields(
        predictor, iter(pictures((70, 100), (70, 90))), levels=[5],
        progress=lambda *at: told.append(at),
    )  # fmt: skip
    assert [one.count for one in found] == [2, 2, 2]
    assert told[-1][0] == 2


def test_a_set_without_cells_is_refused(predictor: Predictor) -> None:
    with pytest.raises(InputError, match="no image has a cell"):
        set_fields(predictor, pictures((70, 100)), lambda _: [])
    with pytest.raises(InputError, match="no image has a cell"):
        set_fields(predictor, [])
    with pytest.raises(InputError, match="level is one of"):
        set_fields(predictor, pictures((70, 100)), levels=[6])
