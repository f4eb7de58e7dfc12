"""Parts of a model that OpenVINO runs, where it is installed: the same numbers, sooner on CPUs.

Features and the adaptive pooling are compiled, in float32 on purpose: left alone, OpenVINO takes
bfloat16 where the processor has it. Everything else stays with PyTorch, and so do gradients and
whoever asks the parts one by one.
"""

import importlib.util
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from comask.errors import InputError
from comask.model.comask import CoMask
from comask.model.roi_pool import AdaptivePool, LevelPool

Engine = Literal["torch", "openvino"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

EXAMPLE = 256  # pixels a side while a part is read; any size may follow
REGION = 14  # cells a side of what the adaptive pooling takes in

Run = Callable[[Tensor], list[Tensor]]


class CompiledCoMask(CoMask):
    """A CoMask whose features and whose adaptive pooling are OpenVINO's."""

    def __init__(self, model: CoMask) -> None:
        """Take over a folded model's parts; raises InputError where OpenVINO is missing."""
        demand_openvino()
        with torch.device("meta"):  # parts that are never filled
            super().__init__(model.config)
        for name, part in list(model.named_children()):
            self.add_module(name, part)
        self._described = compiled(_Features(model), (1, EXAMPLE, EXAMPLE, 3), (1, -1, -1, 3))
        for level in self.class_head.pool.levels:
            if isinstance(level, LevelPool) and isinstance(level.pool, AdaptivePool):
                level.add_module("pool", CompiledPool(level.pool))
        self.eval()

    def features(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Describe images at five scales: (B, 3, H, W) -> P2 .. P6, (B, C, H / s, W / s)."""
        if torch.is_grad_enabled():
            return super().features(tensor)
        images = [self._described(image[None]) for image in tensor]
        return self.neck.pyramid([torch.cat(level) for level in zip(*images, strict=True)])


class CompiledPool(nn.Module):
    """An adaptive pooling that OpenVINO runs."""

    def __init__(self, pool: AdaptivePool) -> None:
        super().__init__()
        self.plain = pool
        channels = pool.conv.in_channels
        self._pooled = compiled(pool, (2, REGION, REGION, channels), (-1, REGION, REGION, channels))

    def forward(self, regions: Tensor) -> Tensor:
        """Pool cells by their own weights: (R, C, 14, 14) -> (R, C, 7, 7)."""
        if torch.is_grad_enabled() or not len(regions):
            pooled: Tensor = self.plain(regions)
            return pooled
        return self._pooled(regions)[0]


def demand_openvino() -> None:
    """Refuse in one sentence where OpenVINO is not installed."""
    if importlib.util.find_spec("openvino") is None:
        raise InputError(
            "the engine openvino needs OpenVINO, which is not installed; get it with "
            '`python -m pip install -e ".[openvino]" -c constraints.txt`'
        )


def compiled(part: nn.Module, example: tuple[int, ...], shape: tuple[int, ...]) -> Run:
    """Compile a part that takes one map and gives some: channels first, stored channels last.

    Args:
        part: in eval mode, on the CPU.
        example: a size to read it at, channels last.
        shape: the sizes that it shall take, channels last; -1 is any.
    """
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    # not openvino.convert_model, which reports to its makers
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that tracing is deprecated, and what it can't see
        decoder = TorchScriptPythonDecoder(_Turned(part), example_input=(torch.zeros(example),))
    front = FrontEndManager().load_by_framework("pytorch")
    graph = front.convert(front.load(decoder))
    graph.reshape(openvino.PartialShape(list(shape)))
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    request: Any = _core().compile_model(graph, "CPU", options)

    def run(features: Tensor) -> list[Tensor]:
        found = request([features.permute(0, 2, 3, 1).contiguous().numpy()])
        return [torch.from_numpy(value).permute(0, 3, 1, 2) for value in found.values()]

    return run


@cache
def _core() -> Any:
    """Open OpenVINO once for as long as the process lives.

    What it opens takes the thread's stack for signals (``sigaltstack``), and frees its own when it
    goes. Of two that go in the order they came, the second leaves a stack that is freed, and the
    next signal, a child's end even, kills the process.
    """
    import openvino

    return openvino.Core()


class _Features(nn.Module):
    """Backbone and neck as one part: an image -> P2 .. P5."""

    def __init__(self, model: CoMask) -> None:
        super().__init__()
        self.backbone, self.neck = model.backbone, model.neck

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        levels: tuple[Tensor, ...] = self.neck(self.backbone(image))
        return levels[:-1]


class _Turned(nn.Module):
    """A part that takes and gives its maps with the channels last, as they lie in memory."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        given = self.part(features.permute(0, 3, 1, 2))
        maps = given if isinstance(given, tuple) else (given,)
        return tuple(one.permute(0, 2, 3, 1) for one in maps)
