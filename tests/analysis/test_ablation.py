"""Switching off: what comes out is what a whole run without the part gives, worked out here."""

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
from comask.errors import InputError
from comask.model import refine
from comask.model.comask import CoMask
from comask.model.msfem import Msfem
from comask.predict import Prediction, PredictionSettings, Predictor, to_prediction
from comask.run import pack
from comask.structures import Detections, ImageBatch, Trace
from tests.models import small_config, small_model

pytestmark = pytest.mark.slow  # its models are small, and many

CATEGORIES = (Category(1, "a"), Category(2, "b"), Category(3, "c"))
VIEW = PreprocessingConfig(short_side=70, long_side=200)
NECK = NeckConfig(channels=32)
NOTHING = small_config(NECK, detection=DetectionConfig(min_score=1.0))


def opened(config: ModelConfig | None = None, *, bfloat16: bool = False) -> Predictor:
    config = config or small_config(NECK)
    info = CheckpointInfo(config, CATEGORIES, VIEW)
    settings = PredictionSettings(bfloat16=bfloat16)
    model = small_model(config, seed=1)  # of which every level finds something
    return Predictor(model, info, device="cpu", settings=settings)


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


def expected(predictor: Predictor, image: NDArray[np.uint8], switches: Switches) -> Prediction:
    with predictor.opened(image) as (model, batch, scale):
        found = whole_run(model, batch, switches)
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


@pytest.mark.parametrize(
    "config",
    [
        small_config(NeckConfig(channels=32, branches=1)),
        small_config(NeckConfig(channels=32, branches=2, attention="sca")),
        small_config(NeckConfig(channels=32, branches=5)),
        small_config(NECK, collaborative=False),
    ],
    ids=["1 branch", "2 branches", "5 branches", "w/o CL"],
)
def test_models_of_other_kinds_switch_as_well(config: ModelConfig) -> None:
    predictor, image = opened(config), noise(25, 42)
    base = base_run(predictor, image)
    refining = Switches(votes="gated", second_pass=not config.collaborative)
    for way in (Switches.without_branch(0), Switches.without_attention([5]), refining):
        assert_alike(
            ablate(predictor, image, way, base=base).prediction, expected(predictor, image, way)
        )


@pytest.mark.parametrize(("branch", "differs"), [(0, False), (1, True), (2, True), (3, False)])
def test_only_the_8x_and_4x_branches_are_heard_in_the_cascade(
    predictor: Predictor, branch: int, differs: bool
) -> None:
    image = noise()
    ways = [Switches.without_branch(branch, reach=reach) for reach in ("fusion", "cascade")]
    fusion, cascade = (ablate(predictor, image, way).prediction for way in ways)
    assert same(fusion, cascade) != differs
    fusion, cascade = (expected(predictor, image, way) for way in ways)
    assert (fusion.boxes.tolist() != cascade.boxes.tolist()) == differs


