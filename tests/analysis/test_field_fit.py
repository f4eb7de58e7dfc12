"""Objects beside the fields that speak for them: who speaks, how large both are, what is shared."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from comask.analysis.activation import Look
from comask.analysis.contribution import Contribution, contributions
from comask.analysis.effective_field import Question, effective_fields
from comask.analysis.field_fit import Fit, fits
from comask.annotation import rle
from comask.annotation.records import Category, Rle
from comask.checkpoint.native import CheckpointInfo
from comask.config import NeckConfig, PreprocessingConfig
from comask.errors import InputError
from comask.model.comask import CoMask
from comask.predict import Predictor
from tests.models import small_config, small_model

CATEGORIES = (Category(1, "a"), Category(2, "b"), Category(3, "c"))
SIZE = (80, 120)  # 40 x 60 network pixels: a scale of 0.5
BRANCHES = ("1x", "8x", "4x", "2x")
Objects = list[tuple[int, Rle]]
Draw = Callable[[int, int, int, int], Rle]


def predictor_of(model: CoMask) -> Predictor:
    view = PreprocessingConfig(short_side=40, long_side=200)
    return Predictor(model, CheckpointInfo(model.config, CATEGORIES, view), device="cpu")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return predictor_of(small_model(small_config(NeckConfig(channels=32))))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (*SIZE, 3), np.uint8)


def drawn(x: int, y: int, width: int, height: int) -> Rle:
    mask = np.zeros(SIZE, np.uint8)
    mask[y : y + height, x : x + width] = 1
    return rle.encode(mask)


def corners(x: int, y: int, width: int, height: int) -> Rle:
    """Draw the first and the last pixel of a box: 2 pixels."""
    mask = np.zeros(SIZE, np.uint8)
    mask[y, x] = mask[y + height - 1, x + width - 1] = 1
    return rle.encode(mask)


@pytest.fixture(scope="module")
def objects() -> Objects:
    """Plant three objects for P2 and one each for P3, P4 and P5, in no order."""
    return [
        (4, drawn(0, 0, 40, 40)),
        (9, drawn(50, 30, 11, 9)),
        (-3, drawn(10, 5, 90, 70)),
        (7, drawn(4, 4, 8, 8)),
        (12, drawn(30, 0, 60, 60)),
        (5, drawn(100, 60, 16, 12)),
    ]


@pytest.fixture(scope="module")
def alone(predictor: Predictor, image: np.ndarray, objects: Objects) -> tuple[Fit, ...]:
    return fits(predictor, image, objects, samples=None)


@pytest.mark.parametrize(
    ("box", "level"),
    [
        ((0, 0, 120, 80), 5),
        ((0, 0, 61, 80), 5),
        ((60, 0, 60, 80), 4),  # exactly half of 9,600
        ((10, 10, 60, 60), 4),
        ((0, 0, 30, 80), 3),  # exactly a quarter
        ((40, 20, 40, 40), 3),
        ((0, 0, 30, 40), 2),  # exactly an eighth
        ((5, 5, 1, 1), 2),
    ],
)
@pytest.mark.parametrize("draw", [drawn, corners])
def test_the_level_follows_the_boxs_share_of_the_image(
    predictor: Predictor,
    image: np.ndarray,
    box: tuple[int, int, int, int],
    level: int,
    draw: Draw,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("comask.analysis.field_fit._field", lambda *_: 1.0)
    (one,) = fits(predictor, image, [(1, draw(*box))])
    assert one.level == level


def test_sizes_and_order(alone: tuple[Fit, ...]) -> None:
    assert [(one.id, one.level) for one in alone] == [
        (4, 3),
        (9, 2),
        (-3, 5),
        (7, 2),
        (12, 4),
        (5, 2),
    ]
    areas = [1600, 99, 6300, 64, 3600, 192]
    assert [one.size for one in alone] == pytest.approx([area**0.5 for area in areas])


def test_the_branch_with_the_largest_summed_share_speaks(
    predictor: Predictor, image: np.ndarray, objects: Objects, alone: tuple[Fit, ...]
) -> None:
    """Cell (r, c) of stride s looks at the pixel of 2 s r + 1, 2 s c + 1; the share is of |f|."""
    parts = {one.level: one for one in contributions(predictor, image)}
    for one, (_, mask) in zip(alone, objects, strict=True):
        level = parts[one.level]
        inside = rle.decode(mask).astype(bool)
        height, width = level.fused.shape
        places = [
            (row, column)
            for row in range(height)
            for column in range(width)
            if inside[2 * level.stride * row + 1, 2 * level.stride * column + 1]
        ]
        assert places
        sums = [sum(float(share[place]) for place in places) for share in level.share]
        whole = sum(float(level.fused[place]) for place in places)
        assert one.branch == BRANCHES[int(np.argmax(sums))]
        assert one.share == pytest.approx(max(sums) / whole, rel=1e-4)
        assert one.share > 1 / 5  # the largest of four and the bias


def test_who_speaks_by_hand(
    predictor: Predictor, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over two cells "1x" has 1 + 1 of a length of 2 + 2; "8x" is better in one, 3 - 2.

    "4x" is the strongest, but it works against the others.
    """
    planted = {"1x": (1.0, 1.0), "8x": (3.0, -2.0), "4x": (-5.0, -5.0), "2x": (0.0, 0.5)}

    def contributions_of(seen: Look) -> tuple[Contribution, ...]:
        height, width = seen.level(2).cells
        share = np.zeros((4, height, width), np.float32)
        share[:, 4, 7:9] = list(planted.values())
        fused = np.full((height, width), 2, np.float32)
        made = (seen.scale, seen.size, BRANCHES, np.abs(share), share, fused * 0, fused, 0.0)
        return (Contribution(2, 4, *made),)

    monkeypatch.setattr("comask.analysis.field_fit.contributions_of", contributions_of)
    monkeypatch.setattr("comask.analysis.field_fit._field", lambda *_: 1.0)
    (one,) = fits(predictor, image, [(1, drawn(50, 30, 20, 9))])
    assert (one.branch, one.share, one.size) == ("1x", 0.5, 180**0.5)


