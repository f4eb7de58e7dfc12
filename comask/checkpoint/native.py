"""Our checkpoints: one ``.safetensors`` file that holds everything a prediction needs.

Its metadata has one entry, ``comask``: a JSON object with a format number, the settings, the
categories with the ids of their dataset, the preprocessing and the training record. Nothing in a
file is ever executed; whatever is wrong with one is a CheckpointError of one sentence.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from comask.annotation.records import Category
from comask.checkpoint import state
from comask.config import ModelConfig, PreprocessingConfig, from_dict, to_dict
from comask.errors import CheckpointError, ConfigError
from comask.model.comask import CoMask

FORMAT = 1
ENTRY = "comask"
MAX_HEADER = 16 * 2**20  # bytes; a ResNet-101's takes 0.2 MB
# settings that came after the format did, and what files without them mean
LATER: Mapping[str, Mapping[str, Any]] = {"detection": {"paste": "whole"}}
PICKLES = (b"PK\x03\x04", b"\x80\x02")  # how PyTorch's own files begin, new and old


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says of itself.

    config         the settings of the model
    categories     label l is ``categories[l]``; the ids are those of its dataset
    preprocessing  how an image becomes network pixels
    training       JSON values: the data, the epochs, the AP; whatever the trainer noted
    """

    config: ModelConfig
    categories: tuple[Category, ...]
    preprocessing: PreprocessingConfig = field(default_factory=PreprocessingConfig)
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.categories) != self.config.num_classes:
            raise ConfigError(
                f"categories must name {self.config.num_classes} classes as num_classes says, "
                f"got {len(self.categories)}"
            )
        if len({category.id for category in self.categories}) != len(self.categories):
            raise ConfigError("categories must have different ids")


def save(path: str | Path, model: CoMask, info: CheckpointInfo, half: bool = False) -> None:
    """Write a checkpoint beside ``path`` and rename it over; ``load`` accepts what it wrote.

    Args:
        path: where; an older file there stays whole until the new one is.
        model: its weights, from any device.
        info: with the settings that the model was built from.
        half: store kernels and matrices as float16, half the size; vectors, which take next to
            no room and hold the norms' statistics, stay as they are.
    """
    path = Path(path)
    weights = {key: _stored(key, value, half, path) for key, value in model.state_dict().items()}
    shapes = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    state.check_shapes(shapes, state.blank(info.config), f"{path} was not written")
    metadata = {ENTRY: _to_json(info, path)}
    beside = path.with_name(f".{uuid4().hex}.partial")
    try:
        with beside.open("xb") as file:
            file.write(to_bytes(weights, metadata))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} can't be written: {_reason(error)}") from error
    finally:
        beside.unlink(missing_ok=True)


def load(path: str | Path) -> tuple[CoMask, CheckpointInfo]:
    """Read a checkpoint: the model in eval mode on the CPU, and what the file says of itself."""
    path = Path(path)
    info = read_info(path)
    try:
        model = state.blank(info.config)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error
    try:
        with safe_open(path, framework="pt") as file:
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} is a damaged checkpoint: {_reason(error)}") from error
    return state.filled(model, weights, path), info


def read_info(path: str | Path) -> CheckpointInfo:
    """Read what a checkpoint says of itself, without its weights."""
    path = Path(path)
    metadata = _header(path).get("__metadata__")
    if not isinstance(metadata, dict) or not isinstance(metadata.get(ENTRY), str):
        raise CheckpointError(f"{path} is a safetensors file, but not one that CoMask wrote")
    said = _parse(metadata[ENTRY], path, "metadata")
    number = said.get("format")
    if type(number) is not int or number != FORMAT:
        raise CheckpointError(
            f"{path} has format {number!r:.20}, this version of CoMask reads {FORMAT}"
        )
    try:
        return _from_json(said)
    except (ConfigError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _header(path: Path) -> dict[str, Any]:
    """Read and check the table of contents; a file cut short is found here."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if start.startswith(PICKLES):
                raise CheckpointError(
                    f"{path} is a PyTorch file; `comask convert` makes a checkpoint of the "
                    "authors' ones"
                )
            if len(start) < 8 or length > size - 8:
                raise CheckpointError(
                    f"{path} is {'empty' if not size else 'no checkpoint, or one cut short'}"
                )
            if length > MAX_HEADER:
                raise CheckpointError(
                    f"{path} has a header of {length} bytes, at most {MAX_HEADER} are read"
                )
            header = _parse(file.read(length), path, "header")
    except OSError as error:
        raise CheckpointError(f"{path} can't be read: {_reason(error)}") from error
    ends = [_end(path, key, entry) for key, entry in header.items() if key != "__metadata__"]
    if (expected := 8 + length + max(ends, default=0)) != size:
        raise CheckpointError(f"{path} is damaged: {expected} bytes are expected, it has {size}")
    return header


def _end(path: Path, key: str, entry: object) -> int:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(offsets, list) or [type(value) for value in offsets] != [int, int]:
        raise CheckpointError(f"{path} has a damaged header at {key:.100}")
    return int(offsets[1])


def _parse(text: str | bytes, path: Path, part: str) -> dict[str, Any]:
    try:
        read = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError too
        raise CheckpointError(f"{path} is no checkpoint: its {part} is not JSON") from error
    if not isinstance(read, dict):
        raise CheckpointError(f"{path} is no checkpoint: its {part} is not a JSON object")
    return read


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _to_json(info: CheckpointInfo, path: Path) -> str:
    values = {
        "format": FORMAT,
        "config": to_dict(info.config),
        "categories": [
            {"id": c.id, "name": c.name, "supercategory": c.supercategory} for c in info.categories
        ],
        "preprocessing": to_dict(info.preprocessing),
        "training": dict(info.training),
    }
    try:
        return json.dumps(values, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path} was not written: its record is not JSON: {error}") from error


def _from_json(said: Mapping[str, Any]) -> CheckpointInfo:
    categories, training = said.get("categories"), said.get("training")
    if not isinstance(categories, list):
        raise ConfigError("categories must be a list")
    if not isinstance(training, dict):
        raise ConfigError("training must be an object")
    return CheckpointInfo(
        config=from_dict(ModelConfig, _completed(said.get("config"))),
        categories=tuple(_category(values, label) for label, values in enumerate(categories)),
        preprocessing=from_dict(PreprocessingConfig, said.get("preprocessing"), at="preprocessing"),
        training=training,
    )


def _completed(config: object) -> object:
    if not isinstance(config, dict):
        return config
    parts = {name: config[name] for name in LATER if isinstance(config.get(name), dict)}
    return config | {name: {**LATER[name], **part} for name, part in parts.items()}


def _category(values: object, label: int) -> Category:
    read = from_dict(_CategoryValues, values, at=f"categories[{label}]")
    return Category(read.id, read.name, read.supercategory)


@dataclass(frozen=True)
class _CategoryValues:
    id: int
    name: str
    supercategory: str


def _stored(key: str, tensor: Tensor, half: bool, path: Path) -> Tensor:
    stored = tensor.detach().cpu()
    if half and stored.is_floating_point() and stored.dim() > 1:
        stored = stored.half()
    if stored.is_floating_point() and not state.is_finite(stored):
        raise CheckpointError(f"{path} was not written: {key} holds values that are not finite")
    return stored.contiguous()  # safetensors takes no other layout, channels-last included


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or (str(error).splitlines() or [repr(error)])[0]
