"""torchvision's compiled operator of non-maximum suppression, without the rest of torchvision.

``import torchvision`` takes as long as ``import torch``, and all that a model needs of it is this.
"""

import importlib.util
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

Nms = Callable[[Tensor, Tensor, float], Tensor]


@cache
def operator() -> Nms:
    """Give ``(boxes (N, 4), scores (N,), max_iou) -> (K,)`` row numbers, best score first.

    Its library is loaded by itself where it is found, as torchvision does; elsewhere torchvision
    is imported, which tells what it misses.
    """
    found = importlib.util.find_spec("torchvision")
    for folder in (found and found.submodule_search_locations) or ():
        for library in sorted(Path(folder).glob("_C*")):
            with suppress(OSError):
                torch.ops.load_library(library)
    if not hasattr(torch.ops.torchvision, "nms"):
        import torchvision.ops  # noqa: F401
    nms: Nms = torch.ops.torchvision.nms
    return nms
