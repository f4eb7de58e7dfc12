"""The authors' files: every variant is read off its keys, every key is claimed once, nothing runs.

The files here have the authors' names and a ResNet, but narrow heads; ``test_parity`` converts one
of full size.
"""

import os
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from comask.annotation.records import Category
from comask.checkpoint import categories, mmdet_v1, native, state
from comask.config import (
    AttentionKind,
    BackboneConfig,
    ClassHeadConfig,
    DetectionConfig,
    MaskHeadConfig,
    ModelConfig,
    NeckConfig,
    ProposalConfig,
    r50,
    r101,
)
from comask.errors import CheckpointError
from tests import authors
from tests.models import batch, noise

Weights = dict[str, Tensor]


def narrow(
    branches: int = 4,
    attention: AttentionKind = "rca",
    convs: int = 10,
    classes: int = 80,
    backbone: str = "resnet50",
) -> ModelConfig:
    """Describe an authors' model with few channels, whose IoU layer has 81 outputs as theirs."""
    return ModelConfig(
        num_classes=classes,
        backbone=BackboneConfig(kind="resnet101" if backbone == "resnet101" else "resnet50"),
        neck=NeckConfig(channels=32, branches=branches, attention=attention),
        class_head=ClassHeadConfig(hidden=8, offset_hidden=8),
        mask_head=MaskHeadConfig(convs=convs, hidden=8, iou_outputs=81 if classes != 80 else 0),
    )


def theirs(ours: str, branches: int) -> str:
    """Say a key in the authors' words, written by hand from the spec and not from the table."""
    steps = [
        (r"backbone\.stem\.", "backbone."),
        (r"backbone\.stages\.(\d)", lambda hit: f"backbone.layer{int(hit[1]) + 1}"),
        (r"neck\.laterals\.(\d)", r"neck.lateral_convs.\1.conv"),
        (
            r"neck\.msfem\.(\d)\.branches\.(\d)\.(\d)\.(conv|norm)",
            lambda hit: (
                f"neck.fpn_convs.{hit[1]}.convs.{branches - 2 - int(hit[2])}.{hit[3]}."
                f"{0 if hit[4] == 'conv' else 1}"
            ),
        ),
        (r"neck\.msfem\.(\d)\.fuse", r"neck.fpn_convs.\1.reduce.conv"),
        (r"neck\.msfem\.(\d)\.attention", r"neck.fpn_convs.\1.attention"),
        (r"gate\.squeeze", "linear1.0"),
        (r"gate\.excite", "linear2.0"),
        (r"attention\.(rca\.)?conv\.", lambda hit: f"attention.{hit[1] or ''}conv2.0."),
        (r"attention\.(rca\.)?norm\.", lambda hit: f"attention.{hit[1] or ''}conv2.1."),
        (r"attention\.position", "attention.refine_conv"),
        (r"^rpn\.conv", "rpn_head.rpn_conv"),
        (r"^rpn\.score", "rpn_head.rpn_cls"),
        (r"^rpn\.delta", "rpn_head.rpn_reg"),
        (r"class_head\.pool\.levels\.(\d)\.", r"bbox_roi_extractor.roi_layers.\1."),
        (r"\.offsets\.", ".offset_fc."),
        (r"\.pool\.conv", ".awp.weight.conv"),
        (r"\.pool\.norm", ".awp.weight.bn"),
        (r"class_head\.hidden1", "bbox_head.shared_fcs.0"),
        (r"class_head\.hidden2", "bbox_head.shared_fcs.1"),
        (r"class_head\.score", "bbox_head.fc_cls"),
        (r"mask_head\.trunk\.(\d+)\.conv", r"SID_head.convs.\1.conv"),
        (r"mask_head\.trunk\.(\d+)\.norm", r"SID_head.convs.\1.gn"),
        (r"mask_head\.distance", "SID_head.SID_reg"),
        (r"mask_head\.enlarge", "SID_head.deconv"),
        (r"mask_head\.norm", "SID_head.norm"),
        (r"mask_head\.mask\.", "SID_head.SID_instance."),
        (r"mask_head\.judge\.0\.conv", "SID_head.maskscoringconv.0"),
        (r"mask_head\.judge\.0\.norm", "SID_head.maskscoringconv.1"),
        (r"mask_head\.judge\.1\.conv", "SID_head.maskscoringconv.3"),
        (r"mask_head\.judge\.1\.norm", "SID_head.maskscoringconv.4"),
        (r"mask_head\.judge1", "SID_head.fcs.0"),
        (r"mask_head\.judge2", "SID_head.fcs.1"),
        (r"mask_head\.mask_iou", "SID_head.fc_instance_iou"),
    ]
    for pattern, replacement in steps:
        ours = re.sub(pattern, replacement, ours)
    return ours


