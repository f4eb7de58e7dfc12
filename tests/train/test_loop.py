"""Steps of a training in one process."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from comask.annotation import rle
from comask.checkpoint.native import CheckpointInfo
from comask.config import AugmentConfig, LossWeights
from comask.data import images
from comask.data.loader import Batch, Share, batches
from comask.errors import TrainingError
from comask.model.comask import CoMask
from comask.predict import Predictor
from comask.train.loop import Training
from comask.train.recipe import Folders, Recipe
from tests.train.small import (
    CPU,
    SQUARE,
    opened,
    settle,
    small_model_config,
    small_recipe,
    small_start,
    write_folder,
)

CONFIG = small_model_config()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return write_folder(tmp_path_factory.mktemp("data"))


def begin(recipe: Recipe) -> Training:
    return Training(small_start(recipe.model), recipe.train, CPU)


def stream(folders: Folders, recipe: Recipe, count: int = 8) -> Iterator[Batch]:
    share = Share(recipe.train.images)
    return batches(opened(folders, recipe), share, range(count), recipe.train.seed)


def gradients(training: Training) -> list[Tensor]:
    return [torch.zeros_like(w) if w.grad is None else w.grad.clone() for w in training.weights]


def test_a_step_moves_the_weights_and_reports_the_losses(folders: Folders) -> None:
    recipe = small_recipe()
    training = begin(recipe)
    before = [w.detach().clone() for w in training.weights]
    losses = training.advance(stream(folders, recipe))
    assert training.step == 1
    weights = LossWeights()
    total = sum(getattr(weights, name) * losses[name] for name in losses if name != "total")
    assert losses["total"] == pytest.approx(total, rel=1e-5)
    pairs = zip(before, training.weights, gradients(training), strict=True)
    moved = [not torch.equal(old, new) for old, new, gradient in pairs if bool(gradient.any())]
    assert all(moved)
    assert len(moved) > 0.6 * len(before)  # levels without a region have no gradient


def test_accumulated_passes_give_the_mean_of_their_gradients(folders: Folders) -> None:
    # the rate is so small that the second of two steps sees the weights of the first
    small = {"learning_rate": 1e-12, "optimizer": "sgd", "weight_decay": 0.0}
    one, two = small_recipe(**small), small_recipe(**small, accumulate=2)
    single, double = begin(one), begin(two)
    first, second = stream(folders, one), stream(folders, two)
    parts, losses = [], []
    for _ in range(2):
        losses.append(single.advance(first)["total"])
        parts.append(gradients(single))
    assert double.advance(second)["total"] == pytest.approx(sum(losses) / 2, rel=1e-5)
    assert double.step == 1
    for left, right, together in zip(*parts, gradients(double), strict=True):
        scale = together.abs().max().item() + 1e-6
        assert_close((left + right) / 2, together, rtol=0, atol=1e-4 * scale)


def test_gradients_are_shortened_to_their_limit(folders: Folders) -> None:
    recipe = small_recipe(max_norm=0.01)
    training = begin(recipe)
    training.advance(stream(folders, recipe))
    length = math.sqrt(sum(float(g.square().sum()) for g in gradients(training)))
    assert length == pytest.approx(0.01, rel=1e-3)


def test_the_running_mean_is_lent_and_given_back(folders: Folders) -> None:
    recipe = small_recipe(average=0.5)
    training = begin(recipe)
    start = [w.detach().clone() for w in training.weights]
    training.advance(stream(folders, recipe))
    own = [w.detach().clone() for w in training.weights]
    # the first decay is (1 + 0) / (10 + 0): a tenth of the start, nine of the new
    wanted = [0.1 * a + 0.9 * b for a, b in zip(start, own, strict=True)]
    with training.averaged():
        assert_close([w.detach() for w in training.weights], wanted)
    assert all(torch.equal(a, b) for a, b in zip(own, training.weights, strict=True))


def test_without_a_mean_the_weights_themselves_are_lent(folders: Folders) -> None:
    training = begin(small_recipe(average=0.0))
    own = [w.detach().clone() for w in training.weights]
    with training.averaged():
        assert all(torch.equal(a, b) for a, b in zip(own, training.weights, strict=True))


def test_half_precision_trains(folders: Folders) -> None:
    losses = {}
    for half in (False, True):
        recipe = small_recipe(bfloat16=half, augment=AugmentConfig(flip=0.0))
        training, batch = begin(recipe), stream(folders, recipe)
        losses[half] = [training.advance(batch)["total"] for _ in range(2)]
        assert all(w.dtype == torch.float32 for w in training.weights)
        assert all(bool(g.isfinite().all()) for g in gradients(training))
    assert losses[True] != losses[False]
    assert losses[True] == pytest.approx(losses[False], rel=0.2)


def test_a_loss_that_is_not_finite_ends_the_training(folders: Folders) -> None:
    recipe = small_recipe()
    training = begin(recipe)
    torch.nn.init.constant_(training.model.class_head.score.bias, math.nan)
    with pytest.raises(TrainingError, match=r"not finite at step 0: .*'class_score': nan"):
        training.advance(stream(folders, recipe))


def test_frozen_stages_are_not_among_the_weights() -> None:
    config = replace(CONFIG, backbone=replace(CONFIG.backbone, frozen_stages=2))
    training = Training(CoMask(config), small_recipe(config).train, CPU)
    trained = {id(weight) for weight in training.weights}
    backbone = training.model.backbone
    frozen = [*backbone.stem.parameters(), *backbone.stages[:2].parameters()]
    assert not trained & {id(weight) for weight in frozen}
    assert trained & {id(weight) for weight in backbone.stages[2].parameters()}


def test_a_gradient_that_is_not_finite_ends_the_training(folders: Folders) -> None:
    recipe = small_recipe()
    training = begin(recipe)
    before = [w.detach().clone() for w in training.weights]
    training.weights[0].register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(TrainingError, match="gradient is not finite at step 0"):
        training.advance(stream(folders, recipe))
    assert all(torch.equal(a, b) for a, b in zip(before, training.weights, strict=True))


@pytest.mark.slow
def test_one_tiny_image_is_learnt_in_sixty_steps(tmp_path: Path) -> None:
    folders = write_folder(tmp_path, (SQUARE,))
    recipe = small_recipe(
        steps=59, learning_rate=3e-3, warmup=5, schedule="cosine", weight_decay=0.0,
        max_norm=10.0, average=0.0, augment=AugmentConfig(flip=0.0),
    )  # fmt: skip
    dataset = opened(folders, recipe)
    torch.manual_seed(5)
    model = CoMask(recipe.model)
    settle(model)
    training = Training(model, recipe.train, CPU)
    passes = stream(folders, recipe, recipe.train.steps)
    losses = [training.advance(passes)["total"] for _ in range(recipe.train.steps)]
    assert losses[-1] < losses[0] / 4
    info = CheckpointInfo(recipe.model, dataset.categories, recipe.preprocessing)
    seen = images.load(folders.images / "1.png").pixels
    found = Predictor(training.model.eval(), info, device="cpu").predict(seen)
    truth = [rle.encode(mask.numpy()) for mask in next(stream(folders, recipe)).targets[0].masks]
    overlaps = rle.iou(list(found.masks[:2]), truth, [False, False])
    assert sorted(overlaps.argmax(axis=1)) == [0, 1]  # the two best are the two discs
    assert overlaps.max(axis=1).min() > 0.8
    assert found.class_scores[1] > 0.5


def test_the_backbone_takes_its_share_of_the_rate() -> None:
    config = small_recipe(warmup=0, learning_rate=0.5, backbone_rate=0.1, steps=10).train
    training = Training(small_start(small_model_config()), config, CPU)
    backbone = {id(weight) for weight in training.model.backbone.parameters()}
    shares = {group["share"]: group["params"] for group in training.optimizer.param_groups}
    assert set(shares) == {0.1, 1.0}
    assert all(id(weight) in backbone for weight in shares[0.1])
    assert not any(id(weight) in backbone for weight in shares[1.0])
    assert len(shares[0.1]) + len(shares[1.0]) == len(training.weights)
