"""A whole training: from a COCO folder to a checkpoint, judged on the way, resumable.

The output folder holds ``last.pt`` (everything the next step depends on), ``best.safetensors``
(the weights with the best mask AP), ``last.safetensors``, ``log.jsonl`` and TensorBoard's files.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from comask.annotation.records import Category
from comask.checkpoint import native
from comask.checkpoint.native import CheckpointInfo
from comask.config import ModelConfig, PreprocessingConfig, TrainConfig, from_dict, to_dict
from comask.data.coco_dataset import CocoDataset
from comask.data.loader import Batch, Share, batches
from comask.errors import CheckpointError, InputError
from comask.evaluate.run import evaluate_model
from comask.model.comask import CoMask
from comask.train.loop import Training

STATE = "last.pt"
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where a training reads and writes."""

    annotations: Path
    images: Path
    output: Path
    val_annotations: Path | None = None
    val_images: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a training computes; stored with its state."""

    model: ModelConfig
    preprocessing: PreprocessingConfig
    train: TrainConfig


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How a training runs, without any bearing on what it computes."""

    device: torch.device
    workers: int = 0
    save_every: int = 200  # steps
    judge_every: int = 1000  # steps
    resume: bool = False


def train(
    recipe: Recipe, folders: Folders, pace: Pace, initialise: Callable[[CoMask], None]
) -> Path:
    """Train a model and return the path of its best checkpoint.

    Under ``torchrun`` every process takes its share of each step; the first one writes.
    """
    rank, world = _join_processes(pace.device)
    dataset = CocoDataset(
        folders.annotations, folders.images, recipe.preprocessing, recipe.train.augment
    )
    if not len(dataset):
        raise InputError(f"{folders.annotations} has no image with an object to learn from")
    torch.manual_seed(recipe.train.seed)
    model = CoMask(recipe.model)
    initialise(model)
    training = Training(model, recipe.train, pace.device)
    if pace.resume:
        restore(training, recipe, folders.output / STATE)
    share = Share(recipe.train.images, rank, world)
    accumulate = recipe.train.accumulate
    passes = range(training.step * accumulate, recipe.train.steps * accumulate)
    stream = batches(dataset, share, passes, recipe.train.seed, pace.workers)
    desk = Desk(recipe, folders, dataset.categories) if rank == 0 else None
    _run(training, stream, desk, pace)
    return folders.output / "best.safetensors"


def _run(training: Training, stream: Iterator[Batch], desk: "Desk | None", pace: Pace) -> None:
    steps = training.config.steps
    bar = tqdm(initial=training.step, total=steps, unit="step", disable=desk is None)
    with desk or nullcontext(), bar:
        while training.step < steps:
            losses = training.advance(stream)
            bar.update()
            if desk is None:
                continue
            bar.set_postfix(loss=f"{losses['total']:.3f}")
            desk.note(training, losses)
            last = training.step == steps
            if last or training.step % pace.save_every == 0:
                save(training, desk.recipe, desk.folders.output / STATE)
            if last or training.step % pace.judge_every == 0:
                desk.judge(training)


class Desk:
    """Where the first process writes: the log, TensorBoard and the checkpoints."""

    def __init__(self, recipe: Recipe, folders: Folders, categories: tuple[Category, ...]) -> None:
        folders.output.mkdir(parents=True, exist_ok=True)
        self.recipe, self.folders, self._categories = recipe, folders, categories
        self._board = SummaryWriter(str(folders.output / "tensorboard"))
        self._log = folders.output / "log.jsonl"
        self._started = time.monotonic()

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: object) -> None:
        self._board.close()

    def note(self, training: Training, losses: dict[str, float]) -> None:
        """Write one step's losses down."""
        rate = training.optimizer.param_groups[0]["lr"]
        self._write({"step": training.step, "rate": rate, "losses": losses})
        for name, value in losses.items():
            self._board.add_scalar(f"loss/{name}", value, training.step)

    def judge(self, training: Training) -> None:
        """Write the weights down, and keep them as the best if their mask AP is."""
        with training.averaged():
            metrics = self._metrics(training)
            self._save("last.safetensors", training, metrics)
            if metrics and metrics["segm"]["AP"] > self._best():
                self._save("best.safetensors", training, metrics)
            if not metrics:
                self._save("best.safetensors", training, metrics)
        self._write({"step": training.step, "metrics": metrics})
        for kind, table in metrics.items():
            for name, value in table.items():
                self._board.add_scalar(f"{kind}/{name}", value, training.step)

    def _metrics(self, training: Training) -> dict[str, dict[str, float]]:
        annotations, images = self.folders.val_annotations, self.folders.val_images
        if annotations is None or images is None:
            return {}
        try:
            return evaluate_model(
                training.model.eval(), self._info(training, {}), annotations, images
            )
        finally:
            training.model.train()

    def _best(self) -> float:
        path = self.folders.output / "best.safetensors"
        if not path.exists():
            return -1.0
        metrics = native.read_info(path).training.get("metrics") or {}
        return float(metrics.get("segm", {}).get("AP", -1.0))

    def _save(self, name: str, training: Training, metrics: dict[str, dict[str, float]]) -> None:
        native.save(
            self.folders.output / name, training.model, self._info(training, metrics), half=True
        )

    def _info(self, training: Training, metrics: dict[str, dict[str, float]]) -> CheckpointInfo:
        return CheckpointInfo(
            config=self.recipe.model,
            categories=self._categories,
            preprocessing=self.recipe.preprocessing,
            training={
                "data": self.folders.annotations.parent.name,
                "steps": training.step,
                "settings": to_dict(self.recipe.train),
                "metrics": metrics,
            },
        )

    def _write(self, line: dict[str, Any]) -> None:
        seconds = round(time.monotonic() - self._started, 1)
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"seconds": seconds} | line) + "\n")


def save(training: Training, recipe: Recipe, path: Path) -> None:
    """Write the state beside ``path`` and rename it over."""
    beside = path.with_suffix(".partial")
    content = {"schema": SCHEMA, "recipe": to_dict(recipe), **training.state()}
    with beside.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def restore(training: Training, recipe: Recipe, path: Path) -> None:
    """Take up a state that ``save`` wrote; another recipe is refused."""
    try:
        content = torch.load(path, map_location=training.device, weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing: there is nothing to resume") from error
    except Exception as error:  # the unpickler raises whatever it stumbles over
        raise CheckpointError(f"{path} is not a training state that can be read") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise CheckpointError(f"{path} is not a training state of this version")
    if from_dict(Recipe, content["recipe"]) != recipe:
        raise CheckpointError(f"{path} was trained with other settings; give the same to resume")
    training.restore(content)


def _join_processes(device: torch.device) -> tuple[int, int]:
    """Meet the other processes that ``torchrun`` started: this one's number, and how many."""
    if "WORLD_SIZE" not in os.environ:
        return 0, 1
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return distributed.get_rank(), distributed.get_world_size()