def weights(config: ModelConfig) -> Weights:
    """Make weights of the authors' names, each with a number of its own to be found by."""
    blank = state.blank(config).state_dict()
    found: Weights = OrderedDict()
    for number, (key, tensor) in enumerate(blank.items()):
        name = theirs(key, config.neck.branches)
        value = torch.tensor(number % 97 / 100 + 0.01).to(tensor.dtype)
        found[name] = value.expand(tensor.shape)  # one number in the file, whatever the shape
    return found


@pytest.fixture(scope="module")
def narrow_weights() -> Weights:
    return weights(narrow())


def written(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


# --- the names -------------------------------------------------------------------------------


def test_every_name_of_the_released_r50_is_claimed_and_fills_all_of_ours(
    spec_fixtures: Path,
) -> None:
    shapes = dict(authors.shapes_of_r50(spec_fixtures))
    names = mmdet_v1.rename(shapes, 4)
    ours = state.shapes_of(state.blank(r50()))
    assert {key: shapes[name] for key, name in names.items()} == ours
    assert {theirs(key, 4): shape for key, shape in ours.items()} == shapes


def test_the_deepest_branch_comes_first_here_and_last_there() -> None:
    there = [f"neck.fpn_convs.2.convs.{c}.0.0.weight" for c in (0, 1, 2)]
    here = [f"neck.msfem.2.branches.{b}.0.conv.weight" for b in (2, 1, 0)]
    assert mmdet_v1.rename(there, 4) == dict(zip(here, there, strict=True))


# --- what is read off the keys ---------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        narrow(),
        narrow(backbone="resnet101", convs=12),
        narrow(classes=3),
        narrow(classes=1, attention="ca"),
        narrow(classes=80, attention="sca", branches=3),
        narrow(classes=5, branches=5),
    ],
    ids=["R50", "R101 with 12 convs", "4 classes", "2 classes CA", "SCA with 3", "5 branches"],
)
def test_settings_are_read_off_the_weights(tmp_path: Path, config: ModelConfig) -> None:
    given = weights(config)
    names = [f"class {label}" for label in range(config.num_classes)]
    path = written(tmp_path / "x.pth", {"meta": {"CLASSES": tuple(names)}, "state_dict": given})
    model, info = mmdet_v1.convert(path)
    assert info.config == model.config == config
    assert [category.name for category in info.categories] == names
    for key, value in model.state_dict().items():
        assert torch.equal(value, given[theirs(key, config.neck.branches)]), key


def test_a_converted_model_is_saved_loaded_and_used(tmp_path: Path) -> None:
    config = narrow(classes=3)
    given = {key: 0.02 * noise(*v.shape) for key, v in weights(config).items() if v.dim() > 1}
    given = {**weights(config), **given}
    path = written(tmp_path / "x.pth", {"state_dict": given, "meta": {"CLASSES": ["a", "b", "c"]}})
    model, info = mmdet_v1.convert(path)
    native.save(tmp_path / "x.safetensors", model, info)
    loaded, again = native.load(tmp_path / "x.safetensors")
    assert again == info
    few = replace(
        config,
        proposals=ProposalConfig(per_level=20, kept=20),
        detection=DetectionConfig(max_instances=5),
    )
    model.config = loaded.config = few
    model.rpn.config = loaded.rpn.config = few.proposals
    with torch.inference_mode():
        before, after = model(batch((25, 42)))[0], loaded(batch((25, 42)))[0]
    assert torch.equal(before.masks, after.masks)
    assert torch.equal(before.mask_ious, after.mask_ious)


def test_the_presets_are_what_the_released_sizes_give() -> None:
    for preset in (r50(), r101()):
        shapes = state.shapes_of(state.blank(preset))
        given = {theirs(key, 4): torch.empty(shape, device="meta") for key, shape in shapes.items()}
        assert mmdet_v1.settings(given) == preset


