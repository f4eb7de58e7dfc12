"""Modules whose weights are nowhere yet: no memory, no random numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_FILLS = (Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_)


@contextmanager
def nowhere() -> Iterator[None]:
    """Build what is built in here without weights; they are filled in later, or never."""
    with torch.device("meta"), _Unfilled():
        yield


class _Unfilled(TorchFunctionMode):
    """Draws no random numbers: for weights that are nowhere PyTorch would load its compiler."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func in _FILLS:
            return args[0] if args else named["tensor"]
        return func(*args, **named)
