"""The operator of non-maximum suppression, as a new process finds it."""

import subprocess
import sys

import pytest

START = """
import sys, torch
from pathlib import Path
from comask.ops import boxes

found = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
scores = torch.tensor([0.5, 0.6, 0.1])
"""
ALONE = """
assert boxes.nms(found, scores, 0.5).tolist() == [1, 2]
assert boxes.nms(found, scores, 0.95).tolist() == [0, 1, 2]
assert "torchvision" not in sys.modules
"""
TORCHVISION_AFTER_IT = """
boxes.nms(found, scores, 0.5)
import torchvision.ops
assert torchvision.ops.nms(found, scores, 0.5).tolist() == [1, 2]
"""
NO_LIBRARY_FOUND = """
Path.glob = lambda self, pattern: iter(())
assert boxes.nms(found, scores, 0.5).tolist() == [1, 2]
assert "torchvision" in sys.modules
"""
NO_LIBRARY_LOADS = """
load = torch.ops.load_library
def refuse(path):
    if "torchvision" in sys.modules:
        return load(path)
    raise OSError("of another system")
torch.ops.load_library = refuse
assert boxes.nms(found, scores, 0.5).tolist() == [1, 2]
"""


@pytest.mark.parametrize(
    "way",
    [
        ALONE,
        pytest.param(TORCHVISION_AFTER_IT, marks=pytest.mark.slow),
        pytest.param(NO_LIBRARY_FOUND, marks=pytest.mark.slow),
        pytest.param(NO_LIBRARY_LOADS, marks=pytest.mark.slow),
    ],
)
def test_boxes_are_suppressed(way: str) -> None:
    done = subprocess.run([sys.executable, "-c", START + way], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
