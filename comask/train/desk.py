"""Where a training's first process writes: the log, TensorBoard's files and the checkpoints."""

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from comask.annotation import coco
from comask.annotation.records import Category
from comask.checkpoint import native
from comask.checkpoint.native import CheckpointInfo
from comask.config import to_dict
from comask.data.coco_folders import require_images
from comask.errors import InputError
from comask.evaluate.run import evaluate_model, match_categories
from comask.train import resume
from comask.train.loop import Training
from comask.train.recipe import Folders, Recipe

STATE = "last.pt"
BEST = "best.safetensors"
LAST = "last.safetensors"
LOG = "log.jsonl"
BOARD = "tensorboard"

Metrics = Mapping[str, Mapping[str, float]]  # segm and bbox, twelve numbers each; or nothing


class Desk:
    """The output folder of a training, open while it runs."""

    def __init__(
        self, recipe: Recipe, folders: Folders, categories: tuple[Category, ...], about: str = ""
    ) -> None:
        self.recipe, self.folders, self.about = recipe, folders, about
        self._info = CheckpointInfo(recipe.model, categories, recipe.preprocessing)
        self._judged: set[int] = set()
        self._seconds = 0.0
        if folders.val_annotations and folders.val_images:
            _check_judging(folders.val_annotations, folders.val_images, categories)

    @contextmanager
    def opened(self, step: int) -> Iterator["Desk"]:
        """Open the folder for a training that has done ``step`` steps; later records are undone."""
        self.folders.output.mkdir(parents=True, exist_ok=True)
        lines = cut_log(self._path(LOG), step)
        self._judged = {line["step"] for line in lines if "metrics" in line}
        self._seconds = lines[-1]["seconds"] if lines else 0.0
        self._started = time.monotonic()
        self._board = SummaryWriter(str(self._path(BOARD)), purge_step=step + 1 if step else None)
        try:
            yield self
        finally:
            self._board.close()

    def note(self, training: Training, losses: Mapping[str, float]) -> None:
        """Write one step's losses down."""
        rate = training.optimizer.param_groups[0]["lr"]
        self._write({"step": training.step, "rate": rate, "losses": losses})
        for name, value in losses.items():
            self._board.add_scalar(f"loss/{name}", value, training.step)

    def save(self, training: Training) -> None:
        """Write everything down that the next step depends on."""
        resume.save(training, self.recipe, self._path(STATE))

    def judge(self, training: Training) -> None:
        """Write the weights down, and keep them as the best if their mask AP is; once a step."""
        if training.step in self._judged:
            return
        with training.averaged():
            metrics = self._metrics(training)
            self._keep(LAST, training, metrics)
            if not metrics or metrics["segm"]["AP"] > self._best():
                self._keep(BEST, training, metrics)
        self._write({"step": training.step, "metrics": metrics})
        self._judged.add(training.step)
        for kind, table in metrics.items():
            for name, value in table.items():
                self._board.add_scalar(f"{kind}/{name}", value, training.step)

    def _metrics(self, training: Training) -> Metrics:
        annotations, images = self.folders.val_annotations, self.folders.val_images
        if annotations is None or images is None:
            return {}
        try:
            return evaluate_model(training.model.eval(), self._info, annotations, images)
        finally:
            training.model.train()

    def _best(self) -> float:
        path = self._path(BEST)
        if not path.exists():
            return -math.inf
        metrics = native.read_info(path).training.get("metrics") or {}
        return float(metrics.get("segm", {}).get("AP", -math.inf))

    def _keep(self, name: str, training: Training, metrics: Metrics) -> None:
        record = {
            **({"about": self.about} if self.about else {}),
            "data": self.folders.data,
            "steps": training.step,
            "settings": to_dict(self.recipe.train),
            "metrics": metrics,
        }
        info = replace(self._info, training=record)
        native.save(self._path(name), training.model, info, half=True)

    def _write(self, line: Mapping[str, Any]) -> None:
        seconds = round(self._seconds + time.monotonic() - self._started, 1)
        with self._path(LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"seconds": seconds, **line}) + "\n")

    def _path(self, name: str) -> Path:
        return self.folders.output / name


def check_output(folder: Path) -> None:
    """Refuse a folder that holds another training: its records and its best would mix with ours."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is not a folder to write a training into")
    for name in (STATE, BEST, LAST, LOG, BOARD):
        if (folder / name).exists():
            resumable = "give --resume to go on with it, or " * (folder / STATE).exists()
            raise InputError(
                f"{folder} holds {name} of an earlier training: {resumable}choose another folder"
            )


def cut_log(path: Path, step: int) -> list[dict[str, Any]]:
    """Take out of a log what came after ``step``, and what a crash left half written."""
    if not path.exists():
        return []
    lines = [_line(text) for text in path.read_bytes().splitlines()]
    kept = [line for line in lines if line and line["step"] <= step]
    beside = path.with_suffix(".partial")
    beside.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    beside.replace(path)
    return kept


def _line(text: bytes) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) and {"step", "seconds"} <= line.keys() else {}


def _check_judging(annotations: Path, images: Path, categories: tuple[Category, ...]) -> None:
    """Find out before the first step what would end the training at its first judgement."""
    truth = coco.read(annotations)
    try:
        match_categories(categories, truth.categories)
    except InputError as error:
        raise InputError(f"{annotations} can't judge this training: {error}") from error
    require_images(images, [image.file_name for image in truth.images])