# --- forms of the file -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        lambda w: w,
        lambda w: {"state_dict": w},
        lambda w: {"meta": {}, "state_dict": w, "optimizer": {"state": {}, "param_groups": []}},
        lambda w: {"state_dict": {f"module.{key}": value for key, value in w.items()}},
        lambda w: {f"module.{key}": value for key, value in w.items()},
        lambda w: {key: v for key, v in w.items() if not key.endswith("num_batches_tracked")},
    ],
    ids=["bare", "a state dict", "mmcv", "module.", "bare module.", "no counters"],
)
def test_every_form_of_a_file(
    tmp_path: Path, narrow_weights: Weights, form: Callable[[Weights], Any]
) -> None:
    model, info = mmdet_v1.convert(written(tmp_path / "x.pth", form(narrow_weights)))
    assert info.categories == categories.COCO
    for key, value in model.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(value, narrow_weights[theirs(key, 4)])


def test_files_from_before_pytorch_1_6(tmp_path: Path, narrow_weights: Weights) -> None:
    path = tmp_path / "x.pth"
    torch.save({"state_dict": narrow_weights}, path, _use_new_zipfile_serialization=False)
    assert mmdet_v1.convert(path)[1].config == narrow()


def test_the_file_may_go_once_it_is_read(tmp_path: Path, narrow_weights: Weights) -> None:
    bias = noise(32)
    path = written(tmp_path / "x.pth", narrow_weights | {"rpn_head.rpn_conv.bias": bias})
    model, _ = mmdet_v1.convert(path)
    with path.open("rb+") as file:  # what was mapped would now read as zeros
        file.write(bytes(path.stat().st_size))
    assert torch.equal(model.rpn.conv.bias, bias)


def test_short_and_plain_notes_of_the_training_are_kept(
    tmp_path: Path, narrow_weights: Weights
) -> None:
    meta = {"epoch": 24, "iter": 7, "time": "x" * 300, "mmdet_version": 1.5, "config": "import os"}
    path = written(tmp_path / "R50.pth", {"meta": meta, "state_dict": narrow_weights})
    kept = {"converted_from": "R50.pth", "epoch": 24, "iter": 7, "time": "x" * 100}
    assert mmdet_v1.convert(path)[1].training == kept


# --- names of the classes --------------------------------------------------------------------


def test_given_categories_come_before_those_in_the_file(tmp_path: Path) -> None:
    content = {"meta": {"CLASSES": ["a", "b", "c"]}, "state_dict": weights(narrow(classes=3))}
    path = written(tmp_path / "x.pth", content)
    given = (Category(4, "x"), Category(2, "y"), Category(9, "z"))
    assert mmdet_v1.convert(path, given)[1].categories == given
    counted = (Category(1, "a"), Category(2, "b"), Category(3, "c"))
    assert mmdet_v1.convert(path)[1].categories == counted


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (None, "it has 3 classes and no names for them; give them in a file"),
        (["a", "b", 3], "it has 3 classes and no names"),
        (["a"] * 80, "it has 3 classes, but there are 80 names"),
    ],
)
def test_classes_without_the_right_names(tmp_path: Path, names: object, match: str) -> None:
    content = {"meta": {"CLASSES": names}, "state_dict": weights(narrow(classes=3))}
    refused(written(tmp_path / "x.pth", content), match)


# --- refused files ---------------------------------------------------------------------------


def refused(path: Path, match: str) -> None:
    with pytest.raises(CheckpointError, match=match) as caught:
        mmdet_v1.convert(path)
    said = str(caught.value)
    assert str(path) in said
    assert "\n" not in said
    assert len(said) < len(str(path)) + 250


