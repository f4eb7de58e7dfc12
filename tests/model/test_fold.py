"""The folded copy: the same function without batch norms, and nothing done to the model."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from comask.config import BackboneConfig, BackboneKind, NeckConfig
from comask.model import fold
from comask.model.comask import CoMask
from comask.model.fold import TiledConv, TiledProposalHead, folded, in_bfloat16
from tests.models import batch, noise, small_config, small_model


def trained(kind: BackboneKind) -> CoMask:
    """Build a small model whose batch norms do something, as after a training."""
    model = small_model(replace(small_config(), backbone=BackboneConfig(kind=kind)))
    generator = torch.Generator().manual_seed(0)
    for part in model.backbone.modules():
        if isinstance(part, nn.BatchNorm2d):
            for values in (part.weight.data, part.running_var):
                values.uniform_(0.5, 1.5, generator=generator)
            for values in (part.bias.data, part.running_mean):
                values.normal_(0.0, 0.1, generator=generator)
    return model


def tiled(part: nn.Module) -> int:
    """Count convolutions that may work by tiles."""
    return sum(isinstance(one, TiledConv) for one in part.modules())


@pytest.mark.parametrize("kind", ["resnet50", "mobilenet_v2"])
@torch.inference_mode()
def test_features_stay_the_same_without_batch_norms(kind: BackboneKind) -> None:
    model, pixels = trained(kind), noise(2, 3, 64, 96)
    twin = folded(model)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in twin.modules())
    for found, wanted in zip(twin.backbone(pixels), model.backbone(pixels), strict=True):
        assert_close(found, wanted, rtol=0, atol=1e-4 * wanted.abs().max().item())


@torch.inference_mode()
def test_instances_stay_the_same() -> None:
    model, images = trained("mobilenet_v2"), batch((64, 96))
    found, wanted = folded(model)(images)[0], model(images)[0]
    assert torch.equal(found.labels, wanted.labels)
    assert len(found.labels)
    assert_close(found.boxes, wanted.boxes, rtol=0, atol=1e-3)
    assert_close(found.scores, wanted.scores, rtol=0, atol=1e-4)
    assert_close(found.masks, wanted.masks, rtol=0, atol=1e-3)


def test_the_model_itself_stays_as_it_is() -> None:
    model = trained("mobilenet_v2").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for weight in folded(model).state_dict().values():
        weight.zero_()
    assert model.training
    assert_close(model.state_dict(), before, rtol=0, atol=0)


@torch.inference_mode()
def test_wide_convolutions_work_by_tiles_and_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = small_model(small_config(NeckConfig(channels=128))), batch((64, 96))
    twin = folded(model)
    # the attention of P2 .. P5, and the proposals' own
    assert tiled(twin.neck) + tiled(twin.rpn) == 4 + 1
    monkeypatch.setattr(fold, "PLACES", 1)
    monkeypatch.setattr(fold, "REGION_SIDE", 0)
    for found, wanted in zip(
        twin.features(images.tensor), model.features(images.tensor), strict=True
    ):
        assert_close(found, wanted, rtol=0, atol=1e-4 * wanted.abs().max().item())
    found_scores = twin.rpn.guesses(twin.features(images.tensor)).scores
    wanted_scores = model.rpn.guesses(model.features(images.tensor)).scores
    for found, wanted in zip(found_scores, wanted_scores, strict=True):
        assert_close(found, wanted, rtol=0, atol=1e-4 * wanted.abs().max().item())


@torch.inference_mode()
def test_convolutions_of_regions_work_by_tiles_and_find_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fold, "REGIONS", 1)
    monkeypatch.setattr(fold, "REGION_CHANNELS", 128)
    model, images = small_model(small_config(NeckConfig(channels=128))), batch((64, 96))
    twin = folded(model)
    # the pooling of P2 .. P5; all of the trunk but its first, and both of the mask's judge
    assert tiled(twin.class_head) == 4
    assert tiled(twin.mask_head) == model.config.mask_head.convs - 1 + 2
    levels, sizes = model.features(images.tensor), images.sizes
    boxes = model.rpn(levels, images)[0]
    assert len(boxes) > 10
    found, wanted = (one.class_head(levels, [boxes], sizes) for one in (twin, model))
    assert_close(found, wanted, rtol=0, atol=1e-4 * wanted.abs().max().item())
    labels = torch.arange(len(boxes)) % 3
    drawn, truth = (one.look(levels, [boxes], labels, sizes) for one in (twin, model))
    for here, there in zip(drawn, truth, strict=True):
        assert_close(here, there, rtol=0, atol=1e-4 * there.abs().max().item())


@pytest.mark.parametrize("size", [(40, 61), (17, 36), (3, 5)], ids=["wide", "odd", "small"])
@torch.inference_mode()
def test_proposals_are_judged_tile_by_tile_and_stay_the_same(size: tuple[int, int]) -> None:
    model = small_model(small_config(NeckConfig(channels=128)))
    twin, level = folded(model), noise(2, 128, *size).to(memory_format=torch.channels_last)
    assert isinstance(twin.rpn, TiledProposalHead)
    for found, wanted in zip(twin.rpn.judged(level), model.rpn.judged(level), strict=True):
        assert_close(found, wanted, rtol=0, atol=1e-5 * wanted.abs().max().item())


def test_where_gradients_are_asked_for_a_tiled_convolution_is_plain() -> None:
    model = small_model(small_config(NeckConfig(channels=128)))
    twin, pixels = folded(model), noise(1, 3, 192, 192).requires_grad_(True)
    slopes = [
        torch.autograd.grad(one.features(pixels)[0].square().mean(), pixels)[0]
        for one in (twin, model)
    ]
    assert_close(slopes[0], slopes[1], rtol=0, atol=1e-4 * slopes[1].abs().max().item())


@torch.inference_mode()
def test_in_bfloat16_boxes_and_scores_are_float32() -> None:
    twin, images = folded(trained("mobilenet_v2")), batch((64, 96))
    half = in_bfloat16(twin)
    found = half(replace(images, tensor=images.tensor.bfloat16()))[0]
    assert {value.dtype for value in half.state_dict().values()} == {torch.bfloat16}
    for value in (found.boxes, found.scores, found.masks, found.mask_ious, found.trace.votes):
        assert value.dtype == torch.float32
        assert value.isfinite().all()
    assert next(twin.parameters()).dtype == torch.float32


@torch.inference_mode()
def test_in_bfloat16_tiles_find_what_plain_convolutions_find(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fold, "PLACES", 1)
    monkeypatch.setattr(fold, "REGIONS", 1)
    monkeypatch.setattr(fold, "REGION_CHANNELS", 128)
    model, images = small_model(small_config(NeckConfig(channels=128))), batch((64, 96))
    plain = folded(model, tiles=False)
    assert tiled(in_bfloat16(plain, tiles=False)) == 0
    half = in_bfloat16(plain)
    assert tiled(half) > 9
    assert tiled(plain) == 0
    assert {value.dtype for value in half.state_dict().values()} == {torch.bfloat16}
    levels = [one.bfloat16() for one in model.features(images.tensor)[:4]]
    for ours, theirs, level in zip(half.neck.msfem, plain.neck.msfem, levels, strict=True):
        wanted = theirs.attention(level.float())
        found = ours.attention(level).float()
        assert (found - wanted).norm() < 0.03 * wanted.norm()


def test_the_backbone_stays_exact() -> None:
    twin = folded(trained("resnet50"))
    assert tiled(twin.backbone) + tiled(in_bfloat16(twin).backbone) == 0
