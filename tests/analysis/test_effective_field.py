"""Effective fields: one by hand, finite differences, exact zeros, and a network left as it was."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from comask.analysis.activation import Look, look
from comask.analysis.effective_field import (
    Norm,
    Question,
    effective_fields,
    fields_of,
    merged_level,
    scalars,
)
from comask.analysis.theoretical_field import FUSED, Frame, Path, targets
from comask.annotation.records import Category
from comask.checkpoint.native import CheckpointInfo
from comask.config import NeckConfig, PreprocessingConfig
from comask.errors import InputError
from comask.model.comask import CoMask
from comask.model.fold import folded
from comask.model.msfem import Msfem
from comask.predict import Predictor
from tests.models import noise, small_config, small_model

CATEGORIES = (Category(1, "a"), Category(2, "b"), Category(3, "c"))
SHOWN = {2: (18, 25), 3: (9, 13), 4: (5, 7), 5: (3, 4)}  # cells of 70 x 100 network pixels
BRANCHES = ("1x", "8x", "4x", "2x", FUSED)


def predictor_of(model: CoMask) -> Predictor:
    preprocessing = PreprocessingConfig(short_side=70, long_side=200)
    return Predictor(model, CheckpointInfo(model.config, CATEGORIES, preprocessing), device="cpu")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return predictor_of(small_model())


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (70, 100, 3), np.uint8)


@pytest.fixture(scope="module")
def seen(predictor: Predictor, image: np.ndarray) -> Look:
    return look(predictor, image)


def corners_and_centre(level: int) -> list[tuple[int, int]]:
    height, width = SHOWN[level]
    return [(0, 0), (height // 2, width // 2), (height - 1, width - 1)]


def test_a_field_by_hand() -> None:
    """One tap copies every other cell; cell 3 of 8 lies at 9 / 7 among them.

    So it is 5 / 7 of cell 2 and 2 / 7 of cell 4, both ways; the norm's factor is one for all.
    """
    torch.manual_seed(0)
    msfem = Msfem(NeckConfig(channels=32, branches=2)).eval()
    unit = msfem.branches[0][0]
    with torch.no_grad():
        unit.conv.weight.zero_()
        unit.conv.weight[:, :, 1, 1] = 1
        unit.norm.bias.fill_(100)  # every ReLU is open
    level = noise(1, 32, 8, 8).requires_grad_()
    found, _ = scalars(msfem, level, [(3, 3)], Question())
    (gradient,) = torch.autograd.grad(found["2x"], level)
    field = gradient[0].abs().sum(dim=0)
    expected = torch.zeros(8, 8)
    for row, weight in ((2, 5 / 7), (4, 2 / 7)):
        expected[row, 2], expected[row, 4] = weight * 5 / 7, weight * 2 / 7
    torch.testing.assert_close(field / field.sum(), expected)


def test_the_level_itself_sees_its_own_cell(seen: Look) -> None:
    """Over C = 64 channels the sum's gradient is 1 each, and a mean of two cells halves it."""
    one, *_ = fields_of(seen, level=3, cells=[(2, 5), (4, 6)], branches=["1x"])
    expected = np.zeros(SHOWN[3])
    expected[2, 5] = expected[4, 6] = 32
    np.testing.assert_array_equal(one.map, expected)
    assert one.origin == (3, 5.5)
    assert one.box == (5, 2, 7, 5)


@pytest.mark.slow
@pytest.mark.parametrize("frame", ["level", "image"])
@pytest.mark.parametrize("path", ["own", "cascade"])
@pytest.mark.parametrize("level", [2, 3, 4, 5])
def test_frozen_fields_are_zero_outside_their_box(
    predictor: Predictor, image: np.ndarray, level: int, path: Path, frame: Frame
) -> None:
    for cell in corners_and_centre(level):
        found = effective_fields(
            predictor, image, level=level, cells=[cell], question=Question(path, "frozen", frame)
        )
        assert tuple(one.branch for one in found) == BRANCHES
        for one in found:
            x1, y1, x2, y2 = one.box
            beyond = one.map.copy()
            beyond[y1:y2, x1:x2] = 0
            assert not beyond.any()
            assert one.outside == 0
            assert one.mass > 0
            assert not one.is_global


def test_a_narrow_field_leaves_most_of_the_level_alone(seen: Look) -> None:
    """The 2x branch of P2 sees 5 x 5 of 18 x 25 cells at most."""
    one, *_ = fields_of(seen, level=2, cells=[(9, 12)], branches=["2x"])
    assert 0 < np.count_nonzero(one.map) <= 25


@pytest.mark.parametrize("path", ["own", "cascade"])
def test_live_statistics_reach_the_whole_map(seen: Look, path: Path) -> None:
    found = fields_of(seen, level=2, cells=[(9, 12)], question=Question(path, "live"))
    for one in found:
        assert one.is_global
        if one.branch != "1x":
            assert (one.map > 0).mean() > 0.99
            assert one.outside > 0