def hearing(speaker: int) -> Predictor:
    """Let the fusing convolution of P2 hear one branch only, without a bias."""
    model = small_model(small_config(NeckConfig(channels=32)))
    fuse = model.neck.msfem[0].fuse
    with torch.no_grad():
        fuse.weight[:, : 32 * speaker] = 0
        fuse.weight[:, 32 * (speaker + 1) :] = 0
        fuse.bias.zero_()
    return predictor_of(model)


@pytest.mark.parametrize("speaker", range(4))
def test_a_branch_that_is_all_there_is_speaks(
    image: np.ndarray, speaker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comask.analysis.field_fit._field", lambda *_: 1.0)
    pair = [(1, drawn(50, 30, 11, 9)), (2, drawn(100, 60, 16, 12))]
    for one in fits(hearing(speaker), image, pair):
        assert one.branch == BRANCHES[speaker]
        assert one.share == pytest.approx(1, abs=1e-5)


def test_fields_are_those_of_the_middle_cell_through_the_whole_network(
    predictor: Predictor, image: np.ndarray, alone: tuple[Fit, ...]
) -> None:
    """Middles (20, 20), (55.5, 34.5), (55, 40), (8, 8), (60, 30), (108, 66), halved, by stride."""
    cells = {4: (1, 1), 9: (4, 7), -3: (1, 1), 7: (1, 1), 12: (1, 2), 5: (8, 13)}
    for one in alone:
        (field,) = effective_fields(
            predictor,
            image,
            level=one.level,
            cells=[cells[one.id]],
            branches=[one.branch],
            question=Question("cascade", "frozen", "image"),
        )
        assert one.field == field.side(0.9)
        assert one.field > 0
        assert one.ratio == one.size / one.field


def test_objects_share_the_mean_of_samples(image: np.ndarray, objects: Objects) -> None:
    """One of a group of three is the second; two, at 0.75 and 2.25, are the first and the last."""
    predictor = hearing(3)
    alone = fits(predictor, image, objects, samples=None)
    group = [one.field for one in alone if one.level == 2]
    assert len({*group}) == 3
    for samples, places in ((1, [1]), (2, [0, 2]), (3, [0, 1, 2]), (100, [0, 1, 2])):
        mean = sum(group[place] for place in places) / len(places)
        for one, own in zip(fits(predictor, image, objects, samples=samples), alone, strict=True):
            assert one.field == pytest.approx(mean if one.level == 2 else own.field)
            assert (one.id, one.level, one.branch) == (own.id, own.level, own.branch)
            assert (one.size, one.share) == (own.size, own.share)


def test_two_objects_may_have_one_id(predictor: Predictor, image: np.ndarray) -> None:
    pair = [(1, drawn(4, 4, 8, 8)), (1, drawn(100, 60, 16, 12))]
    both = fits(predictor, image, pair, samples=None)
    single = [fits(predictor, image, [one], samples=None)[0] for one in pair]
    assert list(both) == single
    assert both[0].field != both[1].field


def test_objects_without_pixels_are_left_out(predictor: Predictor, image: np.ndarray) -> None:
    nothing = (8, drawn(0, 0, 0, 0))
    found = fits(predictor, image, [nothing, (9, drawn(50, 30, 11, 9)), nothing])
    assert [one.id for one in found] == [9]
    assert fits(predictor, image, [nothing]) == fits(predictor, image, []) == ()


def test_a_field_without_any_mass_is_no_measure() -> None:
    assert Fit(1, 2, "8x", 0.5, 10.0, 0.0).ratio is None
    assert Fit(1, 2, "8x", 0.5, 10.0, 4.0).ratio == 2.5


class EnoughError(Exception):
    """What a caller raises to stop."""


def test_progress_counts_fields_and_may_stop(
    predictor: Predictor, image: np.ndarray, objects: Objects
) -> None:
    told: list[tuple[int, int]] = []
    fits(predictor, image, objects, samples=None, progress=lambda *at: told.append(at))
    assert told == [(done, 6) for done in range(6)]

    def stop(done: int, _total: int) -> None:
        if done == 1:
            raise EnoughError

    before = predictor.predict(image)
    with pytest.raises(EnoughError):
        fits(predictor, image, objects, progress=stop)
    after = predictor.predict(image)
    assert before.boxes.tobytes() == after.boxes.tobytes()
    assert all(one.grad is None for one in predictor._model.parameters())


@pytest.mark.parametrize("branches", [1, 2])
def test_few_branches_speak_as_well(image: np.ndarray, branches: int, objects: Objects) -> None:
    model = small_model(small_config(NeckConfig(channels=32, branches=branches)))
    found = fits(predictor_of(model), image, objects, samples=1)
    assert len(found) == 6
    assert {one.branch for one in found} <= {"1x", "2x"}
    if branches == 1:
        assert {one.branch for one in found} == {"1x"}


@pytest.mark.parametrize("samples", [0, -1])
def test_less_than_one_sample_is_refused(
    predictor: Predictor, image: np.ndarray, objects: Objects, samples: int
) -> None:
    with pytest.raises(InputError, match="at least one field"):
        fits(predictor, image, objects, samples=samples)


def test_masks_of_another_size_are_refused(predictor: Predictor, image: np.ndarray) -> None:
    turned = rle.encode(np.ones((120, 80), np.uint8))
    with pytest.raises(InputError, match="object 3 is 80 x 120 pixels, and the image is 120 x 80"):
        fits(predictor, image, [(3, turned)])
