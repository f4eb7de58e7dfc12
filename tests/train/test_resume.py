"""A training that is stopped and taken up again ends where it would have ended without."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from comask.config import to_dict
from comask.errors import CheckpointError
from comask.train import resume
from comask.train.desk import Desk, cut_log
from comask.train.loop import Training
from comask.train.recipe import Folders, Recipe
from comask.train.run import train
from tests.train.small import settle, small_pace, small_recipe, write_folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return write_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def straight(data: Folders) -> Folders:
    """Train without a break."""
    folders = replace(data, output=data.output / "straight")
    train(small_recipe(), folders, small_pace(), settle)
    return folders


def stop(folders: Folders, name: str, step: int, steps: int = 4) -> None:
    """Train until a method of the desk has done its work at a step, or is about to judge it."""
    original = getattr(Desk, name)

    def interrupted(self: Desk, training: Training, *more: object) -> None:
        if name != "judge":
            original(self, training, *more)
        if training.step == step:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Desk, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(small_recipe(steps=steps), folders, small_pace(), settle)


def state(folders: Folders) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(folders.output / "last.pt", weights_only=True)
    return content


def assert_same(left: object, right: object, at: str = "state") -> None:
    """Compare nested values bit for bit."""
    assert type(left) is type(right), at
    if isinstance(left, Tensor):
        assert torch.equal(left, right), at  # type: ignore[arg-type]
    elif isinstance(left, Mapping):
        assert left.keys() == right.keys(), at  # type: ignore[attr-defined]
        for key in left:
            assert_same(left[key], right[key], f"{at}.{key}")  # type: ignore[index]
    elif isinstance(left, list | tuple):
        for row, pair in enumerate(zip(left, right, strict=True)):  # type: ignore[call-overload]
            assert_same(*pair, f"{at}[{row}]")
    else:
        assert left == right, at


def log(folders: Folders) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folders.output / "log.jsonl").open()]


def losses(folders: Folders) -> list[tuple[int, object]]:
    return [(line["step"], line["losses"]) for line in log(folders) if "losses" in line]


@pytest.mark.slow
def test_stopping_changes_nothing(data: Folders, straight: Folders, tmp_path: Path) -> None:
    folders = replace(data, output=tmp_path / "out")
    stop(folders, "note", 3)  # the newest state is that of step 2
    assert [step for step, _ in losses(folders)] == [1, 2, 3]
    # what a process leaves that is killed while it writes
    (folders.output / "last.partial").write_bytes(b"half a sta")
    with (folders.output / "log.jsonl").open("a") as file:
        file.write('{"seconds": 3.2, "st')

    def refused(model: object) -> None:
        raise AssertionError("a resumed training needs no other weights")

    train(small_recipe(), folders, small_pace(workers=1, resume=True), refused)
    assert_same(state(folders), state(straight))
    kept = [(one.output / "best.safetensors").read_bytes() for one in (folders, straight)]
    assert kept[0] == kept[1]
    assert losses(folders) == losses(straight)
    assert board_steps(folders) == board_steps(straight) == [1, 2, 3, 4]
    seconds = [line["seconds"] for line in log(folders)]
    assert seconds == sorted(seconds)


def board_steps(folders: Folders) -> list[int]:
    """Read the steps that TensorBoard shows."""
    board = EventAccumulator(str(folders.output / "tensorboard"))
    board.Reload()
    return [event.step for event in board.Scalars("loss/total")]


def test_a_finished_training_resumes_to_nothing(straight: Folders) -> None:
    before = state(straight), log(straight), (straight.output / "best.safetensors").read_bytes()
    train(small_recipe(), straight, small_pace(resume=True), settle)
    assert_same(before[0], state(straight))
    assert before[1] == log(straight)
    assert before[2] == (straight.output / "best.safetensors").read_bytes()


def test_a_state_without_its_judgement_is_judged_first(data: Folders, tmp_path: Path) -> None:
    folders = replace(data, output=tmp_path / "out")
    stop(folders, "judge", 2, steps=2)
    assert not (folders.output / "best.safetensors").exists()
    train(small_recipe(steps=2), folders, small_pace(resume=True), settle)
    assert (folders.output / "best.safetensors").exists()
    assert [line["step"] for line in log(folders) if "metrics" in line] == [2]


def test_other_settings_are_refused_by_name(straight: Folders) -> None:
    with pytest.raises(CheckpointError) as refusal:
        train(small_recipe(steps=5), straight, small_pace(resume=True), settle)
    assert str(refusal.value).endswith("give the same to resume: train.steps 4, not 5")


def test_nothing_to_resume_is_said(data: Folders, tmp_path: Path) -> None:
    folders = replace(data, output=tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"last\.pt is missing: there is nothing to resume"):
        train(small_recipe(), folders, small_pace(resume=True), settle)
    assert not folders.output.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a training state that can be read"),
        (b"PK\x03\x04 cut short", "not a training state that can be read"),
        ({"schema": 2}, "not a training state of this version"),
        ({"schema": 1, "recipe": {}}, "of another version: recipe.model is missing"),
        ({"schema": 1, "recipe": "same"}, "a training state with parts missing"),
    ],
)
def test_a_damaged_state_is_refused(
    data: Folders, tmp_path: Path, content: object, reason: str
) -> None:
    if isinstance(content, dict):
        if content.get("recipe") == "same":
            content = content | {"recipe": to_dict(small_recipe())}
        buffer = io.BytesIO()
        torch.save(content, buffer)
        content = buffer.getvalue()
    (tmp_path / "last.pt").write_bytes(content)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=reason):
        train(small_recipe(), replace(data, output=tmp_path), small_pace(resume=True), settle)


def test_a_state_is_written_beside_and_renamed(
    straight: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Half:
        def state(self) -> dict[str, Any]:
            return {}

    old = tmp_path / "last.pt"
    old.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space"):
        resume.save(Half(), small_recipe(), old)  # type: ignore[arg-type]
    assert old.read_bytes() == b"old"


def test_a_log_is_cut_after_the_step(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = [{"seconds": k / 10, "step": k, "losses": {}} for k in range(1, 6)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path.write_text(text + '{"seconds": 0.6, "step": 6, "los')
    assert cut_log(path, 3) == lines[:3]
    assert [json.loads(line) for line in path.open()] == lines[:3]
    assert cut_log(tmp_path / "none.jsonl", 3) == []


@pytest.mark.slow
def test_a_killed_process_is_survived(data: Folders, tmp_path: Path) -> None:
    recipe = small_recipe(steps=12)
    straight = replace(data, output=tmp_path / "straight")
    killed = replace(data, output=tmp_path / "killed")
    run_alone(recipe, straight).wait()
    process = run_alone(recipe, killed)
    deadline = time.monotonic() + 300
    while not (killed.output / "last.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert state(killed)["step"] < 12
    assert run_alone(recipe, killed, "resume").wait() == 0
    assert_same(state(killed), state(straight))
    assert losses(killed) == losses(straight)


def run_alone(recipe: Recipe, folders: Folders, *words: str) -> "subprocess.Popen[bytes]":
    """Train in a process of its own, with two threads."""
    code = (
        "import sys, torch; from pathlib import Path; from tests.train.small import *;"
        "from comask.train.run import train; torch.set_num_threads(2);"
        f"folders = Folders(annotations=Path({str(folders.annotations)!r}),"
        f" images=Path({str(folders.images)!r}), output=Path({str(folders.output)!r}));"
        f"train(small_recipe(steps={recipe.train.steps}), folders,"
        f" small_pace(save_every=3, workers=1, resume={'resume' in words}), settle)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=ROOT)
