"""Switching off: what comes out is what a whole run without the part gives, worked out here."""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from comask.analysis.ablation import ablate, base_run
from comask.analysis.switches import Switches
from comask.annotation.records import Category
from comask.checkpoint.native import CheckpointInfo
from comask.config import DetectionConfig, ModelConfig, NeckConfig, PreprocessingConfig
from comask.model import refine
from comask.model.comask import CoMask
from comask.model.msfem import Msfem
from comask.predict import Prediction, Predictor, to_prediction
from comask.run import pack
from comask.structures import Detections, ImageBatch, Trace
from tests.models import small_config, small_model

CATEGORIES = (Category(1, "a"), Category(2, "b"), Category(3, "c"))
VIEW = PreprocessingConfig(short_side=70, long_side=200)
NECK = NeckConfig(channels=32)
NOTHING = small_config(NECK, detection=DetectionConfig(min_score=1.0))


def opened(config: ModelConfig | None = None, *, bfloat16: bool = False) -> Predictor:
    config = config or small_config(NECK)
    info = CheckpointInfo(config, CATEGORIES, VIEW)
    return Predictor(small_model(config), info, device="cpu", bfloat16=bfloat16)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return opened()


def noise(height: int = 70, width: int = 100) -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (height, width, 3), np.uint8)


# --- a whole run with something switched off, written without the code under test --------------


def enriched(msfem: Msfem, level: Tensor, off: set[int], cascade: bool, attends: bool) -> Tensor:
    """The paper's figure: concatenate, fuse, attend; a part that is off is a map of zeros."""
    seen, heard = [level], None
    for number, branch in enumerate(msfem.branches, start=1):
        coarse = level if heard is None else torch.cat([heard, level], dim=1)
        for unit in branch:
            coarse = F.relu(unit.norm(F.conv2d(coarse, *vars_of(unit.conv), stride=2, padding=1)))
        drawn = F.interpolate(coarse, level.shape[-2:], mode="bilinear", align_corners=True)
        heard = torch.zeros_like(drawn) if cascade and number in off else drawn
        seen.append(drawn)
    seen = [torch.zeros_like(one) if n in off else one for n, one in enumerate(seen)]
    fused = F.conv2d(torch.cat(seen, dim=1), *vars_of(msfem.fuse))
    return msfem.attention(fused) if attends else fused.clamp(min=0)


def vars_of(conv: nn.Conv2d) -> tuple[Tensor, Tensor | None]:
    return conv.weight, conv.bias


def features(model: CoMask, tensor: Tensor, switches: Switches) -> tuple[Tensor, ...]:
    merged = [
        lateral(stage)
        for lateral, stage in zip(model.neck.laterals, model.backbone(tensor), strict=True)
    ]
    for k in (2, 1, 0):
        merged[k] = merged[k] + F.interpolate(merged[k + 1], merged[k].shape[-2:])
    levels = [
        enriched(
            msfem,
            level,
            {branch for at, branch in switches.branches_off if at == number},
            switches.reach == "cascade",
            number not in switches.attention_off,
        )
        for number, msfem, level in zip((2, 3, 4, 5), model.neck.msfem, merged, strict=True)
    ]
    return (*levels, F.max_pool2d(levels[3], 1, stride=2))


def whole_run(model: CoMask, batch: ImageBatch, switches: Switches) -> Detections:
    levels = features(model, batch.tensor, switches)
    found = model.classes(levels, model.rpn(levels, batch), batch.sizes)[0]
    first = model.look(levels, [found.boxes], found.labels, batch.sizes)
    votes = refine.votes(found.boxes, first.distances)
    kind = switches.votes or ("sigmoid" if model.config.collaborative else "plain")
    twice = model.config.collaborative if switches.second_pass is None else switches.second_pass
    sampled = F.interpolate(first.masks[:, None], (7, 7), mode="bilinear", align_corners=True)
    weights = sampled[:, 0].sigmoid()
    if kind == "gated":
        weights = weights * (weights > 0.5)
        weights[weights.sum(dim=(1, 2)) == 0] = 1
    if kind == "plain":
        weights = torch.ones_like(weights)
    boxes = (votes * weights[..., None]).sum(dim=(1, 2)) / weights.sum(dim=(1, 2))[:, None]
    second = model.look(levels, [boxes], found.labels, batch.sizes) if twice else first
    frame = boxes if twice else found.boxes
    passes = torch.zeros(len(boxes), 2, dtype=torch.long)
    trace = Trace(found.boxes, found.rows, passes, first.masks, votes, weights)
    return Detections(
        boxes, found.labels, found.scores, second.mask_ious, second.masks, frame, trace
    )


