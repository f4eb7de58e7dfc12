"""Tensor values that travel between rooms, in network pixels.

Letters: B images, H x W the padded size, N instances, M truth objects, R proposals, C candidates.
A box is (x1, y1, x2, y2), float32, half-open: pixel i covers [i, i + 1), so a box's width is
x2 - x1 and an image of width W spans 0 .. W. Labels are int64 in 0 .. num_classes - 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the name that all of PyTorch's users know

Size = tuple[int, int]  # (height, width)


@dataclass(frozen=True)
class ImageBatch:
    """Normalised images, zero-padded at the bottom and right to one common size.

    tensor   (B, 3, H, W)  float32
    sizes    B x Size      of the image itself
    padded   B x Size      of the image padded alone, multiples of 32
    """

    tensor: Tensor
    sizes: tuple[Size, ...]
    padded: tuple[Size, ...]

    @classmethod
    def of(cls, images: Sequence[Tensor], multiple: int = 32) -> "ImageBatch":
        """Pad and stack images: B x (3, h, w) -> (B, 3, H, W)."""
        sizes = tuple((int(image.shape[1]), int(image.shape[2])) for image in images)
        padded = tuple((_up(h, multiple), _up(w, multiple)) for h, w in sizes)
        height, width = max(h for h, _ in padded), max(w for _, w in padded)
        stacked = torch.stack(
            [F.pad(i, (0, width - i.shape[2], 0, height - i.shape[1])) for i in images]
        )
        return cls(stacked, sizes, padded)

    def alone(self, indices: Sequence[int]) -> "ImageBatch":
        """Take some images that share one padded size, without the padding of the others."""
        height, width = self.padded[indices[0]]
        tensor = self.tensor[list(indices), :, :height, :width]
        sizes = tuple(self.sizes[i] for i in indices)
        return ImageBatch(tensor, sizes, tuple(self.padded[i] for i in indices))

    def to(self, device: torch.device) -> "ImageBatch":
        """Move the pixels to a device."""
        return ImageBatch(self.tensor.to(device), self.sizes, self.padded)


@dataclass(frozen=True)
class Seen:
    """What the network made of one image before it looked for anything; for boxes by hand.

    levels  P2 .. P6, on the model's device
    view    size of what the network sees; scale: network by image pixels
    size    of the image itself
    """

    levels: tuple[Tensor, ...]
    view: Size
    scale: float
    size: Size

    @property
    def bytes(self) -> int:
        """Count the memory that it holds."""
        return sum(level.numel() * level.element_size() for level in self.levels)


@dataclass(frozen=True)
class Target:
    """The truth of one image, in network pixels.

    boxes      (M, 4)     half-open xyxy
    labels     (M,)       int64
    masks      (M, h, w)  uint8 0 or 1, of the image's own size (not padded)
    crowd      (M,)       bool; crowd regions are never learnt from, only ignored
    annotated  (K,)       bool, the classes that the image is annotated for: what is not annotated
                          may be of any other class; None: all
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor
    crowd: Tensor
    annotated: Tensor | None = None

    def to(self, device: torch.device) -> "Target":
        """Move all tensors to a device."""
        return Target(
            self.boxes.to(device),
            self.labels.to(device),
            self.masks.to(device),
            self.crowd.to(device),
            None if self.annotated is None else self.annotated.to(device),
        )


@dataclass(frozen=True)
class Trace:
    """How each instance came about: its proposal, the votes of pass 1 and what refined it.

    proposals      (N, 4)         the box that the class branch judged
    proposal_rows  (N,)           int64, its row among the image's proposals
    levels         (N, 2)         int64, pyramid level 2 .. 5 that each pass pooled from
    first_masks    (N, 28, 28)    mask logits of pass 1
    votes          (N, 7, 7, 4)   the 49 boxes that pass 1 voted for
    weights        (N, 7, 7)      their weights, 0 .. 1
    """

    proposals: Tensor
    proposal_rows: Tensor
    levels: Tensor
    first_masks: Tensor
    votes: Tensor
    weights: Tensor


class Fate(IntEnum):
    """What became of a candidate: a proposal taken for an object of one class."""

    BELOW = 0  # its class score is not above the threshold
    KEPT = 1  # it is an instance
    SUPPRESSED = 2  # a better candidate of its class overlaps it too much
    CUT = 3  # it survived the NMS, but better ones filled the limit of instances


@dataclass(frozen=True)
class Fates:
    """All that the class branch thought of one image's proposals, and what became of it.

    proposals       (R, 4)  all of them, best first
    rows            (C,)    int64, the proposal of each candidate, ascending
    labels          (C,)    int64
    scores          (C,)    class probability
    fates           (C,)    int8, see ``Fate``
    by              (C,)    int64; KEPT: the instance's row; SUPPRESSED: the candidate that did it,
                            the best one of the class that overlaps by more than the NMS allows;
                            -1 otherwise
    suppressor_iou  (C,)    IoU of the two proposals where SUPPRESSED, else 0
    """

    proposals: Tensor
    rows: Tensor
    labels: Tensor
    scores: Tensor
    fates: Tensor
    by: Tensor
    suppressor_iou: Tensor


@dataclass(frozen=True)
class Detections:
    """What the model found in one image, in network pixels; N may be 0.

    boxes      (N, 4)        refined, half-open xyxy, not clipped to the image
    labels     (N,)          int64 in 0 .. num_classes - 1
    scores     (N,)          class probability, 0 .. 1
    mask_ious  (N,)          predicted IoU of the mask, about 0 .. 1 but not bounded
    masks      (N, 28, 28)   mask logits inside ``mask_boxes``
    mask_boxes (N, 4)        where the masks lie: with collaboration, the boxes themselves
    trace      how it came about
    fates      what became of everything else; None where nobody asked
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    mask_ious: Tensor
    masks: Tensor
    mask_boxes: Tensor
    trace: Trace
    fates: Fates | None = None


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
