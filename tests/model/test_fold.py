"""The folded copy: the same function without batch norms, and nothing done to the model."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from comask.config import BackboneConfig, BackboneKind
from comask.model.comask import CoMask
from comask.model.fold import folded
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
