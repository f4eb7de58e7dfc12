"""Where a training starts."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch.testing import assert_close

from comask.annotation.records import Category
from comask.checkpoint import native
from comask.checkpoint.native import CheckpointInfo
from comask.config import BackboneConfig, BackboneKind
from comask.errors import CheckpointError
from comask.model.backbone import Backbone
from comask.model.comask import CoMask
from comask.train import initial
from tests.models import noise
from tests.train.small import small_model_config


def holder(kind: BackboneKind) -> Any:
    """Hold a backbone as a model does."""
    config = BackboneConfig(kind=kind)
    return SimpleNamespace(backbone=Backbone(config), config=SimpleNamespace(backbone=config))


def torchvisions(kind: BackboneKind) -> Any:
    """Build torchvision's own network; to import it takes as long as many tests."""
    from torchvision.models import get_model

    return get_model(kind, weights=None)


def shaken(net: Any) -> Any:
    """Give every buffer and weight values of its own, so that none can stand in for another."""
    torch.manual_seed(5)
    for value in net.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.2, 1.0).mul_(0.3 if value.dim() > 1 else 1.0)
    return net.eval()


@pytest.mark.slow
def test_mobilenets_features_are_torchvisions() -> None:
    net = shaken(torchvisions("mobilenet_v2"))
    model = holder("mobilenet_v2")
    initial.fill_backbone(model, net.state_dict(), "here")
    image = noise(1, 3, 64, 64)
    levels = model.backbone.eval()(image)
    for level, end in zip(levels, (4, 7, 14, 18), strict=True):
        assert_close(level, net.features[:end](image))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["resnet50", "resnet101"])
def test_resnets_features_are_torchvisions(kind: BackboneKind) -> None:
    net = shaken(torchvisions(kind))
    model = holder(kind)
    initial.fill_backbone(model, net.state_dict(), "here")
    image = noise(1, 3, 32, 32)
    hidden = net.maxpool(net.relu(net.bn1(net.conv1(image))))
    for level, stage in zip(
        model.backbone.eval()(image), (net.layer1, net.layer2, net.layer3, net.layer4), strict=True
    ):
        hidden = stage(hidden)
        assert_close(level, hidden)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"features.0.0.weight": None}, "here holds no mobilenet_v2: stem.0.0.weight is missing"),
        ({"features.17.conv.0.0.weight": torch.zeros(2)}, "or of another shape"),
        ({"head.weight": torch.zeros(2)}, "here holds another network: head.weight is unknown"),
    ],
)
def test_weights_that_do_not_fit_are_named(change: dict[str, Any], reason: str) -> None:
    weights = torchvisions("mobilenet_v2").state_dict() | change
    given = {name: value for name, value in weights.items() if value is not None}
    with pytest.raises(CheckpointError, match=reason):
        initial.fill_backbone(holder("mobilenet_v2"), given, "here")


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"epoch": 3}])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth is no plain dictionary of weights"):
        initial.initialise(holder("mobilenet_v2"), str(tmp_path / "w.pth"))


@pytest.mark.slow
def test_a_download_that_fails_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no network")

    from torchvision.models._api import WeightsEnum

    monkeypatch.setattr(WeightsEnum, "get_state_dict", offline)
    with pytest.raises(CheckpointError, match=r"can't be downloaded here; give a file with --init"):
        initial.initialise(holder("mobilenet_v2"), "imagenet")


def test_none_leaves_the_model_alone() -> None:
    initial.initialise(SimpleNamespace(), "none")  # type: ignore[arg-type]


# --- a checkpoint ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a checkpoint of three classes."""
    torch.manual_seed(1)
    config = small_model_config(num_classes=3)
    path = tmp_path_factory.mktemp("start") / "three.safetensors"
    categories = tuple(Category(k, f"kind {k}") for k in range(3))
    native.save(path, CoMask(config), CheckpointInfo(config, categories))
    return path


def test_a_checkpoint_of_the_same_settings_fills_everything(checkpoint: Path) -> None:
    model = CoMask(small_model_config(num_classes=3))
    initial.initialise(model, str(checkpoint))
    other, _ = native.load(checkpoint)
    assert_close(model.state_dict(), other.state_dict(), rtol=0, atol=0)


def test_a_checkpoint_of_other_classes_fills_all_but_the_class_layers(checkpoint: Path) -> None:
    model = CoMask(small_model_config(num_classes=1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    initial.initialise(model, str(checkpoint))
    other = native.load(checkpoint)[0].state_dict()
    kept = {name for name, value in before.items() if value.shape != other[name].shape}
    layers = ("class_head.score", "mask_head.mask", "mask_head.mask_iou")
    assert kept == {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name] if name in kept else other[name]), name


@pytest.mark.parametrize("channels_or_branches", [{"channels": 64}, {"branches": 3}])
def test_a_checkpoint_of_another_model_is_refused(
    checkpoint: Path, channels_or_branches: dict[str, int]
) -> None:
    config = small_model_config(num_classes=3)
    model = CoMask(replace(config, neck=replace(config.neck, **channels_or_branches)))
    with pytest.raises(CheckpointError, match=r"three\.safetensors is of another model: "):
        initial.initialise(model, str(checkpoint))
