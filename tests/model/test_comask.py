"""The whole model: its size, batches, odd images, variants, gradients, nothing found."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from comask.checkpoint import state
from comask.config import (
    AttentionKind,
    DetectionConfig,
    MaskHeadConfig,
    ModelConfig,
    NeckConfig,
    r50,
    r101,
    tiny,
)
from comask.model import refine
from comask.model.comask import CoMask
from comask.model.msfem import Msfem
from comask.model.refine import Refinement
from comask.structures import Detections, ImageBatch
from tests.models import batch, noise, small_config, small_model

FOUR_CLASSES = replace(r50(), num_classes=3, mask_head=MaskHeadConfig(iou_outputs=81))


def neck(branches: int = 4, attention: AttentionKind = "rca") -> ModelConfig:
    return replace(r50(), neck=NeckConfig(branches=branches, attention=attention))


# --- sizes that the spec counted -------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "parameters", "entries"),
    [
        (r50(), 99_689_678, 554),
        (r101(), 118_681_806, 860),
        (FOUR_CLASSES, 99_433_268, 554),
        (neck(branches=3), 89_981_134, None),
        (neck(branches=2), 82_634_958, None),
        (neck(branches=1), 80_010_446, None),
        (neck(attention="ca"), 97_328_334, 542),
        (neck(attention="sca"), 99_689_750, 558),
    ],
    ids=["r50", "r101", "4 classes", "3 branches", "2 branches", "1 branch", "CA", "SCA"],
)
def test_sizes_are_those_of_the_released_models(
    config: ModelConfig, parameters: int, entries: int | None
) -> None:
    model = state.blank(config)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert entries in (None, len(model.state_dict()))


def test_the_parts_of_r50_have_the_released_sizes() -> None:
    model = state.blank(r50())
    parts = {
        model.backbone: 23_508_032,
        model.neck: 23_418_880,
        model.neck.msfem[0]: 5_608_704,
        model.rpn: 593_935,
        model.class_head.pool: 16_402_824,
        model.class_head: 13_978_705 + 16_402_824,
        model.mask_head: 21_787_302,
    }
    assert [sum(p.numel() for p in part.parameters()) for part in parts] == list(parts.values())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == 99_464_334
    assert sum(buffer.numel() for buffer in model.buffers()) == 53_173


# --- what comes out --------------------------------------------------------------------------


def find(model: CoMask, images: ImageBatch) -> list[Detections]:
    with torch.inference_mode():
        return model(images)


def shapes(found: Detections) -> dict[str, tuple[int, ...]]:
    values = vars(found) | vars(found.trace)
    return {name: tuple(v.shape) for name, v in values.items() if isinstance(v, Tensor)}


def expected_shapes(count: int) -> dict[str, tuple[int, ...]]:
    sides = {
        "boxes": (4,),
        "labels": (),
        "scores": (),
        "mask_ious": (),
        "masks": (28, 28),
        "mask_boxes": (4,),
        "proposals": (4,),
        "proposal_rows": (),
        "levels": (2,),
        "first_masks": (28, 28),
        "votes": (7, 7, 4),
        "weights": (7, 7),
    }
    return {name: (count, *rest) for name, rest in sides.items()}


@pytest.mark.parametrize("size", [(25, 42), (1, 1), (33, 31)])
def test_odd_sizes_give_instances_of_every_shape_documented(size: tuple[int, int]) -> None:
    found = find(small_model(), batch(size))[0]
    count = len(found.scores)
    assert 0 < count <= 10
    assert shapes(found) == expected_shapes(count)
    assert found.labels.dtype == found.trace.proposal_rows.dtype == torch.int64
    assert set(found.labels.tolist()) <= {0, 1, 2}
    assert found.trace.levels.min() >= 2
    assert found.trace.levels.max() <= 5
    assert all(v.isfinite().all() for v in (found.boxes, found.masks, found.mask_ious))


@pytest.mark.parametrize("collaborative", [True, False])
def test_nothing_found_is_an_ordinary_value(collaborative: bool) -> None:
    nothing = small_config(detection=DetectionConfig(min_score=1.0), collaborative=collaborative)
    for found in find(small_model(nothing), batch((25, 42), (64, 96))):
        assert shapes(found) == expected_shapes(0)
        assert found.labels.dtype == torch.int64


def test_something_found_in_one_image_and_nothing_in_the_other() -> None:
    model, images = small_model(), batch((25, 42), (25, 42))
    best = max(float(found.scores.max()) for found in find(model, images))
    model.config = replace(model.config, detection=DetectionConfig(min_score=best - 1e-4))
    one_black = ImageBatch.of([images.tensor[0, :, :25, :42], torch.zeros(3, 25, 42)])
    assert sorted(len(found.scores) for found in find(model, one_black)) == [0, 1]


def test_a_batch_gives_what_its_images_give_one_by_one() -> None:
    sizes = [(25, 42), (64, 96), (40, 33), (30, 50), (64, 96)]
    model = small_model()
    together = find(model, batch(*sizes))
    assert len(together) == len(sizes)
    for size, found in zip(sizes, together, strict=True):
        alone = find(model, batch(size))[0]
        assert len(alone.scores) > 0
        assert torch.equal(found.labels, alone.labels)
        for name in ("boxes", "scores", "mask_ious", "masks", "mask_boxes"):
            assert_close(getattr(found, name), getattr(alone, name), rtol=1e-3, atol=1e-3)
        assert torch.equal(found.trace.levels, alone.trace.levels)


def test_collaboration_draws_the_masks_inside_the_refined_boxes() -> None:
    found = find(small_model(), batch((64, 96)))[0]
    trace = found.trace
    assert torch.equal(found.mask_boxes, found.boxes)
    assert_close(found.boxes, refine.weighted_mean(trace.votes, trace.weights))
    assert_close(trace.weights, refine.vote_weights(trace.first_masks))
    assert not torch.equal(found.masks, trace.first_masks)


def test_without_collaboration_all_votes_count_the_same_and_the_first_mask_stays() -> None:
    found = find(small_model(small_config(collaborative=False)), batch((64, 96)))[0]
    trace = found.trace
    assert torch.equal(trace.weights, torch.ones_like(trace.weights))
    assert_close(found.boxes, trace.votes.mean(dim=(1, 2)))
    assert torch.equal(found.masks, trace.first_masks)
    assert torch.equal(found.mask_boxes, trace.proposals)
    assert torch.equal(trace.levels[:, 0], trace.levels[:, 1])


def test_both_ways_judge_the_same_proposals() -> None:
    images = batch((64, 96))
    on, off = (
        find(small_model(small_config(collaborative=way)), images)[0] for way in (True, False)
    )
    assert torch.equal(on.trace.proposals, off.trace.proposals)
    assert_close(on.trace.votes, off.trace.votes)
    assert not torch.equal(on.boxes, off.boxes)


def test_how_boxes_and_masks_refine_each_other_can_be_said() -> None:
    """A model that collaborates gives, told so, what the same weights give without."""
    model, images = small_model(), batch((64, 96))
    with torch.inference_mode():
        levels = model.features(images.tensor)
        found = model.classes(levels, model.rpn(levels, images), images.sizes)
        told = model.masks(levels, found, images.sizes, Refinement("plain", second_pass=False))[0]
        mixed = model.masks(levels, found, images.sizes, Refinement("gated", second_pass=False))[0]
    plain = find(small_model(small_config(collaborative=False)), images)[0]
    for name in ("boxes", "mask_ious", "masks", "mask_boxes"):
        assert torch.equal(getattr(told, name), getattr(plain, name))
    assert torch.equal(mixed.masks, mixed.trace.first_masks)
    assert_close(mixed.boxes, refine.weighted_mean(mixed.trace.votes, mixed.trace.weights))
    assert not torch.equal(mixed.boxes, told.boxes)


@pytest.mark.parametrize("branches", [1, 2, 3, 4, 5])
def test_any_number_of_branches_finds_something(branches: int) -> None:
    model = small_model(small_config(NeckConfig(channels=64, branches=branches)))
    assert all(isinstance(m, Msfem) and len(m.branches) == branches - 1 for m in model.neck.msfem)
    assert len(find(model, batch((25, 42)))[0].scores) > 0


@pytest.mark.parametrize("classes", [1, 3, 200])
def test_any_number_of_classes(classes: int) -> None:
    model = small_model(small_config(num_classes=classes))
    assert model.class_head.score.out_features == classes + 1
    assert model.mask_head.mask.out_channels == classes + 1
    found = find(model, batch((25, 42)))[0]
    assert shapes(found) == expected_shapes(len(found.scores))


# --- training --------------------------------------------------------------------------------


def spread(values: Tensor, seed: int) -> Tensor:
    return (values * noise(*values.shape, seed=seed)).sum()


def everything(model: CoMask, images: ImageBatch) -> Tensor:
    """Add up all that the parts say of regions on all four levels, as a loss would see it."""
    levels = model.features(images.tensor)
    guesses = model.rpn.guesses(levels)
    boxes = [torch.tensor([[0.0, 0.0, s, s] for s in (90.0, 60.0, 45.0, 30.0)])] * len(images.sizes)
    scores = model.class_head(levels, boxes, images.sizes)
    labels = torch.arange(4).repeat(len(boxes)) % model.config.num_classes
    output = model.look(levels, boxes, labels, images.sizes)
    parts = [*guesses.scores, *guesses.deltas, scores, *output]
    return torch.stack([spread(part, seed) for seed, part in enumerate(parts)]).sum()


@pytest.mark.parametrize(
    "config",
    [
        small_config(),
        small_config(NeckConfig(channels=64, attention="sca", branches=2)),
        small_config(NeckConfig(channels=64, attention="ca", branches=1)),
    ],
    ids=["paper", "sca with 2 branches", "ca with 1 branch"],
)
def test_every_trained_parameter_gets_a_gradient_and_the_frozen_ones_none(
    config: ModelConfig,
) -> None:
    model = small_model(config).train()
    everything(model, batch((100, 100), (70, 100))).backward()
    trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert [n for n, grad in trained.items() if grad is None or not grad.any()] == []
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert frozen
    assert all(name.startswith(("backbone.stem.", "backbone.stages.0.")) for name in frozen)


def test_training_moves_no_statistics_of_the_batch_norms() -> None:
    model = small_model().train()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    everything(model, batch((100, 100)))
    assert before
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())


def test_a_forward_pass_leaves_images_and_weights_alone() -> None:
    model, images = small_model(), batch((25, 42))
    pixels, weights = images.tensor.clone(), {k: v.clone() for k, v in model.state_dict().items()}
    find(model, images)
    assert torch.equal(images.tensor, pixels)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())


def test_the_presets_differ_where_they_say() -> None:
    assert r101() == replace(r50(), backbone=replace(r50().backbone, kind="resnet101"))
    assert sum(p.numel() for p in state.blank(tiny()).parameters()) < 12_000_000


@pytest.mark.gpu
def test_a_gpu_finds_what_the_cpu_finds() -> None:
    model, images = small_model(), batch((64, 96), (25, 42))
    here = find(model, images)
    device = torch.device("cuda")
    there = find(model.to(device), images.to(device))
    for cpu, gpu in zip(here, there, strict=True):
        assert torch.equal(cpu.labels, gpu.labels.cpu())
        assert_close(cpu.boxes, gpu.boxes.cpu(), rtol=1e-2, atol=1e-1)
