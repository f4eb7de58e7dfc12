"""The losses of a batch: whom they depend on, and how processes share them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from comask.config import LossWeights, Reading
from comask.data.loader import Batch, Share, batches
from comask.model import targets
from comask.model.targets import MaskSample, RandomSampler
from comask.structures import ImageBatch, Target
from comask.train.step import TrainingStep
from tests.train.small import (
    SQUARE,
    opened,
    small_model_config,
    small_recipe,
    small_start,
    write_folder,
)

SEEDS = [11, 12]


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    folders = write_folder(tmp_path_factory.mktemp("data"), (SQUARE, SQUARE))
    dataset = opened(folders, small_recipe())
    return next(batches(dataset, Share(2), range(1), 0))


@pytest.fixture(scope="module")
def step() -> TrainingStep:
    return TrainingStep(small_start(small_model_config()).train())


def alone(batch: Batch, row: int) -> tuple[ImageBatch, list[Target], list[int]]:
    return batch.images.alone([row]), [batch.targets[row]], [SEEDS[row]]


def samplers() -> list[RandomSampler]:
    return [RandomSampler(torch.Generator().manual_seed(seed)) for seed in SEEDS]


def test_an_images_samples_do_not_depend_on_its_company(
    batch: Batch, step: TrainingStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[MaskSample] = []
    original = targets.sample_masks

    def watched(*arguments: object) -> list[MaskSample]:
        found = original(*arguments)  # type: ignore[arg-type]
        drawn.extend(found)
        return found

    monkeypatch.setattr(targets, "sample_masks", watched)
    step(batch.images, batch.targets, SEEDS)
    for row in (0, 1):
        step(*alone(batch, row))
    together, apart = drawn[:2], drawn[2:]
    for ours, theirs in zip(together, apart, strict=True):
        assert len(ours.boxes) >= 2
        assert_close(ours.boxes, theirs.boxes, rtol=0, atol=1e-3)


def test_other_seeds_draw_other_samples(batch: Batch, step: TrainingStep) -> None:
    with torch.no_grad():
        first, again, other = (
            step(batch.images, batch.targets, seeds) for seeds in (SEEDS, SEEDS, [3, 4])
        )
    assert first == again
    assert first["mask"] != other["mask"]


def shares(batch: Batch, step: TrainingStep) -> list[dict[str, Tensor]]:
    """Take the losses of two processes of one image each, in one process: counts are kept first."""
    counts: list[list[Tensor]] = [[], []]

    def keep(row: int) -> Callable[[Tensor], Tensor]:
        return lambda value: counts[row].append(value) or value  # type: ignore[func-returns-value]

    for row in (0, 1):
        TrainingStep(step.model, mean=keep(row))(*alone(batch, row))
    assert len(counts[0]) == len(counts[1])
    means = [sum(pair) / 2 for pair in zip(*counts, strict=True)]

    def replay() -> Callable[[Tensor], Tensor]:
        left = iter(means)
        return lambda _: next(left)

    return [TrainingStep(step.model, mean=replay())(*alone(batch, row)) for row in (0, 1)]


def mean_of(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: sum(part[name] for part in parts) / len(parts) for name in parts[0]}


def test_processes_share_the_losses_of_the_whole_batch(batch: Batch, step: TrainingStep) -> None:
    assert_close(mean_of(shares(batch, step)), step(batch.images, batch.targets, SEEDS))


def test_a_process_without_objects_shares_them_too(batch: Batch, step: TrainingStep) -> None:
    full, other = batch.targets[0], batch.targets[1]
    empty = Target(other.boxes[:0], other.labels[:0], other.masks[:0], other.crowd[:0])
    half = Batch(batch.images, [full, empty], SEEDS)
    parts = shares(half, step)
    assert parts[1]["box"] == parts[1]["mask"] == parts[1]["mask_iou"] == 0
    assert_close(mean_of(parts), step(half.images, half.targets, SEEDS))


def test_the_mean_of_separate_losses_would_be_another(batch: Batch, step: TrainingStep) -> None:
    apart = mean_of([step(*alone(batch, row)) for row in (0, 1)])
    together = step(batch.images, batch.targets, SEEDS)
    assert abs(apart["box"] - together["box"]) > 1e-3 * together["box"]


@pytest.mark.parametrize(("reading", "calls"), [("paper", 5), ("released", 0)])
def test_the_released_reading_divides_by_its_own_counts(
    batch: Batch, step: TrainingStep, reading: Reading, calls: int
) -> None:
    asked = []

    def mean(value: Tensor) -> Tensor:
        asked.append(value)
        return value

    TrainingStep(step.model, reading, mean)(batch.images, batch.targets, SEEDS)
    assert len(asked) == calls


def test_losses_go_by_the_names_of_their_weights(batch: Batch, step: TrainingStep) -> None:
    found = step.losses(batch.images, batch.targets, samplers())
    assert set(found) == set(asdict(LossWeights()))
    assert all(value.shape == () and value.requires_grad for value in found.values())