def test_a_look_gives_the_same_fields(predictor: Predictor, image: np.ndarray, seen: Look) -> None:
    asked = Question("cascade", "live")
    whole = effective_fields(predictor, image, level=4, cells=[(2, 3)], question=asked)
    for one, other in zip(
        whole, fields_of(seen, level=4, cells=[(2, 3)], question=asked), strict=True
    ):
        np.testing.assert_allclose(one.map, other.map, rtol=1e-4, atol=1e-6 * one.map.max())
        assert (one.branch, one.box, one.unit) == (other.branch, other.box, other.unit)


def test_own_and_cascade_differ_where_something_is_deeper(seen: Look) -> None:
    own, cascade = (
        fields_of(seen, level=3, cells=[(4, 6)], question=Question(path))
        for path in ("own", "cascade")  # type: ignore[arg-type]
    )
    same = [np.array_equal(a.map, b.map) for a, b in zip(own, cascade, strict=True)]
    assert same == [True, True, False, False, False]


@pytest.mark.parametrize("branches", [1, 2, 5])
@pytest.mark.parametrize("norm", ["frozen", "live"])
def test_other_numbers_of_branches(branches: int, norm: Norm, image: np.ndarray) -> None:
    model = small_model(small_config(NeckConfig(channels=32, branches=branches)))
    found = effective_fields(
        predictor_of(model), image, level=5, cells=[(1, 1)], question=Question("cascade", norm)
    )
    assert tuple(one.branch for one in found) == targets(model)
    assert all(one.map.shape == SHOWN[5] for one in found)