def expected(
    predictor: Predictor, image: NDArray[np.uint8], switches: Switches, run: Callable = whole_run
) -> Prediction:
    with predictor.opened(image) as (model, batch, scale):
        found = run(model, batch, switches)
    return to_prediction(found, scale, image.shape[:2], CATEGORIES, predictor.detection)


def assert_alike(one: Prediction, other: Prediction) -> None:
    """Rounding apart; the levels are compared elsewhere."""
    assert one.labels.tolist() == other.labels.tolist()
    for name in ("boxes", "class_scores", "mask_ious", "scores"):
        ours, theirs = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-3, err_msg=name)
    for name in ("proposals", "first_masks", "votes", "weights", "second_masks"):
        ours, theirs = getattr(one.trace, name), getattr(other.trace, name)
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=5e-3, err_msg=name)


def same(one: Prediction, other: Prediction) -> bool:
    return pack(one) == pack(other)


# --- everything on -----------------------------------------------------------------------------


@pytest.mark.parametrize("bfloat16", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(
    "config",
    [
        small_config(NECK),
        small_config(NeckConfig(channels=32, branches=1, attention="ca")),
        small_config(NeckConfig(channels=32, branches=2, attention="sca")),
        small_config(NeckConfig(channels=32, branches=5)),
        small_config(NECK, collaborative=False),
        NOTHING,
    ],
    ids=["paper", "1 branch", "2 branches", "5 branches", "w/o CL", "nothing found"],
)
def test_everything_on_is_the_model_to_the_last_byte(config: ModelConfig, bfloat16: bool) -> None:
    predictor, image = opened(config, bfloat16=bfloat16), noise()
    wanted = predictor.predict(image)
    base = base_run(predictor, image)
    assert (len(wanted) == 0) == (config is NOTHING)
    for found in (base.prediction, ablate(predictor, image, Switches(), base=base).prediction):
        assert same(found, wanted)
        for field in fields(Prediction):
            if isinstance(value := getattr(found, field.name), np.ndarray):
                np.testing.assert_array_equal(value, getattr(wanted, field.name), strict=True)


# --- something off -----------------------------------------------------------------------------

ALL = (2, 3, 4, 5)
WAYS = {
    "1x at P2": Switches.without_branch(0, levels=[2]),
    "8x": Switches.without_branch(1),
    "8x in the cascade": Switches.without_branch(1, reach="cascade"),
    "4x": Switches.without_branch(2),
    "4x in the cascade": Switches.without_branch(2, reach="cascade"),
    "8x and 4x in the cascade at P3": Switches(
        branches_off=frozenset({(3, 1), (3, 2)}), reach="cascade"
    ),
    "2x at P5": Switches.without_branch(3, levels=[5]),
    "all of P4": Switches(branches_off=frozenset((4, branch) for branch in range(4))),
    "attention": Switches.without_attention(),
    "attention at P2 and 2x at P4": Switches(
        branches_off=frozenset({(4, 3)}), attention_off=frozenset({2})
    ),
    "second pass": Switches(second_pass=False),
    "gated votes": Switches(votes="gated"),
    "plain votes": Switches(votes="plain"),
    "collaboration": Switches.without_collaboration(),
    "8x, attention at P3, gated": replace(
        Switches.without_branch(1), attention_off=frozenset({3}), votes="gated"
    ),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_switch_gives_what_a_whole_run_without_that_part_gives(
    predictor: Predictor, way: Switches
) -> None:
    image = noise()
    base = base_run(predictor, image)
    found = ablate(predictor, image, way, base=base).prediction
    assert not same(found, base.prediction)
    assert_alike(found, expected(predictor, image, way))
    assert same(found, ablate(predictor, image, way).prediction)
