"""Small values that tests of several rooms share; every number in them is easy to check by hand."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SQUARE = [1.0, 1.0, 5.0, 1.0, 5.0, 4.0, 1.0, 4.0]  # covers x 1 .. 4, y 1 .. 3: 4 x 3 = 12 px


def coco_content() -> dict[str, Any]:
    """Build a COCO file's content: two images, two categories with a gap, three instances.

    The first is a polygon of 12 px, the second a ring of 9 - 1 px as plain runs, the third a crowd.
    """
    return {
        "info": {"description": "by hand", "year": 2026},
        "licenses": [{"id": 3, "name": "CC0"}],
        "images": [
            {"id": 7, "file_name": "a/x.png", "width": 10, "height": 8, "license": 3},
            {"id": 9, "file_name": "b/x.png", "width": 5, "height": 5},
        ],
        "categories": [
            {"id": 1, "name": "cell", "supercategory": "thing", "keypoints": ["centre"]},
            {"id": 90, "name": "nucleus"},
        ],
        "annotations": [
            {
                "id": 11,
                "image_id": 7,
                "category_id": 1,
                "segmentation": [list(SQUARE)],
                "area": 12.0,
                "bbox": [1.0, 1.0, 4.0, 3.0],
                "iscrowd": 0,
                "note": "kept",
            },
            {
                "id": 12,
                "image_id": 9,
                "category_id": 90,
                # columns 1 .. 3 of rows 1 .. 3, without the middle
                "segmentation": {"size": [5, 5], "counts": [6, 3, 2, 1, 1, 1, 2, 3, 6]},
                "iscrowd": 0,
            },
            {
                "id": 13,
                "image_id": 9,
                "category_id": 1,
                "segmentation": {"size": [5, 5], "counts": "0i0"},  # 0, then all 25
                "iscrowd": 1,
            },
        ],
    }


def write_json(path: Path, content: object) -> Path:
    """Write JSON as Python's own writer does, NaN included."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_picture(path: Path, width: int = 40, height: int = 30, seed: int = 0) -> Path:
    """Write a PNG of coloured noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_checkpoint(path: Path, *, names: dict[int, str] | None = None, seed: int = 0) -> Path:
    """Write a small CoMask with random weights: it finds up to 6 things in any image of 64 px."""
    import torch

    from comask.annotation.records import Category
    from comask.checkpoint import native
    from comask.config import (
        ClassHeadConfig,
        DetectionConfig,
        MaskHeadConfig,
        NeckConfig,
        PreprocessingConfig,
        ProposalConfig,
        tiny,
    )
    from comask.model.comask import CoMask

    categories = tuple(Category(*pair) for pair in (names or {1: "cell", 90: "nucleus"}).items())
    config = replace(
        tiny(),
        num_classes=len(categories),
        neck=NeckConfig(channels=32),
        proposals=ProposalConfig(per_level=50, kept=20),
        class_head=ClassHeadConfig(hidden=16, offset_hidden=16),
        mask_head=MaskHeadConfig(convs=1, hidden=16),
        detection=DetectionConfig(max_instances=6),
    )
    view = PreprocessingConfig(short_side=64, long_side=96)
    torch.manual_seed(seed)
    info = native.CheckpointInfo(config, categories, view, {"data": "noise", "epochs": 0})
    native.save(path, CoMask(config), info)
    return path
