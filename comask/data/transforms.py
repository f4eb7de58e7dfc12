"""From an upright RGB image and its truth to network pixels, at test time and in training.

Letters: H x W the image, h x w the network's view of it, M instances. Random choices come from a
``numpy`` generator that the caller seeds, so a draw can be repeated.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from comask.config import AugmentConfig, PreprocessingConfig
from comask.data.images import fit_size, resize
from comask.structures import Size, Target

Pixels = NDArray[np.uint8]
MIN_SIDE = 2.0  # network pixels: what a crop leaves of an instance is kept if wider and higher


@dataclass(frozen=True)
class Truth:
    """The annotated instances of one image, in image pixels.

    boxes   (M, 4)     float32, half-open xyxy
    labels  (M,)       int64 in 0 .. num_classes - 1
    masks   (M, H, W)  uint8 0 or 1
    crowd   (M,)       bool
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: Pixels
    crowd: NDArray[np.bool_]


def prepare(pixels: Pixels, config: PreprocessingConfig) -> tuple[Tensor, float]:
    """Make the network's input: (H, W, 3) uint8 RGB -> (3, h, w) float32 and the scale h / H."""
    scale, size = fit_size(pixels.shape[:2], config.short_side, config.long_side)
    return normalise(resize(pixels, size), config), scale


def normalise(pixels: Pixels, config: PreprocessingConfig) -> Tensor:
    """Centre and scale the channels: (h, w, 3) uint8 RGB -> (3, h, w) float32."""
    mean = np.array(config.mean, dtype=np.float32)
    factor = np.float32(1.0) / np.array(config.std, dtype=np.float32)
    values = (np.arange(256, dtype=np.float32)[:, None] - mean) * factor  # all that there can be
    made = np.empty((3, *pixels.shape[:2]), dtype=np.float32)
    for channel, plane in enumerate(cv2.split(np.ascontiguousarray(pixels))):
        cv2.LUT(plane, values[:, channel], made[channel])
    return torch.from_numpy(made)


@dataclass(frozen=True)
class Window:
    """The part of an image that a training view shows: image pixels, then its network size."""

    x: int
    y: int
    width: int
    height: int
    size: Size  # (h, w), network pixels


def choose_window(
    size: Size, preprocessing: PreprocessingConfig, augment: AugmentConfig, rng: Generator
) -> Window:
    """Draw a scale and a place: (H, W) -> Window, the whole image where no crop is asked for."""
    height, width = size
    scale, whole = fit_size(size, preprocessing.short_side, preprocessing.long_side)
    low, high = np.log(augment.scale_low), np.log(augment.scale_high)
    factor = float(np.exp(rng.uniform(low, high)))
    if factor != 1.0:
        scale *= factor
        whole = (max(int(height * scale + 0.5), 1), max(int(width * scale + 0.5), 1))
    if not augment.crop or max(whole) <= augment.crop:
        return Window(0, 0, width, height, whole)
    view_h, view_w = min(whole[0], augment.crop), min(whole[1], augment.crop)
    part_h = min(max(round(view_h / scale), 1), height)
    part_w = min(max(round(view_w / scale), 1), width)
    y, x = int(rng.integers(0, height - part_h + 1)), int(rng.integers(0, width - part_w + 1))
    return Window(x, y, part_w, part_h, (view_h, view_w))


def view(
    pixels: Pixels, truth: Truth, window: Window, augment: AugmentConfig, rng: Generator
) -> tuple[Pixels, Target]:
    """Cut, resize, mirror, turn and tint: (H, W, 3) and its truth -> (h, w, 3) and a Target."""
    part = (slice(window.y, window.y + window.height), slice(window.x, window.x + window.width))
    shown = resize(np.ascontiguousarray(pixels[part]), window.size)
    masks = _resize_masks(truth.masks[:, *part], window.size)
    boxes, kept = _boxes_in(truth, masks, window)
    masks, labels, crowd = masks[kept], truth.labels[kept], truth.crowd[kept]
    if rng.random() < augment.flip:
        shown, masks, boxes = _mirror(shown, masks, boxes)
    if augment.turns:
        for _ in range(int(rng.integers(0, 4))):
            shown, masks, boxes = _turn(shown, masks, boxes)
    if augment.colour:
        shown = _tint(shown, augment.colour, rng)
    target = Target(
        boxes=torch.from_numpy(np.ascontiguousarray(boxes)),
        labels=torch.from_numpy(labels),
        masks=torch.from_numpy(np.ascontiguousarray(masks)),
        crowd=torch.from_numpy(crowd),
    )
    return shown, target


def _resize_masks(masks: Pixels, size: Size) -> Pixels:
    height, width = size
    resized = np.zeros((len(masks), height, width), dtype=np.uint8)
    for row, mask in enumerate(masks):
        cv2.resize(
            np.ascontiguousarray(mask), (width, height), resized[row], 0, 0, cv2.INTER_NEAREST
        )
    return resized


def _boxes_in(
    truth: Truth, masks: Pixels, window: Window
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Carry boxes into the window; an instance that the window cuts gets the box of its rest."""
    height, width = window.size
    scale = np.array([width / window.width, height / window.height] * 2, dtype=np.float32)
    offset = np.array([window.x, window.y] * 2, dtype=np.float32)
    boxes = (truth.boxes - offset) * scale
    limit = np.array([width, height] * 2, dtype=np.float32)
    cut = np.any((boxes < -0.5) | (boxes > limit + 0.5), axis=1)
    boxes = np.clip(boxes, 0, limit)
    for row in np.flatnonzero(cut):
        boxes[row] = tight_box(masks[row])
    sides = boxes[:, 2:] - boxes[:, :2]
    smallest = np.where(cut[:, None], MIN_SIDE, 0.0)
    kept = np.flatnonzero((sides > smallest).all(axis=1))
    return boxes[kept], kept


def tight_box(mask: Pixels) -> tuple[float, float, float, float]:
    """Find the half-open box of a mask's pixels, x1, y1, x2, y2; zeros where it has none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return (0.0, 0.0, 0.0, 0.0)
    return (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


_View = tuple[Pixels, Pixels, NDArray[np.float32]]


def _mirror(pixels: Pixels, masks: Pixels, boxes: NDArray[np.float32]) -> _View:
    width = pixels.shape[1]
    mirrored = boxes[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1], dtype=np.float32)
    mirrored += np.array([width, 0, width, 0], dtype=np.float32)
    return pixels[:, ::-1], masks[:, :, ::-1], mirrored


def _turn(pixels: Pixels, masks: Pixels, boxes: NDArray[np.float32]) -> _View:
    """Turn by a quarter against the clock: (x, y) -> (y, W - x)."""
    width = pixels.shape[1]
    x1, y1, x2, y2 = boxes.T
    turned = np.stack([y1, width - x2, y2, width - x1], axis=1).astype(np.float32)
    return np.rot90(pixels), np.rot90(masks, axes=(1, 2)), turned


def _tint(pixels: Pixels, strength: float, rng: Generator) -> Pixels:
    """Vary contrast, brightness and the balance of the channels."""
    gain = np.exp(rng.uniform(-strength, strength) + rng.uniform(-strength, strength, 3) * 0.25)
    shift = rng.uniform(-strength, strength) * 40.0
    middle = pixels.mean(dtype=np.float64)
    changed = (pixels.astype(np.float32) - middle) * gain.astype(np.float32) + (middle + shift)
    tinted: Pixels = np.clip(changed, 0, 255).astype(np.uint8)
    return tinted
