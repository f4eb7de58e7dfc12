"""What a training is given: what it computes, where it reads and writes, how it runs."""

from dataclasses import dataclass
from pathlib import Path

import torch

from comask.config import ModelConfig, PreprocessingConfig, TrainConfig


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
