"""Numbers that the authors' code gave, and weights under the authors' names, for any test.

Their boxes have inclusive corners: ``half_open`` makes them ours. Their weights are a pure
function of a salt, a name and a shape, which ``make_weights.py`` beside the fixtures computes.
"""

import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from comask.checkpoint import mmdet_v1

ONE = torch.tensor([0.0, 0.0, 1.0, 1.0])
Shapes = Iterable[tuple[str, tuple[int, ...]]]


def arrays(fixtures: Path, name: str) -> dict[str, Tensor]:
    """Read one ``.npz`` of the fixtures as tensors; texts are left out."""
    with np.load(fixtures / f"{name}.npz") as file:
        return {
            key: torch.from_numpy(file[key]) for key in file.files if file[key].dtype.kind in "iufb"
        }


def half_open(boxes: Tensor) -> Tensor:
    """Move inclusive corners to half-open ones: (N, 4 or 5) -> (N, 4), a score is dropped."""
    return boxes[:, :4] + ONE


def regions(rois: Tensor) -> tuple[Tensor, Tensor]:
    """Split (image, box) rows: (N, 5) -> half-open boxes (N, 4), image rows (N,)."""
    return rois[:, 1:] + ONE, rois[:, 0].long()


def shapes_of_r50(fixtures: Path) -> list[tuple[str, tuple[int, ...]]]:
    """List the authors' names and shapes for a ResNet-50 and 81 outputs."""
    found: list[tuple[str, tuple[int, ...]]] = _maker(fixtures).read_names(
        fixtures / "params_r50_coco81.txt"
    )
    return found


def weights(fixtures: Path, salt: str, shapes: Shapes) -> dict[str, Tensor]:
    """Make the weights of some names and shapes."""
    made = _maker(fixtures).make_state_dict(salt, list(shapes))
    return {key: torch.from_numpy(value) for key, value in made.items()}


def fill(part: nn.Module, theirs: Mapping[str, Tensor], prefix: str, branches: int = 4) -> None:
    """Fill a part of the model from weights under the authors' names; all of them, exactly."""
    names = mmdet_v1.rename(theirs, branches)
    assert all(ours.startswith(prefix) for ours in names)
    part.load_state_dict({ours.removeprefix(prefix): theirs[key] for ours, key in names.items()})


def close(found: Tensor, wanted: Tensor, share: float = 1e-4) -> None:
    """Demand equality to ``share`` of the wanted tensor's maximum."""
    limit = share * float(wanted.abs().max()) if wanted.numel() else 0.0
    torch.testing.assert_close(found, wanted, rtol=0, atol=limit)


def _maker(fixtures: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_weights", fixtures / "make_weights.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
