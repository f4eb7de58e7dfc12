"""Batches of a training, step by step: which images, in which order, and nothing left to chance.

Everything random about step t follows from the seed and t alone, so a training that is resumed at
step t sees what it would have seen without the break.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from comask.data import repeats
from comask.data.coco_dataset import CocoDataset, Draw, Example
from comask.errors import ComaskError
from comask.structures import ImageBatch, Size, Target


@dataclass(frozen=True)
class Batch:
    """Images of one forward pass, padded to a common size, with their truth and seeds."""

    images: ImageBatch
    targets: list[Target]
    seeds: list[int]


@dataclass(frozen=True)
class Share:
    """The part of every step that one process takes: ``rank`` of ``world``, ``images`` a pass."""

    images: int
    rank: int = 0
    world: int = 1


def batches(
    dataset: CocoDataset,
    share: Share,
    passes: range,
    seed: int,
    workers: int = 0,
    factors: Sequence[float] = (),
) -> Iterator[Batch]:
    """Yield one batch a forward pass of ``passes``, for this process.

    ``factors`` tell how often each image is shown an epoch; without them each is once.
    Raises what a worker process stumbled over as if it had happened here.
    """
    draws = _Draws(dataset.sizes, factors, share, passes, seed)
    loader: DataLoader[Example] = DataLoader(
        _Shown(dataset),  # type: ignore[arg-type]  # it is indexed by draws, not by whole numbers
        batch_sampler=draws,
        collate_fn=_collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        # a forked worker would keep this process' pipes and half of its threads' locks
        multiprocessing_context="spawn" if workers else None,
    )
    return _raised(iter(loader))


def collate(examples: Sequence[Example]) -> Batch:
    """Pad views to the largest of them: B x Example -> Batch."""
    return Batch(
        ImageBatch.of([example.image for example in examples]),
        [example.target for example in examples],
        [example.seed for example in examples],
    )


class _Shown:
    """A dataset whose refusals are values: a worker process would dress an exception up."""

    def __init__(self, dataset: CocoDataset) -> None:
        self._dataset = dataset

    def __getitem__(self, draw: Draw) -> Example | ComaskError:
        try:
            return self._dataset[draw]
        except ComaskError as error:
            return error


def _collate(shown: Sequence[Example | ComaskError]) -> Batch | ComaskError:
    for one in shown:
        if isinstance(one, ComaskError):
            return one
    return collate([one for one in shown if isinstance(one, Example)])


def _raised(found: Iterator[Batch | ComaskError]) -> Iterator[Batch]:
    for one in found:
        if isinstance(one, ComaskError):
            raise one
        yield one


class _Draws:
    """The draws of every pass: images of one orientation together, each once an epoch, or as often
    as its factor of repeats says.
    """

    def __init__(
        self,
        sizes: Sequence[Size],
        factors: Sequence[float],
        share: Share,
        passes: range,
        seed: int,
    ) -> None:
        self._wide = np.array([width > height for height, width in sizes])
        self._factors = np.array(factors or [1.0] * len(sizes))
        self._share, self._passes, self._seed = share, passes, seed

    def __len__(self) -> int:
        return len(self._passes)

    def __iter__(self) -> Iterator[list[Draw]]:
        together = self._share.images * self._share.world
        per_epoch = len(self._epoch(0, together))
        epoch, order = -1, np.zeros((0, 0), dtype=np.int64)
        for number in self._passes:
            if number // per_epoch != epoch:
                epoch = number // per_epoch
                order = self._epoch(epoch, together)
            rows = order[number % per_epoch]
            first = self._share.rank * self._share.images
            yield [
                Draw(int(rows[slot]), _mix(self._seed, number * together + slot))
                for slot in range(first, first + self._share.images)
            ]

    def _epoch(self, epoch: int, together: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """Shuffle one epoch into rows of ``together`` images; the last row is filled up."""
        rng = np.random.default_rng([self._seed, epoch])
        rows = []
        for wide in (False, True):
            members = np.flatnonzero(self._wide == wide)
            if len(members):
                drawn = self._drawn(members, rng)
                count = -(-len(drawn) // together)
                rows.append(np.resize(drawn, (count, together)))
        return rng.permutation(np.concatenate(rows))

    def _drawn(self, members: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
        if (self._factors == 1.0).all():
            return rng.permutation(members)
        return rng.permutation(repeats.epoch_rows(members, self._factors, rng))


def _mix(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)
