"""A large COCO file opens in bounded memory; its size is a fifth of the benchmark's.

How long it takes is what ``benchmarks/datasets.py`` says, and no test's affair.
"""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "datasets.py"
IMAGES, EACH = 20_000, 8


def measure(part: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, str(BENCHMARK), "--part", part, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_a_large_file_opens_in_less_memory_than_json_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCHMARK.parent)  # as where a script of that folder is run
    runpy.run_path(str(BENCHMARK))["generate"](tmp_path, IMAGES, EACH)
    plain = measure("json.load", tmp_path)
    made = measure("make the index", tmp_path)
    again = measure("open it again", tmp_path)
    asked = measure("the grid", tmp_path)  # and each question has an answer
    assert made["annotations"] == again["annotations"] == IMAGES * EACH
    assert made["peak MB"] < 0.5 * plain["peak MB"]
    assert again["peak MB"] < 150
    assert asked["peak MB"] < 0.5 * plain["peak MB"]
