"""The authors' checkpoints: ``.pth`` files of their fork of mmdetection 1.1 (spec section 15).

A file is a dict that mmcv wrote, or its bare ``state_dict``. It is read without running any code
in it. What can be read from the weights is: the depth of the ResNet, branches, attention, classes,
convolutions of the mask head, outputs of the mask-IoU layer; the rest is the paper's. Every key is
claimed by exactly one rule and every weight of ours is filled, or the file is refused.
"""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from comask.annotation.records import Category
from comask.checkpoint import categories as category_lists
from comask.checkpoint import state
from comask.checkpoint.native import CheckpointInfo
from comask.config import (
    AttentionKind,
    BackboneConfig,
    ClassHeadConfig,
    MaskHeadConfig,
    ModelConfig,
    NeckConfig,
    PreprocessingConfig,
)
from comask.errors import CheckpointError, ConfigError
from comask.model.comask import CoMask

Rule = tuple[str, str]
Weights = Mapping[str, Tensor]

WB = r"(weight|bias)"

BACKBONE: tuple[Rule, ...] = (
    (r"backbone\.(conv1|bn1)\.(.+)", r"backbone.stem.\1.\2"),
    (r"backbone\.layer1\.(.+)", r"backbone.stages.0.\1"),
    (r"backbone\.layer2\.(.+)", r"backbone.stages.1.\1"),
    (r"backbone\.layer3\.(.+)", r"backbone.stages.2.\1"),
    (r"backbone\.layer4\.(.+)", r"backbone.stages.3.\1"),
)
_THEIRS, _OURS = r"neck\.fpn_convs\.(\d)\.attention\.(rca\.|)", r"neck.msfem.\1.attention.\2"
ATTENTION: tuple[Rule, ...] = (
    (_THEIRS + r"linear1\.0\.weight", _OURS + r"gate.squeeze.weight"),
    (_THEIRS + r"linear2\.0\.weight", _OURS + r"gate.excite.weight"),
    (_THEIRS + r"conv2\.0\.weight", _OURS + r"conv.weight"),
    (_THEIRS + rf"conv2\.1\.{WB}", _OURS + r"norm.\3"),
    (_THEIRS + r"refine_conv\.weight", _OURS + r"position.weight"),
)
HEADS: tuple[Rule, ...] = (
    (rf"neck\.lateral_convs\.(\d)\.conv\.{WB}", r"neck.laterals.\1.\2"),
    (rf"rpn_head\.rpn_conv\.{WB}", r"rpn.conv.\1"),
    (rf"rpn_head\.rpn_cls\.{WB}", r"rpn.score.\1"),
    (rf"rpn_head\.rpn_reg\.{WB}", r"rpn.delta.\1"),
    (
        rf"bbox_roi_extractor\.roi_layers\.(\d)\.offset_fc\.([024])\.{WB}",
        r"class_head.pool.levels.\1.offsets.\2.\3",
    ),
    (
        r"bbox_roi_extractor\.roi_layers\.(\d)\.awp\.weight\.conv\.weight",
        r"class_head.pool.levels.\1.pool.conv.weight",
    ),
    (
        rf"bbox_roi_extractor\.roi_layers\.(\d)\.awp\.weight\.bn\.{WB}",
        r"class_head.pool.levels.\1.pool.norm.\2",
    ),
    (rf"bbox_head\.shared_fcs\.0\.{WB}", r"class_head.hidden1.\1"),
    (rf"bbox_head\.shared_fcs\.1\.{WB}", r"class_head.hidden2.\1"),
    (rf"bbox_head\.fc_cls\.{WB}", r"class_head.score.\1"),
    (r"SID_head\.convs\.(\d+)\.conv\.weight", r"mask_head.trunk.\1.conv.weight"),
    (rf"SID_head\.convs\.(\d+)\.gn\.{WB}", r"mask_head.trunk.\1.norm.\2"),
    (rf"SID_head\.SID_reg\.{WB}", r"mask_head.distance.\1"),
    (rf"SID_head\.deconv([12])\.{WB}", r"mask_head.enlarge\1.\2"),
    (rf"SID_head\.norm([12])\.{WB}", r"mask_head.norm\1.\2"),
    (rf"SID_head\.SID_instance\.{WB}", r"mask_head.mask.\1"),
    (rf"SID_head\.maskscoringconv\.0\.{WB}", r"mask_head.judge.0.conv.\1"),
    (rf"SID_head\.maskscoringconv\.1\.{WB}", r"mask_head.judge.0.norm.\1"),
    (rf"SID_head\.maskscoringconv\.3\.{WB}", r"mask_head.judge.1.conv.\1"),
    (rf"SID_head\.maskscoringconv\.4\.{WB}", r"mask_head.judge.1.norm.\1"),
    (rf"SID_head\.fcs\.0\.{WB}", r"mask_head.judge1.\1"),
    (rf"SID_head\.fcs\.1\.{WB}", r"mask_head.judge2.\1"),
    (rf"SID_head\.fc_instance_iou\.{WB}", r"mask_head.mask_iou.\1"),
)
COUNTER = "num_batches_tracked"  # absent from files of older PyTorch; nothing reads it


