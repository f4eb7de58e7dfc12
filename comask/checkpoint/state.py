"""Weights and the model they fill: every key once, shapes and dtypes agreeing, or an error."""

from collections.abc import Mapping

import torch
from torch import Tensor

from comask.config import ModelConfig
from comask.errors import CheckpointError, ConfigError
from comask.model.comask import CoMask
from comask.model.nowhere import nowhere

State = Mapping[str, Tensor]
Shapes = Mapping[str, tuple[int, ...]]


def blank(config: ModelConfig) -> CoMask:
    """Build a model whose weights are still nowhere: no memory, no random numbers."""
    try:
        with nowhere():
            return CoMask(config)
    except (RuntimeError, TypeError, OverflowError) as error:  # sizes beyond 64 bits
        raise ConfigError("config asks for a model larger than any machine holds") from error


def shapes_of(model: CoMask) -> dict[str, tuple[int, ...]]:
    """List every weight and buffer of a model by its name."""
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}


def check_shapes(
    found: Shapes, model: CoMask, source: object, names: Mapping[str, str] | None = None
) -> None:
    """Refuse weights that are not exactly a model's own.

    Args:
        found: the shapes by our keys.
        model: what is to be filled.
        source: the file, named in the error.
        names: what the file itself calls a key, where that differs.
    """
    expected, names = shapes_of(model), names or {}
    for key in sorted(set(found) - set(expected)):
        name = names.get(key, key)
        raise CheckpointError(f"{source}: {name} belongs to no part of the model of its settings")
    for key in sorted(set(expected) - set(found)):
        raise CheckpointError(f"{source}: {key} is missing")
    for key, shape in expected.items():
        if found[key] != shape:
            raise CheckpointError(
                f"{source}: {names.get(key, key)} is {_spelt(found[key])}, "
                f"but the settings ask for {_spelt(shape)}"
            )


def filled(model: CoMask, state: State, source: object) -> CoMask:
    """Put weights into a blank model and set it to inference; returns that model.

    Float16 becomes float32; weights that are not numbers are refused.
    """
    check_shapes({key: tuple(tensor.shape) for key, tensor in state.items()}, model, source)
    whole = {
        key: _read(key, state[key], wanted.dtype, source)
        for key, wanted in model.state_dict().items()
    }
    model.load_state_dict(whole, strict=True, assign=True)
    return model.eval()


def is_finite(tensor: Tensor) -> bool:
    """Tell whether a tensor holds neither nan nor infinity."""
    # a sum is one pass without a copy; only a sum that is not finite needs the closer look
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def _read(key: str, tensor: Tensor, wanted: torch.dtype, source: object) -> Tensor:
    if tensor.layout != torch.strided:
        raise CheckpointError(f"{source}: {key} is stored sparsely, which no checkpoint is")
    accepted = {wanted, torch.float16} if wanted == torch.float32 else {wanted}
    if tensor.dtype not in accepted:
        raise CheckpointError(
            f"{source}: {key} holds {_plain(tensor.dtype)}, {_plain(wanted)} is wanted"
        )
    read = tensor.detach().to(wanted, copy=True).contiguous()  # the file's own memory is let go
    if read.is_floating_point() and not is_finite(read):
        raise CheckpointError(f"{source}: {key} holds values that are not finite")
    return read


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _spelt(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single value"