@pytest.mark.parametrize("size", [(5, 3), (91, 77), (1, 1)])
def test_images_of_any_size(predictor: Predictor, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    for frame in ("level", "image"):
        found = effective_fields(
            predictor, image, level=4, cells=[(0, 0)], question=Question(frame=frame)
        )
        assert all(np.isfinite(one.map).all() for one in found)
        height, width = found[0].map.shape
        longest = max(height, width) * found[0].unit
        assert abs(longest - max(size)) <= found[0].unit  # the map covers the image, in its pixels


def test_sizes_are_in_image_pixels(predictor: Predictor) -> None:
    """140 x 200 image pixels are 70 x 100 network pixels: a cell of P3 is 16 x 16 image pixels."""
    image = np.random.default_rng(0).integers(0, 256, (140, 200, 3), np.uint8)
    one, *_ = effective_fields(predictor, image, level=3, cells=[(4, 5)], branches=["1x"])
    assert (one.unit, one.side(0.9), one.size, one.scale) == (16, 16, (140, 200), 0.5)


# --- finite differences ----------------------------------------------------------------------


STEP = 1e-8  # of a normalised pixel: hardly any ReLU turns over on so short a way


@pytest.fixture(scope="module")
def exact() -> CoMask:
    """Build one whose batch norms have seen images: gradients reach the pixels undiminished."""
    model = small_model()
    norms = [part for part in model.backbone.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.train().momentum = None  # a plain mean
    with torch.no_grad():
        model.backbone(noise(8, 3, 64, 64))
    return folded(model).double()


@pytest.fixture(scope="module")
def base() -> Tensor:
    return noise(1, 3, 64, 64, seed=5).double()


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    """Choose 50 pixels: (50, 2)."""
    return torch.randint(64, (50, 2), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def moved(exact: CoMask, base: Tensor, pixels: Tensor) -> list[Tensor]:
    """Move each channel of each pixel: merged P2 .. P5 of all 150 images."""
    images = base.repeat(150, 1, 1, 1).view(50, 3, 3, 64, 64)
    for at, (row, column) in enumerate(pixels.tolist()):
        for channel in range(3):
            images[at, channel, channel, row, column] += STEP
    with torch.no_grad():
        parts = [exact.neck.merged(exact.backbone(i)) for i in images.view(-1, 3, 64, 64).split(50)]
    return [torch.cat(level) for level in zip(*parts, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["frozen", "live"])
@pytest.mark.parametrize("path", ["own", "cascade"])
@pytest.mark.parametrize("level", [2, 3, 4, 5])
def test_finite_differences_agree_at_50_pixels(
    exact: CoMask,
    base: Tensor,
    pixels: Tensor,
    moved: list[Tensor],
    level: int,
    path: Path,
    norm: Norm,
) -> None:
    """In float64, every branch, centre and corner cells, in the image's pixels."""
    msfem, asked = exact.neck.msfem[level - 2], Question(path, norm, "image")
    side = 64 >> level
    for cell in ((0, 0), (side // 2, side // 2), (side - 1, 0)):
        image = base.clone().requires_grad_()
        found, held = scalars(msfem, merged_level(exact, image, level), [cell], asked)
        with torch.no_grad():
            others, _ = scalars(msfem, moved[level - 2], [cell], asked, held)
        assert tuple(found) == tuple(others) == BRANCHES
        for name, scalar in found.items():
            (gradient,) = torch.autograd.grad(scalar, image, retain_graph=True)
            field = gradient[0].abs().sum(dim=0)
            slopes = ((others[name] - scalar.detach()) / STEP).view(50, 3).abs().sum(dim=1)
            least = 1e-6 * float(field.max())
            expected = field[pixels[:, 0], pixels[:, 1]]
            assert (expected > least).any()
            torch.testing.assert_close(slopes, expected, rtol=0.01, atol=least)


def test_a_field_is_the_absolute_gradient_over_the_channels(
    predictor: Predictor, image: np.ndarray
) -> None:
    cell, asked = (2, 3), Question("cascade", "frozen", "image")
    found = effective_fields(predictor, image, level=4, cells=[cell], question=asked)
    with predictor.opened(image, gradients=True) as (model, batch, _):
        pixels = batch.tensor.clone().requires_grad_()
        numbers, _ = scalars(model.neck.msfem[2], merged_level(model, pixels, 4), [cell], asked)
        for one in found:
            (gradient,) = torch.autograd.grad(numbers[one.branch], pixels, retain_graph=True)
            expected = gradient[0].abs().sum(dim=0)[:70, :100].numpy()
            np.testing.assert_allclose(one.map, expected, rtol=1e-4, atol=1e-6 * one.map.max())


def test_frozen_numbers_are_the_networks_own(predictor: Predictor, seen: Look) -> None:
    """What is differentiated is what the branches gave, whatever is held constant."""
    one = seen.level(3)
    for asked in (Question("own", "frozen"), Question("cascade", "live")):
        with torch.inference_mode():
            found, _ = scalars(one.msfem, one.merged, [(4, 6), (0, 1)], asked)
        for name in BRANCHES:
            whole = one.map(name).sum(dim=0)
            expected = (whole[4, 6] + whole[0, 1]) / 2
            if name == FUSED:
                expected = expected - one.msfem.fuse.bias.sum()  # type: ignore[union-attr]
            torch.testing.assert_close(found[name][0], expected, rtol=1e-3, atol=1e-3)


# --- nothing is left behind ------------------------------------------------------------------


def state(model: CoMask) -> list[object]:
    """List what a careless analysis would leave: modes, gradients, hooks."""
    found: list[object] = [(name, p.requires_grad, p.grad) for name, p in model.named_parameters()]
    for name, part in model.named_modules():
        hooks = (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks)
        found.append((name, part.training, *(len(one) for one in hooks)))
    return found


class StoppedError(Exception):
    """What a caller raises to cancel."""


def stop(done: int, total: int) -> None:
    if done == 2:
        raise StoppedError


@pytest.mark.parametrize("norm", ["frozen", "live"])
@pytest.mark.parametrize("frame", ["level", "image"])
def test_the_network_stays_as_it_was(
    predictor: Predictor, image: np.ndarray, frame: Frame, norm: Norm
) -> None:
    before, bytes_before = predictor.predict(image), state(predictor._model)
    asked = Question("cascade", norm, frame)
    effective_fields(predictor, image, level=3, cells=[(4, 6)], question=asked)
    with pytest.raises(StoppedError):
        effective_fields(predictor, image, level=3, cells=[(4, 6)], question=asked, progress=stop)
    after = predictor.predict(image)  # the lock is free as well
    assert state(predictor._model) == bytes_before
    assert all(p.grad is None for p in predictor._model.parameters())
    for name in ("boxes", "scores", "mask_ious"):
        assert getattr(before, name).tobytes() == getattr(after, name).tobytes()
    assert before.masks == after.masks


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_need_no_mode_of_the_callers(
    predictor: Predictor, image: np.ndarray, seen: Look, mode: type[torch.no_grad]
) -> None:
    with mode():
        one, *_ = effective_fields(predictor, image, level=3, cells=[(4, 6)])
        other, *_ = fields_of(seen, level=3, cells=[(4, 6)])
    assert one.mass == other.mass == 64  # channels of the level itself


def test_progress_counts_backward_passes(predictor: Predictor, image: np.ndarray) -> None:
    told: list[tuple[int, int]] = []
    effective_fields(
        predictor,
        image,
        level=5,
        cells=[(0, 0)],
        branches=["8x", "2x"],
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"level": 1}, "level is one of"),
        ({"cells": [(9, 0)]}, "is not on a map of 9 x 13"),
        ({"cells": []}, "at least one cell"),
        ({"branches": ["1x", "16x"]}, "branch is one of"),
    ],
)
def test_what_is_none_is_refused(
    predictor: Predictor, image: np.ndarray, seen: Look, wrong: dict[str, object], said: str
) -> None:
    given = {"level": 3, "cells": [(0, 0)]} | wrong
    with pytest.raises(InputError, match=said):
        effective_fields(predictor, image, **given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=said):
        fields_of(seen, **given)  # type: ignore[arg-type]


def test_questions_are_checked(seen: Look) -> None:
    for wrong in ({"path": "x"}, {"norm": "x"}, {"frame": "x"}):
        with pytest.raises(InputError, match="is one of"):
            Question(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="look"):
        fields_of(seen, level=3, cells=[(0, 0)], question=Question(frame="image"))
    assert Question().to_plain() == {"path": "own", "norm": "frozen", "frame": "level"}
