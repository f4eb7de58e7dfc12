"""A COCO folder and a recipe so small that a step takes a fraction of a second."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from comask.annotation import rle
from comask.config import (
    AugmentConfig,
    BackboneConfig,
    ClassHeadConfig,
    MaskHeadConfig,
    ModelConfig,
    NeckConfig,
    PreprocessingConfig,
    ProposalConfig,
    TrainConfig,
)
from comask.data.coco_dataset import CocoDataset
from comask.model.comask import CoMask
from comask.structures import Size
from comask.train.recipe import Folders, Pace, Recipe
from tests.models import noise, small_config, small_model

CPU = torch.device("cpu")
SIDE = 96
SQUARE = (SIDE, SIDE)


def small_model_config(**changes: Any) -> ModelConfig:
    """Describe a CoMask for one class that samples few of everything."""
    config = small_config(
        NeckConfig(channels=32, branches=2),  # more would leave levels of one pixel
        num_classes=1,
        backbone=BackboneConfig(kind="mobilenet_v2", frozen_stages=0),
        proposals=ProposalConfig(
            anchor_scales=(4.0,), per_level=50, kept=20, train_per_level=50, train_kept=30,
            sampled=32,
        ),
        class_head=ClassHeadConfig(hidden=32, offset_hidden=32, sampled=24, positive_share=0.5),
        mask_head=MaskHeadConfig(convs=2, hidden=32),
    )  # fmt: skip
    return replace(config, **changes)


def small_recipe(model: ModelConfig | None = None, **train: Any) -> Recipe:
    """Describe a training on images of 96 px."""
    plain: dict[str, Any] = {
        "steps": 4, "images": 1, "optimizer": "adamw", "learning_rate": 1e-3, "warmup": 2,
        "average": 0.9, "augment": AugmentConfig(flip=0.5, turns=True, colour=0.2),
    }  # fmt: skip
    return Recipe(
        model=model or small_model_config(),
        preprocessing=PreprocessingConfig(short_side=SIDE, long_side=2 * SIDE),
        train=TrainConfig(**(plain | train)),
    )


def settle(model: CoMask) -> None:
    """Let every batch norm of a random backbone see some noise, as a trained one has seen images.

    Else the signal fades to 1e-8 on its way down, and rounding is all that is left of it.
    """
    norms = [part for part in model.backbone.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.train().momentum = 1.0
    with torch.no_grad():
        model.backbone(noise(4, 3, SIDE, SIDE))
    for norm in norms:
        norm.eval()


def small_start(config: ModelConfig) -> CoMask:
    """Build a model that any stage of which has something to learn."""
    model = small_model(config)
    settle(model)
    return model


def small_pace(**changes: Any) -> Pace:
    return replace(Pace(device=CPU, save_every=2, judge_every=2), **changes)


def write_folder(
    root: Path, sizes: tuple[Size, ...] = (SQUARE,) * 3, names: tuple[str, ...] = ("disc",)
) -> Folders:
    """Write images of two bright discs each, 1.png, 2.png, ..., and their COCO file."""
    images = root / "images"
    images.mkdir(parents=True)
    content: dict[str, Any] = {
        "images": [],
        "categories": [{"id": 10 * k + 7, "name": name} for k, name in enumerate(names)],
        "annotations": [],
    }
    for number, (height, width) in enumerate(sizes, start=1):
        pixels, discs = draw(number, (height, width))
        Image.fromarray(pixels).save(images / f"{number}.png")
        content["images"].append(
            {"id": number, "file_name": f"{number}.png", "width": width, "height": height}
        )
        content["annotations"] += [
            {
                "id": 100 * number + row,
                "image_id": number,
                "category_id": 10 * (row % len(names)) + 7,
                "segmentation": rle.encode(disc).to_coco(),
                "iscrowd": 0,
            }
            for row, disc in enumerate(discs)
        ]
    file = root / "instances.json"
    file.write_text(json.dumps(content))
    return Folders(annotations=file, images=images, output=root / "out")


def opened(folders: Folders, recipe: Recipe) -> CocoDataset:
    """Open a folder as a training does."""
    return CocoDataset(folders.sources, recipe.preprocessing, recipe.train.augment)


def judged(folders: Folders) -> Folders:
    """Let the training's own images judge it."""
    return replace(folders, val_annotations=folders.annotations, val_images=folders.images)


def draw(seed: int, size: Size) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw two discs in their own halves of an image: (H, W, 3) uint8, 2 x (H, W) bool."""
    rng = np.random.default_rng(seed)
    height, width = size
    y, x = np.mgrid[:height, :width]
    pixels = rng.integers(0, 40, (height, width, 3), np.uint8)
    discs = []
    for centre_x in (width / 4, 3 * width / 4):
        centre_y, radius = (
            rng.uniform(0.4, 0.6) * height,
            rng.uniform(0.15, 0.21) * min(height, width),
        )
        disc = (x - centre_x) ** 2 + (y - centre_y) ** 2 < radius**2
        pixels[disc] = rng.integers(160, 250, 3, np.uint8)
        discs.append(disc)
    return pixels, discs
