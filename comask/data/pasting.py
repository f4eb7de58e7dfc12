"""Copy and paste (Ghiasi et al., 2021): objects of one training view put into another."""

from dataclasses import replace

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from comask.data.transforms import MIN_SIDE, tight_box
from comask.structures import Target

Pixels = NDArray[np.uint8]
View = tuple[Pixels, Target]  # (h, w, 3) uint8 RGB and its truth
MIN_LEFT = 0.1  # of an object's pixels: what is covered beyond that is no longer taught


def paste(base: View, donor: View, rng: Generator) -> View:
    """Put some objects of ``donor`` into ``base``, somewhere: they cover what was there.

    About half of the donor's objects are taken; crowds are not. Covered objects lose what is
    covered; those of which less than a tenth is left are dropped, crowd regions never. What the
    image is annotated for stays as it was: a pasted object is annotated, whatever its class.
    """
    pixels, target = base
    masks, labels, source = _moved(donor, pixels.shape[:2], rng)
    if not len(masks):
        return base
    cover: NDArray[np.bool_] = masks.max(axis=0) > 0
    mixed = np.where(cover[:, :, None], source, pixels)
    rest, kept = _uncovered(target, cover)
    boxes = [tight_box(mask) for mask in masks]
    return mixed, replace(
        target,
        boxes=torch.cat([_boxes(rest, target, kept), torch.tensor(boxes, dtype=torch.float32)]),
        labels=torch.cat([target.labels[kept], labels]),
        masks=torch.from_numpy(np.concatenate([rest, masks])),
        crowd=torch.cat([target.crowd[kept], torch.zeros(len(masks), dtype=torch.bool)]),
    )


def _moved(donor: View, size: tuple[int, ...], rng: Generator) -> tuple[Pixels, Tensor, Pixels]:
    """Choose objects and shift them: -> (P, h, w), (P,) and the pixels that they are made of."""
    pixels, target = donor
    objects = np.flatnonzero(~target.crowd.numpy())
    chosen = objects[rng.random(len(objects)) < 0.5]
    whole = target.masks.numpy()
    masks = np.zeros((len(chosen), *size), dtype=np.uint8)
    source = np.zeros((*size, 3), dtype=np.uint8)
    (to_y, from_y), (to_x, from_x) = (
        _shift(own, other, rng) for own, other in zip(size, pixels.shape[:2], strict=True)
    )
    masks[:, to_y, to_x] = whole[chosen][:, from_y, from_x]
    source[to_y, to_x] = pixels[from_y, from_x]
    large = [row for row, mask in enumerate(masks) if _is_large(mask)]
    return masks[large], target.labels[chosen[large]], source


def _shift(own: int, other: int, rng: Generator) -> tuple[slice, slice]:
    """Lay one length over another, somewhere, so that the shorter lies in the longer."""
    gap = own - other
    start = int(rng.integers(0, abs(gap) + 1))
    length = min(own, other)
    inner, outer = slice(0, length), slice(start, start + length)
    return (outer, inner) if gap >= 0 else (inner, outer)


def _uncovered(target: Target, cover: NDArray[np.bool_]) -> tuple[Pixels, Tensor]:
    """Take the covered pixels off: -> the masks that stay (K, h, w) and their rows (K,)."""
    masks = target.masks.numpy()
    rest = np.where(cover, np.uint8(0), masks)
    before, after = masks.sum(axis=(1, 2), dtype=np.int64), rest.sum(axis=(1, 2), dtype=np.int64)
    crowd = target.crowd.numpy()
    seen = np.array([_is_large(mask) for mask in rest], dtype=np.bool_)
    kept = np.flatnonzero(crowd | (before == after) | (seen & (after >= MIN_LEFT * before)))
    return rest[kept], torch.from_numpy(kept)


def _boxes(rest: Pixels, target: Target, kept: Tensor) -> Tensor:
    """Keep the boxes of objects that nothing covers; the others get the box of their rest."""
    boxes = target.boxes[kept].clone()
    for row, (mask, old) in enumerate(zip(rest, kept.tolist(), strict=True)):
        if not target.crowd[old] and int(mask.sum()) != int(target.masks[old].sum()):
            boxes[row] = torch.tensor(tight_box(mask), dtype=torch.float32)
    return boxes


def _is_large(mask: Pixels) -> bool:
    x1, y1, x2, y2 = tight_box(mask)
    return min(x2 - x1, y2 - y1) > MIN_SIDE