def convert(
    path: str | Path, categories: Sequence[Category] | None = None
) -> tuple[CoMask, CheckpointInfo]:
    """Read a checkpoint of the authors: the model in eval mode on the CPU, and its description.

    Args:
        path: the ``.pth`` file.
        categories: in the order of the outputs; without them the names in the file count, and
            80 classes without names are COCO's.
    """
    path = Path(path)
    weights, meta = _read(path)
    try:
        config = settings(weights)
        info = CheckpointInfo(
            config=config,
            categories=_categories(config.num_classes, categories, meta.get("CLASSES")),
            preprocessing=PreprocessingConfig(),
            training=_record(path, meta),
        )
        model = state.blank(config)
    except (ConfigError, CheckpointError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    return state.filled(model, _renamed(weights, model, path), path), info


def rules(branches: int) -> tuple[Rule, ...]:
    """List how each key is called here: (their pattern, our replacement) pairs.

    Their chain c of a module has depth c + 1; ours run, and are counted, deepest first.
    """
    chains = [
        (
            rf"neck\.fpn_convs\.(\d)\.convs\.{chain}\.(\d)\.{part}\.{WB}",
            rf"neck.msfem.\1.branches.{branches - 2 - chain}.\2.{ours}.\3",
        )
        for chain in range(branches - 1)
        for part, ours in ((0, "conv"), (1, "norm"))
    ]
    fuse = (rf"neck\.fpn_convs\.(\d)\.reduce\.conv\.{WB}", r"neck.msfem.\1.fuse.\2")
    return (*BACKBONE, *chains, *ATTENTION, fuse, *HEADS)


def rename(keys: Iterable[str], branches: int) -> dict[str, str]:
    """Find our name of every key: -> {ours: theirs}; refuses what no rule, or two, claim."""
    table = [(re.compile(theirs), ours) for theirs, ours in rules(branches)]
    names: dict[str, str] = {}
    for key in keys:
        hits = [hit.expand(ours) for theirs, ours in table if (hit := theirs.fullmatch(key))]
        if len(hits) != 1 or hits[0] in names:
            raise CheckpointError(f"{key:.100} is claimed by {len(hits)} rules, not by one")
        names[hits[0]] = key
    return names


def settings(weights: Weights) -> ModelConfig:
    """Read the settings of a model from its weights, whose keys are the authors'."""
    if not any(key.startswith("SID_head.") for key in weights):
        raise CheckpointError("no CoMask of the authors: it has no SID_head")
    branches = 1 + _count(weights, r"neck\.fpn_convs\.0\.convs\.(\d+)\..+")
    if branches < 3:
        raise CheckpointError(
            f"it has {branches} branches, where the released code skips the whole module and its "
            "weights were never trained; files with 3, 4 or 5 branches can be converted"
        )
    outputs = _length(weights, "bbox_head.fc_cls.weight")
    ious = _length(weights, "SID_head.fc_instance_iou.weight")
    return ModelConfig(
        num_classes=outputs - 1,
        backbone=_backbone(weights),
        neck=NeckConfig(
            channels=_length(weights, "neck.lateral_convs.0.conv.weight"),
            branches=branches,
            attention=_attention(weights),
        ),
        class_head=ClassHeadConfig(
            hidden=_length(weights, "bbox_head.shared_fcs.0.weight"),
            offset_hidden=_length(weights, "bbox_roi_extractor.roi_layers.0.offset_fc.0.weight"),
        ),
        mask_head=MaskHeadConfig(
            convs=_count(weights, r"SID_head\.convs\.(\d+)\..+"),
            hidden=_length(weights, "SID_head.fcs.0.weight"),
            iou_outputs=0 if ious == outputs else ious,
        ),
    )


def _backbone(weights: Weights) -> BackboneConfig:
    blocks = _count(weights, r"backbone\.layer3\.(\d+)\..+")
    match blocks:
        case 6:
            return BackboneConfig(kind="resnet50")
        case 23:
            return BackboneConfig(kind="resnet101")
    raise CheckpointError(
        f"backbone.layer3 has {blocks} blocks; a ResNet-50 has 6, a ResNet-101 has 23"
    )


def _attention(weights: Weights) -> AttentionKind:
    prefix = "neck.fpn_convs.0.attention."
    if prefix + "refine_conv.weight" in weights:
        return "sca"
    return "rca" if prefix + "conv2.0.weight" in weights else "ca"


def _count(weights: Weights, pattern: str) -> int:
    """Count the parts of a list by the largest number in its keys; a hole is found later."""
    hits = (re.fullmatch(pattern, key) for key in weights)
    return 1 + max((int(hit[1]) for hit in hits if hit), default=-1)


def _length(weights: Weights, key: str) -> int:
    if key not in weights:
        raise CheckpointError(f"{key} is missing")
    if weights[key].dim() == 0:
        raise CheckpointError(f"{key} is a single value")
    return int(weights[key].shape[0])


def _renamed(weights: Weights, model: CoMask, path: Path) -> dict[str, Tensor]:
    """Call every weight by our name for it, and refuse what does not fit our model."""
    try:
        names = rename(weights, model.config.neck.branches)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    renamed = {ours: weights[theirs] for ours, theirs in names.items()}
    for key, tensor in model.state_dict().items():
        if key.endswith(COUNTER) and key not in renamed:
            renamed[key] = torch.zeros(tensor.shape, dtype=tensor.dtype)
    found = {key: tuple(tensor.shape) for key, tensor in renamed.items()}
    state.check_shapes(found, model, path, names)
    return renamed


def _categories(
    count: int, given: Sequence[Category] | None, names: object
) -> tuple[Category, ...]:
    if given is not None:
        found = tuple(given)
    elif isinstance(names, tuple | list) and all(isinstance(name, str) for name in names):
        found = category_lists.named(names)
    elif count == len(category_lists.COCO):
        found = category_lists.COCO
    else:
        raise CheckpointError(
            f"it has {count} classes and no names for them; give them in a file (--classes)"
        )
    if len(found) != count:
        raise CheckpointError(
            f"it has {count} classes, but there are {len(found)} names; give the right ones in a "
            "file (--classes)"
        )
    return found


def _record(path: Path, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what mmcv noted of the training, as far as it is short and plain."""
    names = ("epoch", "iter", "time", "mmdet_version", "mmcv_version")
    noted = {name: meta[name] for name in names if isinstance(meta.get(name), int | str)}
    kept = {k: v[:100] if isinstance(v, str) else v for k, v in noted.items()}
    return {"converted_from": path.name, **kept}


def _read(path: Path) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """Open a file without running any code in it: -> the weights and mmcv's notes."""
    content = _unpickled(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no dictionary of weights")
    meta = content.get("meta")
    weights = content.get("state_dict", content)
    if not isinstance(weights, dict) or not weights:
        raise CheckpointError(f"{path} holds no weights")
    for key, value in weights.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{path}: {key!r:.100} is not the name of a tensor")
    if all(key.startswith("module.") for key in weights):
        weights = {key.removeprefix("module."): value for key, value in weights.items()}
    return dict(weights), meta if isinstance(meta, dict) else {}


def _unpickled(path: Path) -> object:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise CheckpointError(f"{path} can't be read: {error.strerror}") from error
    if not start:
        raise CheckpointError(f"{path} is empty")
    try:
        # files of PyTorch before 1.6 are no archives and can't be mapped
        mapped = start == b"PK\x03\x04"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old storages and sparse tensors
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a damaged pickle can fail in any way
        raise CheckpointError(f"{path} {_what_is_wrong(error)}") from error


def _what_is_wrong(error: Exception) -> str:
    code = re.search(r"GLOBAL (\w[\w.]*\w)", str(error))
    if code:
        return f"holds code ({code[1]}), not weights alone; nothing of it was executed"
    return "is damaged or no PyTorch file"
