"""A whole training step of the released reading, against the one that the authors' code took.

Weights, images, truth and every random draw are the recorded ones. Two stages are fed what was
recorded: the proposals, whose last places fall to scores that differ by less than rounding, and
the mask targets, because OpenCV's resize rounds otherwise (``test_targets`` compares both).
"""

import re
import runpy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from comask.checkpoint import mmdet_v1, state
from comask.config import LossWeights, ModelConfig
from comask.model import targets
from comask.model.comask import CoMask
from comask.structures import ImageBatch
from comask.train.step import TrainingStep
from tests.model.recorded import Recorded

pytestmark = pytest.mark.slow

NAMES = {
    "proposal_score": "loss_rpn_cls",
    "proposal_box": "loss_rpn_bbox",
    "class_score": "loss_cls",
    "box": "loss_reg",
    "mask": "loss_instance",
    "mask_iou": "loss_iou",
}


@dataclass(frozen=True)
class Step:
    """What one step left: losses times their weights, gradients by the authors' names."""

    recorded: Recorded
    losses: dict[str, float]
    gradients: dict[str, Tensor | None]
    proposals: list[Tensor]


@pytest.fixture(scope="module")
def step(spec_fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Step]:
    recorded = Recorded(spec_fixtures)
    names = read_names(spec_fixtures)
    model = recorded_model(spec_fixtures, tmp_path_factory.mktemp("weights") / "a.pth").train()
    with pytest.MonkeyPatch.context() as patch:
        yield take(model, names, recorded, patch)


def take(
    model: CoMask, names: dict[str, str], recorded: Recorded, patch: pytest.MonkeyPatch
) -> Step:
    masks = iter(recorded.mask_targets().split([8, 6]))
    patch.setattr(targets, "mask_targets", lambda *_: next(masks))
    found: list[Tensor] = []
    propose = model.rpn.proposals

    def recorded_proposals(*arguments: object) -> list[Tensor]:
        found.extend(propose(*arguments))
        return recorded.proposals()

    patch.setattr(model.rpn, "proposals", recorded_proposals)
    padded = tuple(recorded["img"].shape[-2:])
    images = ImageBatch(recorded["img"], tuple(recorded.sizes), (padded, padded))
    replay = recorded.replay()
    losses = TrainingStep(model, "released").losses(images, recorded.truth, [replay] * 2)
    assert replay.all_used()
    weighted = {name: getattr(LossWeights(), name) * loss for name, loss in losses.items()}
    torch.stack(list(weighted.values())).sum().backward()
    parameters = dict(model.named_parameters())
    gradients = {theirs: parameters[ours].grad for theirs, ours in names.items()}
    return Step(recorded, {k: v.item() for k, v in weighted.items()}, gradients, found)


def recorded_model(fixtures: Path, path: Path) -> CoMask:
    """Make the weights, read them as a checkpoint of the authors, and sample as few as they did."""
    maker = runpy.run_path(str(fixtures / "make_weights.py"))
    names = maker["read_names"](fixtures / "params_r50_coco81.txt")
    arrays = maker["make_state_dict"]("A", names)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    torch.save({"meta": {}, "state_dict": tensors}, path)
    model, info = mmdet_v1.convert(path)
    path.unlink()  # 400 MB, and pytest keeps folders
    return state.filled(state.blank(as_few(info.config)), model.state_dict(), path)


def as_few(config: ModelConfig) -> ModelConfig:
    return replace(
        config,
        proposals=replace(config.proposals, sampled=64, train_kept=300),
        class_head=replace(config.class_head, sampled=48),
        mask_head=replace(config.mask_head, sampled=14),
    )


def read_names(fixtures: Path) -> dict[str, str]:
    """Map the names of all parameters, theirs to ours, by the rules of the converter."""
    lines = (fixtures / "params_r50_coco81.txt").read_text().splitlines()
    theirs = [line.split()[0] for line in lines]
    is_buffer = ("running_mean", "running_var", "num_batches_tracked")
    return {name: our_name(name) for name in theirs if not name.endswith(is_buffer)}


def our_name(theirs: str) -> str:
    hits = ((re.fullmatch(pattern, theirs), ours) for pattern, ours in mmdet_v1.rules(4))
    return next(hit.expand(ours) for hit, ours in hits if hit)


@pytest.mark.parametrize("name", NAMES)
def test_each_loss_is_the_recorded_one(step: Step, name: str) -> None:
    assert abs(step.losses[name] - step.recorded.loss(NAMES[name])) < 1e-5


def test_all_losses_are_compared_and_their_sum_is_the_recorded_one(step: Step) -> None:
    assert set(step.losses) == set(NAMES)
    assert abs(sum(step.losses.values()) - step.recorded.loss("total")) < 1e-5


def test_the_proposals_are_the_recorded_ones(step: Step) -> None:
    for ours, theirs in zip(step.proposals, step.recorded.proposals(), strict=True):
        assert ours.shape == (300, 4)
        nearest = torch.cdist(ours, theirs, p=1).amin(dim=1)
        assert (nearest < 1e-2).sum() >= 298


def deviations(step: Step) -> np.ndarray:
    """Compare gradient norms, relative to the recorded ones: -> (362,)."""
    arrays = step.recorded.arrays
    norms = [norm(step.gradients[str(name)]) for name in arrays["grad_names"]]
    return np.abs(np.array(norms) - arrays["grad_norms"]) / arrays["grad_norms"]


def norm(gradient: Tensor | None) -> float:
    return 0.0 if gradient is None else gradient.norm().item()


def test_gradient_norms_are_the_recorded_ones(step: Step) -> None:
    found = deviations(step)
    assert found.shape == (362,)
    # a ReLU's input of 1e-6 may have the other sign here: it moves one or two norms of the mask
    # head's trunk by 2e-3, as noise of 1e-6 on the features does
    assert (found < 1e-3).sum() >= 359
    assert found.max() < 5e-3


def test_the_whole_gradient_is_as_long_as_recorded(step: Step) -> None:
    arrays = step.recorded.arrays
    length = np.linalg.norm([norm(step.gradients[str(name)]) for name in arrays["grad_names"]])
    assert abs(length / np.linalg.norm(arrays["grad_norms"]) - 1) < 1e-4


def test_gradients_point_where_the_recorded_ones_do(step: Step) -> None:
    names = [name for name in step.recorded.arrays if name.startswith("grad/")]
    assert len(names) == 6
    for name in names:
        wanted = step.recorded[name]  # the first numbers of the gradient
        gradient = step.gradients[name.removeprefix("grad/")]
        assert gradient is not None
        error = (gradient.flatten()[: len(wanted)] - wanted).norm()
        assert error <= 2e-3 * wanted.norm(), name


def test_the_stem_and_the_first_stage_are_not_trained(step: Step) -> None:
    names = step.recorded.arrays["nograd_names"]
    assert len(names) == 33
    assert {norm(step.gradients[str(name)]) for name in names} == {0.0}
    assert len(step.gradients) == 33 + 362
