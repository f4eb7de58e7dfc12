"""One training step of the authors' code on two images, as their own program recorded it.

Their boxes are inclusive; here they come half-open. Their labels count from 1; here from 0.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from comask.structures import Size, Target

ONE = torch.tensor([0.0, 0.0, 1.0, 1.0])


class Recorded:
    """The arrays of ``train_A.npz`` as tensors, by name."""

    def __init__(self, fixtures: Path) -> None:
        with np.load(fixtures / "train_A.npz") as file:
            self.arrays = {name: file[name] for name in file.files}
        self.sizes: list[Size] = [(int(h), int(w)) for h, w in self.arrays["img_shapes"]]
        self.truth = [self._truth(image) for image in (0, 1)]

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name])

    def boxes(self, name: str) -> Tensor:
        return self[name][:, :4] + ONE

    def loss(self, name: str) -> float:
        return float(self.arrays[f"loss/{name}"].sum())

    def proposals(self) -> list[Tensor]:
        return [self.boxes(f"proposals{image}") for image in (0, 1)]

    def replay(self) -> "Replay":
        """Repeat the whole step: anchors of both images, regions of both, jitter, mask samples."""
        sampled = [self[f"sampler{k}_{kind}_inds"] for k in range(4) for kind in ("pos", "neg")]
        return Replay([*sampled, self["sample_idx"]], self.jitter_draws())

    def jittered(self) -> list[Tensor]:
        return [self.boxes(f"jittered_pos{image}") for image in (0, 1)]

    def matched(self) -> list[Tensor]:
        return [self[f"sampler{image}_pos_assigned_gt_inds"] for image in (2, 3)]

    def jitter_draws(self) -> list[Tensor]:
        """Recover what was drawn from what became of it, in shares of 0.15.

        A side that was cut off at the image's edge is drawn a pixel farther out: it is cut again.
        """
        return [self._draws(image) for image in (0, 1)]

    def mask_targets(self) -> Tensor:
        packed = self.arrays["mask_targets"]  # 28 bits in 4 bytes
        return torch.from_numpy(np.unpackbits(packed, axis=-1)[..., :28]).float()

    def _draws(self, image: int) -> Tensor:
        height, width = self.sizes[image]
        given, made = self.boxes(f"sampler{image + 2}_pos_bboxes"), self.jittered()[image]
        low = torch.where(made[:, :2] <= 0, made[:, :2] - 1, made[:, :2])
        edge = torch.tensor([width, height])
        high = torch.where(made[:, 2:] >= edge, made[:, 2:] + 1, made[:, 2:])
        extent = given[:, 2:] - 1 - given[:, :2]
        shift = (low + high - given[:, :2] - given[:, 2:]) / 2 / extent
        growth = (high - 1 - low) / extent - 1
        return torch.cat([shift, growth], dim=1) / 0.15

    def _truth(self, image: int) -> Target:
        height, width = self.sizes[image]
        masks = torch.from_numpy(np.unpackbits(self.arrays[f"gt_masks{image}"], axis=-1))
        labels = self[f"gt_labels{image}"] - 1
        crowd = torch.zeros(len(labels), dtype=torch.bool)
        return Target(self.boxes(f"gt_boxes{image}"), labels, masks[:, :height, :width], crowd)


@dataclass
class Replay:
    """A sampler that repeats recorded draws and refuses those that could not have been drawn."""

    choices: list[Tensor]
    draws: list[Tensor]

    def choose(self, candidates: Tensor, count: int) -> Tensor:
        chosen = self.choices.pop(0).sort().values
        assert torch.isin(chosen, candidates).all()
        assert len(chosen) == min(count, len(candidates))
        return chosen

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        drawn = self.draws.pop(0)
        assert drawn.shape == shape
        return drawn

    def all_used(self) -> bool:
        return not self.choices and not self.draws
