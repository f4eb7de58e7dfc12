"""What a training is given: what it computes, where it reads and writes, how it runs."""

from dataclasses import dataclass
from pathlib import Path

import torch

from comask.config import ModelConfig, PreprocessingConfig, TrainConfig
from comask.data.coco_folders import CocoFolder


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where a training reads and writes; ``more`` is learnt from beside the first folder."""

    annotations: Path
    images: Path
    output: Path
    val_annotations: Path | None = None
    val_images: Path | None = None
    more: tuple[CocoFolder, ...] = ()

    @property
    def sources(self) -> tuple[CocoFolder, ...]:
        """List all that is learnt from."""
        return (CocoFolder(self.annotations, self.images), *self.more)

    @property
    def named(self) -> str:
        """Name the annotation files, as a message does."""
        return " and ".join(str(source.annotations) for source in self.sources)

    @property
    def data(self) -> str:
        """Name the sets, as a checkpoint's record does."""
        return " + ".join(source.annotations.parent.name for source in self.sources)


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
    about: str = ""  # what the checkpoint is for, in a few words