class Malice:
    """Unpickled, it makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("archive", [True, False])
def test_code_in_a_file_is_not_run(tmp_path: Path, narrow_weights: Weights, archive: bool) -> None:
    path, marker = tmp_path / "x.pth", tmp_path / "executed"
    content = {"meta": {"hook": Malice(marker)}, "state_dict": narrow_weights}
    torch.save(content, path, _use_new_zipfile_serialization=archive)
    refused(path, r"holds code \(posix\.mkdir\), not weights alone; nothing of it was executed")
    assert not marker.exists()
    torch.load(path, weights_only=False)  # the file does what it threatens
    assert marker.is_dir()


@pytest.mark.parametrize("kept", [0, 3, 200, 50_000, -1])
@pytest.mark.parametrize("archive", [True, False])
def test_a_file_cut_short(
    tmp_path: Path, narrow_weights: Weights, kept: int, archive: bool
) -> None:
    path = tmp_path / "x.pth"
    torch.save(narrow_weights, path, _use_new_zipfile_serialization=archive)
    path.write_bytes(path.read_bytes()[:kept])
    refused(path, "is empty" if not kept else "is damaged or no PyTorch file")


def test_files_that_are_none(tmp_path: Path) -> None:
    refused(tmp_path / "none.pth", "can't be read: No such file")
    refused(tmp_path, "can't be read: Is a directory")
    path = tmp_path / "x.pth"
    path.write_text("<!doctype html>")
    refused(path, "is damaged or no PyTorch file")
    refused(written(path, torch.zeros(3)), "holds no dictionary of weights")
    refused(written(path, {}), "holds no weights")
    refused(written(path, {"state_dict": [1]}), "holds no weights")
    refused(written(path, {"epoch": 3}), "'epoch' is not the name of a tensor")
    refused(written(path, {3: torch.zeros(3)}), "3 is not the name of a tensor")


def test_a_file_of_another_model(tmp_path: Path) -> None:
    stranger = {"backbone.body.conv1.weight": torch.zeros(64, 3, 7, 7)}
    refused(written(tmp_path / "x.pth", stranger), "no CoMask of the authors")


def test_fewer_than_three_branches_are_refused_with_the_reason(tmp_path: Path) -> None:
    for branches in (1, 2):
        path = written(tmp_path / "x.pth", weights(narrow(branches=branches)))
        refused(path, f"it has {branches} branches, where the released code skips")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            lambda w: w.update({"neck.extra.weight": torch.zeros(1)}),
            r"neck\.extra\.weight is claimed by 0 rules, not by one",
        ),
        (
            lambda w: w.update({"neck.fpn_convs.4.reduce.conv.bias": torch.zeros(32)}),
            r"neck\.fpn_convs\.4\.reduce\.conv\.bias belongs to no part of the model",
        ),
        (
            lambda w: w.update({"neck.fpn_convs.1.attention.rca.linear1.0.weight": torch.zeros(1)}),
            r"attention\.rca\.linear1\.0\.weight belongs to no part of the model",
        ),
        (lambda w: w.pop("rpn_head.rpn_cls.bias"), r"rpn\.score\.bias is missing"),
        (lambda w: w.pop("SID_head.convs.4.gn.bias"), r"mask_head\.trunk\.4\.norm\.bias is miss"),
        (lambda w: w.pop("bbox_head.fc_cls.weight"), r"bbox_head\.fc_cls\.weight is missing"),
        (
            lambda w: w.update({"SID_head.SID_reg.bias": torch.zeros(5)}),
            r"SID_head\.SID_reg\.bias is 5, but the settings ask for 4",
        ),
        (
            lambda w: w.update({"bbox_head.fc_cls.weight": torch.zeros(())}),
            r"bbox_head\.fc_cls\.weight is a single value",
        ),
        (
            lambda w: w.update({"SID_head.fc_instance_iou.weight": torch.zeros(4, 8)}),
            r"mask_head\.iou_outputs must be 0 or more than num_classes",
        ),
        (
            lambda w: w.update({"SID_head.SID_reg.bias": torch.full((4,), torch.nan)}),
            "holds values that are not finite",
        ),
        (
            lambda w: w.update({"SID_head.SID_reg.bias": torch.zeros(4).to_sparse()}),
            "is stored sparsely",
        ),
        (
            lambda w: w.update({"backbone.layer3.7.conv1.weight": torch.zeros(1)}),
            r"backbone\.layer3 has 8 blocks; a ResNet-50 has 6",
        ),
        (
            lambda w: w.update({"neck.lateral_convs.0.conv.weight": torch.zeros(1).expand(2**40)}),
            "neck.channels|larger than any machine|but the settings ask for",
        ),
    ],
)
def test_weights_that_do_not_fit(
    tmp_path: Path,
    narrow_weights: Weights,
    change: Callable[[Weights], object],
    match: str,
) -> None:
    changed = dict(narrow_weights)
    change(changed)
    refused(written(tmp_path / "x.pth", changed), match)


def test_the_trunk_may_have_no_hole(tmp_path: Path, narrow_weights: Weights) -> None:
    changed = {k: v for k, v in narrow_weights.items() if not k.startswith("SID_head.convs.3.")}
    refused(written(tmp_path / "x.pth", changed), r"mask_head\.trunk\.3\..+ is missing")