def test_a_level_without_any_branch_is_its_bias(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, seen = noise(), []
    msfem = predictor._model.neck.msfem[1]
    monkeypatch.setattr(
        msfem.attention, "forward", lambda fused: seen.append(fused) or fused.clamp(min=0)
    )
    off = frozenset((3, branch) for branch in range(4))
    ablate(predictor, image, Switches(branches_off=off, reach="cascade"))
    whole, bias_only = seen  # of the base, and without
    bias = msfem.fuse.bias
    torch.testing.assert_close(bias_only, bias.view(1, -1, 1, 1).expand_as(whole), rtol=0, atol=0)
    assert not torch.equal(whole, bias_only)


def test_bfloat16_switches_as_well() -> None:
    predictor, image = opened(bfloat16=True), noise()
    base = base_run(predictor, image)
    found = {name: ablate(predictor, image, way, base=base) for name, way in WAYS.items()}
    assert all(one.prediction.boxes.dtype == np.float32 for one in found.values())
    plain, votes = found["plain votes"].prediction, base.prediction.trace.votes
    np.testing.assert_allclose(plain.boxes, votes.mean(axis=(1, 2)), rtol=1e-5, atol=1e-3)
    first = found["second pass"].prediction.trace
    np.testing.assert_array_equal(first.second_masks, first.first_masks)


def test_nothing_found_can_be_switched_too() -> None:
    predictor, image = opened(NOTHING), noise(5, 3)
    base = base_run(predictor, image)
    for way in WAYS.values():
        assert len(ablate(predictor, image, way, base=base).prediction) == 0


# --- only what follows -------------------------------------------------------------------------

STAGES = ("proposals", "classes", "pass 1", "pass 2")


def fails(*_: object, **__: object) -> None:
    raise RuntimeError("this has no need to run")


@pytest.mark.parametrize(
    ("way", "redone", "spared"),
    [
        (Switches(), (), ("backbone", "neck.msfem.0", "rpn", "class_head", "mask_head")),
        (
            Switches(second_pass=False),
            (),
            ("backbone", "neck.msfem.0.attention", "rpn", "class_head", "mask_head"),
        ),
        (
            Switches(votes="plain"),
            ("pass 2",),
            ("backbone", "neck.msfem.0.attention", "rpn", "class_head"),
        ),
        (
            Switches.without_attention([3]),
            ("P3", *STAGES),
            ("backbone", "neck.msfem.0.attention", "neck.msfem.1.branches.0"),
        ),
        (
            Switches.without_branch(1, levels=[2, 4]),
            ("P2", "P4", *STAGES),
            ("backbone", "neck.msfem.1.attention", "neck.msfem.0.branches.0"),
        ),
        (
            replace(Switches.without_branch(1, levels=[5], reach="cascade"), second_pass=False),
            ("P5", *STAGES[:3]),
            ("backbone", "neck.msfem.0.attention", "neck.msfem.3.branches.0"),
        ),
    ],
    ids=["none", "second pass", "votes", "attention", "branch", "branch and second pass"],
)
def test_only_what_follows_the_switch_runs(
    predictor: Predictor,
    way: Switches,
    redone: tuple[str, ...],
    spared: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = noise()
    base, wanted = base_run(predictor, image), ablate(predictor, image, way).prediction
    for name in spared:
        monkeypatch.setattr(predictor._model.get_submodule(name), "forward", fails)
    found = ablate(predictor, image, way, base=base)
    assert found.redone == redone
    assert same(found.prediction, wanted)


def test_a_base_stays_usable_after_a_fault_and_after_every_switch(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = noise()
    base, whole = base_run(predictor, image), predictor.predict(image)
    before = {name: ablate(predictor, image, way, base=base) for name, way in WAYS.items()}
    with monkeypatch.context() as patch:
        patch.setattr(predictor._model.rpn, "forward", fails)
        with pytest.raises(RuntimeError, match="no need"):
            ablate(predictor, image, WAYS["8x"], base=base)
    for name, way in reversed(WAYS.items()):
        again = ablate(predictor, image, way, base=base)
        assert same(again.prediction, before[name].prediction)
    assert same(base.prediction, whole)
    assert same(ablate(predictor, image, Switches(), base=base).prediction, whole)


def test_the_model_stays_as_it_was(predictor: Predictor) -> None:
    image, network = noise(), predictor._model
    whole, modes = predictor.predict(image), [part.training for part in network.modules()]
    weights = {key: value.clone() for key, value in network.state_dict().items()}
    for way in WAYS.values():
        ablate(predictor, image, way)
    assert all(torch.equal(value, weights[key]) for key, value in network.state_dict().items())
    assert [part.training for part in network.modules()] == modes
    assert not any(part._forward_hooks or part._backward_hooks for part in network.modules())
    assert all(one.grad is None for one in network.parameters())
    assert not torch.is_inference_mode_enabled()
    assert same(predictor.predict(image), whole)


# --- at the door -------------------------------------------------------------------------------


def test_a_base_of_something_else_is_refused(predictor: Predictor) -> None:
    image = noise()
    base = base_run(predictor, image)
    other = image.copy()
    other[0, 0, 0] ^= 1
    strict = PredictionSettings(min_score=0.5)
    stricter = Predictor(small_model(small_config(NECK)), predictor.info, settings=strict)
    foreign = opened(small_config(NeckConfig(channels=32, branches=3)))
    for one, pixels in ((predictor, other), (predictor, noise(64, 64)), (stricter, image)):
        with pytest.raises(InputError, match="the base is of another image"):
            ablate(one, pixels, Switches(), base=base)
    for one in (foreign, opened(bfloat16=True)):
        with pytest.raises(InputError, match="the base is of another image"):
            ablate(one, image, Switches(), base=base)


def test_a_predictor_opened_again_goes_on_with_the_base(predictor: Predictor) -> None:
    image = noise()
    base = base_run(predictor, image)
    found = ablate(opened(), image, WAYS["8x"], base=base)
    assert found.base is base
    assert same(found.prediction, ablate(predictor, image, WAYS["8x"]).prediction)


def test_a_branch_that_the_model_lacks_is_refused(predictor: Predictor) -> None:
    with pytest.raises(InputError, match=r"a branch is one of 0 .. 3, got 4"):
        ablate(predictor, noise(), Switches.without_branch(4))


def test_what_is_no_image_is_refused(predictor: Predictor) -> None:
    with pytest.raises(InputError, match="image must be"):
        base_run(predictor, np.zeros((5, 5), np.uint8))
    with pytest.raises(InputError, match="image must be"):
        ablate(predictor, np.zeros((0, 5, 3), np.uint8), Switches())


def test_a_base_knows_its_memory(predictor: Predictor) -> None:
    """70 x 100 is padded to 96 x 128: 1 + 4 + 16 + 64 times 12 cells of 32 channels on P5 .. P2.

    Each level is held three times, and its views have 1/4, 1/16 and 1/64 of its cells or more.
    """
    base = base_run(predictor, noise())
    cells, count = 12 * 85, len(base.prediction)
    maps = 3 * cells * 32 * 4
    masks = 4 * count * 28 * 28 * 4  # logits of two passes, as tensors and in the prediction
    assert maps + masks < base.bytes < 1.5 * (maps + masks)
