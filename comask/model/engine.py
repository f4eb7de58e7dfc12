"""Parts of a model that OpenVINO runs, where it is installed: the same numbers, sooner on CPUs.

Backbone and neck are compiled up to the last convolution of every level, in float32 on purpose:
left alone, OpenVINO takes bfloat16 where the processor has it. That convolution is done by tiles,
sooner, with PyTorch, as all else is; so are gradients, and whatever asks the parts one by one.
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
from comask.model.nowhere import nowhere

Engine = Literal["torch", "openvino"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

EXAMPLE = 256  # pixels a side while a part is read; any size may follow

Run = Callable[[Tensor], list[Tensor]]


class CompiledCoMask(CoMask):
    """A CoMask whose features are OpenVINO's."""

    def __init__(self, model: CoMask) -> None:
        """Take over a folded model's parts; raises InputError where OpenVINO is missing."""
        demand_openvino()
        with nowhere():  # parts that are never filled
            super().__init__(model.config)
        for name, part in list(model.named_children()):
            self.add_module(name, part)
        self._gated = compiled(_Gated(model))
        self.eval()

    def features(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Describe images at five scales: (B, 3, H, W) -> P2 .. P6, (B, C, H / s, W / s)."""
        if torch.is_grad_enabled():
            return super().features(tensor)
        images = [self._gated(image[None]) for image in tensor]
        return self.neck.finished([torch.cat(level) for level in zip(*images, strict=True)])


def demand_openvino() -> None:
    """Refuse in one sentence where OpenVINO is not installed."""
    if importlib.util.find_spec("openvino") is None:
        raise InputError(
            "the engine openvino needs OpenVINO, which is not installed; get it with "
            '`python -m pip install -e ".[openvino]" -c constraints.txt`'
        )


def compiled(part: nn.Module) -> Run:
    """Compile a part, in eval mode and on the CPU, that takes one image and gives some maps.

    OpenVINO sees channels last, as maps lie in memory: (1, 3, H, W) is (1, H, W, 3) to it.
    """
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    # not openvino.convert_model, which reports to its makers
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that tracing is deprecated, and what it can't see
        decoder = TorchScriptPythonDecoder(
            _Turned(part), example_input=(torch.zeros(1, EXAMPLE, EXAMPLE, 3),)
        )
    front = FrontEndManager().load_by_framework("pytorch")
    graph = front.convert(front.load(decoder))
    graph.reshape(openvino.PartialShape([1, -1, -1, 3]))
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


class _Gated(nn.Module):
    """Backbone and neck as one part: an image -> what the last convolution of P2 .. P5 sees."""

    def __init__(self, model: CoMask) -> None:
        super().__init__()
        self.backbone, self.neck = model.backbone, model.neck

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.neck.gated(self.backbone(image))


class _Turned(nn.Module):
    """A part that takes and gives its maps with the channels last, as they lie in memory."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        given = self.part(features.permute(0, 3, 1, 2))
        maps = given if isinstance(given, tuple) else (given,)
        return tuple(one.permute(0, 2, 3, 1) for one in maps)
