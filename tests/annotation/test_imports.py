import subprocess
import sys

import pytest

WALK = """
import importlib, pkgutil, sys
import comask.annotation as room

heavy = {"torch", "torchvision", "pandas", "matplotlib"}
names = [found.name for found in pkgutil.walk_packages(room.__path__, room.__name__ + ".")]
assert len(names) > 10, names
for name in names:
    importlib.import_module(name)
    assert not heavy & set(sys.modules), f"{name} brings {heavy & set(sys.modules)}"
"""
HELP = """
import sys
from comask.cli import main

assert main(sys.argv[1:]) == 0
assert "torch" not in sys.modules
"""


def run(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, which has imported nothing yet."""
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)


def test_no_module_of_annotations_brings_torch() -> None:
    told = run(WALK)
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_brings_no_torch(words: list[str]) -> None:
    told = run(HELP, *words)
    assert told.returncode == 0, told.stderr
