"""Where a training starts: random heads on ImageNet's features, or a whole checkpoint."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor

from comask.checkpoint import native
from comask.config import BackboneKind
from comask.errors import CheckpointError
from comask.model.comask import CoMask

_MOBILENET_STAGES = ((2, 4), (4, 7), (7, 14), (14, 18))  # torchvision's blocks of C2 .. C5


def initialise(model: CoMask, source: str) -> None:
    """Fill a model from "none", "imagenet", a torchvision classifier's ``.pth`` or a checkpoint.

    A checkpoint of the same settings fills everything; one with other classes fills all but the
    layers that speak of classes.
    """
    if source == "none":
        return
    if source == "imagenet":
        fill_backbone(model, _download(model.config.backbone.kind), source)
    elif source.endswith(".safetensors"):
        _from_checkpoint(model, Path(source))
    else:
        fill_backbone(model, _read(Path(source)), source)


def fill_backbone(model: CoMask, weights: Mapping[str, Tensor], source: str) -> None:
    """Put torchvision's ImageNet weights into the backbone; the classifier is left out."""
    own = model.backbone.state_dict()
    renamed = {ours: weights[key] for key in weights if (ours := _rename(key))}
    for key, value in own.items():
        if key.endswith("num_batches_tracked"):
            renamed.setdefault(key, value)
        elif key not in renamed or renamed[key].shape != value.shape:
            kind = model.config.backbone.kind
            raise CheckpointError(f"{source} holds no {kind}: {key} is missing or of another shape")
    for key in renamed.keys() - own.keys():
        raise CheckpointError(f"{source} holds another network: {key} is unknown")
    model.backbone.load_state_dict(renamed)


def _rename(key: str) -> str | None:
    """Translate torchvision's name of a weight; None for what is not used."""
    if found := re.fullmatch(r"features\.(\d+)\.(.+)", key):
        block = int(found[1])
        for stage, (first, end) in enumerate(_MOBILENET_STAGES):
            if first <= block < end:
                return f"stages.{stage}.{block}.{found[2]}"
        return f"stem.{block}.{found[2]}" if block < 2 else None
    if found := re.fullmatch(r"layer(\d)\.(.+)", key):
        return f"stages.{int(found[1]) - 1}.{found[2]}"
    if re.match(r"(conv1|bn1)\.", key):
        return f"stem.{key}"
    return None if re.match(r"(fc|classifier)\.", key) else key


def _read(path: Path) -> dict[str, Tensor]:
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} is not there; --init takes imagenet, none or a file"
        ) from error
    except Exception as error:  # the unpickler raises whatever it stumbles over
        raise CheckpointError(f"{path} is no file of weights that can be read safely") from error
    if not isinstance(weights, dict) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise CheckpointError(f"{path} is no plain dictionary of weights")
    return weights


def _download(kind: BackboneKind) -> Mapping[str, Tensor]:
    from torchvision.models import get_model_weights  # takes as long as torch itself

    try:
        weights: Mapping[str, Tensor] = get_model_weights(kind).IMAGENET1K_V1.get_state_dict(
            progress=True
        )
    except (URLError, OSError) as error:
        raise CheckpointError(
            f"ImageNet's weights of {kind} can't be downloaded here; give a file with --init FILE"
        ) from error
    return weights


def _from_checkpoint(model: CoMask, path: Path) -> None:
    other, _ = native.load(path)
    given, own = other.state_dict(), model.state_dict()
    for key in given.keys() ^ own.keys():
        raise CheckpointError(f"{path} is of another model: {key} is not in both")
    same_classes = other.config.num_classes == model.config.num_classes
    for key, value in own.items():
        if given[key].shape != value.shape:
            if same_classes or not key.startswith(("class_head.score", "mask_head.mask")):
                raise CheckpointError(f"{path} is of another model: {key} has another shape")
            given[key] = value
    model.load_state_dict(given)
