"""Two processes that share a step do what one would do with the images of both."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, multiprocessing
from torch.testing import assert_close

from comask.checkpoint import native
from comask.config import to_dict
from comask.data.loader import Share
from comask.train.recipe import Folders
from tests.train import lesson
from tests.train.lesson import CASES, Case
from tests.train.small import SQUARE, small_recipe, write_folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return write_folder(tmp_path_factory.mktemp("data"), (SQUARE,) * 4)


@pytest.fixture(scope="module")
def shared(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let two processes take every case's step."""
    out = tmp_path_factory.mktemp("shared")
    multiprocessing.spawn(lesson.work, (2, folders, out), nprocs=2)
    return out


def left(out: Path, case: Case, rank: int) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(out / lesson.file(case, rank), weights_only=True)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_two_processes_find_the_gradients_of_the_double_batch(
    folders: Folders, shared: Path, case: Case
) -> None:
    alone: Any = lesson.take(case, folders, Share(lesson.IMAGES))
    first, second = left(shared, case, 0), left(shared, case, 1)
    assert first["losses"] == second["losses"]
    assert first["losses"] == pytest.approx(alone["losses"], rel=1e-5, abs=1e-7)
    assert first["gradients"].keys() == alone["gradients"].keys()
    for name, gradient in alone["gradients"].items():
        # a bias before a norm of its channel alone has no gradient, but for rounding
        atol = 1e-3 * gradient.abs().max().item() + 1e-6
        assert_close(first["gradients"][name], gradient, rtol=0, atol=atol, msg=name)
    assert distance(first["gradients"], alone["gradients"]) < 1e-5
    for name, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][name]), name


def distance(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> float:
    """Compare whole gradients, as long vectors."""
    flat = [torch.cat([g[name].flatten() for name in wanted]) for g in (found, wanted)]
    return float((flat[0] - flat[1]).norm() / flat[1].norm())


@pytest.mark.slow
def test_torchrun_trains_and_one_process_writes(folders: Folders, tmp_path: Path) -> None:
    recipe = small_recipe(steps=3)
    (tmp_path / "settings.json").write_text(json.dumps(to_dict(recipe)))
    ended = torchrun(folders, tmp_path, "--judge-every", "2", "--save-every", "2")
    assert ended.returncode == 0, ended.stderr
    out = tmp_path / "out"
    assert ended.stdout == f"{out / 'best.safetensors'}\n"
    log = [json.loads(line) for line in (out / "log.jsonl").open()]
    assert [line["step"] for line in log if "losses" in line] == [1, 2, 3]
    assert [line["step"] for line in log if "metrics" in line] == [2, 3]
    assert len(list((out / "tensorboard").iterdir())) == 1
    assert native.read_info(out / "best.safetensors").training["settings"]["steps"] == 3
    # one process with the double batch, to the last digits
    other = replace(recipe, train=replace(recipe.train, images=2))
    (tmp_path / "settings.json").write_text(json.dumps(to_dict(other)))
    assert torchrun(folders, tmp_path, "--output", str(tmp_path / "one"), count=1).returncode == 0
    alone = [json.loads(line) for line in (tmp_path / "one/log.jsonl").open()]
    for line, wanted in zip([line for line in log if "losses" in line], alone, strict=False):
        assert line["losses"] == pytest.approx(wanted["losses"], rel=1e-3, abs=1e-4)


@pytest.mark.slow
def test_torchrun_ends_when_an_image_is_missing(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps(to_dict(small_recipe(steps=3))))
    broken = write_folder(tmp_path / "data", (SQUARE,) * 4)
    (broken.images / "2.png").write_bytes(b"no image")
    ended = torchrun(broken, tmp_path)
    assert ended.returncode != 0
    assert "2.png" in ended.stderr


def torchrun(
    folders: Folders, tmp_path: Path, *words: str, count: int = 2
) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count),
        "--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0",
        "-m", "comask.cli", "train", "--annotations", folders.annotations,
        "--images", folders.images, "--val-annotations", folders.annotations,
        "--val-images", folders.images, "--output", tmp_path / "out", "--init", "none",
        "--settings", tmp_path / "settings.json", "--device", "cpu", *words,
    ]  # fmt: skip
    return subprocess.run(
        [str(word) for word in command],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
