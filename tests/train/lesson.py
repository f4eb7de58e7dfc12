"""One step of a small training, run by as many processes as share it; each leaves what it found."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

from comask.data.loader import Batch, Share, batches
from comask.structures import Target
from comask.train.loop import Training
from comask.train.recipe import Folders
from tests.train.small import CPU, opened, small_recipe, small_start

IMAGES = 2  # of a pass, of all processes together


@dataclass(frozen=True)
class Case:
    """What a step is made of: passes, and images of the first pass that have no objects."""

    name: str
    accumulate: int = 1
    empty: tuple[int, ...] = ()


CASES = (
    Case("plain"),
    Case("one process without objects", empty=(1,)),
    Case("two passes, one without objects", accumulate=2, empty=(0,)),
    Case("nothing at all", empty=(0, 1)),
)


def work(rank: int, world: int, folders: Folders, out: Path) -> None:
    """Take every case's step as process ``rank``; called by ``torch.multiprocessing.spawn``."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{out / 'meeting'}",
        rank=rank,
        world_size=world,
        timeout=timedelta(minutes=10),
    )
    try:
        for case in CASES:
            torch.save(
                take(case, folders, Share(IMAGES // world, rank, world)), out / file(case, rank)
            )
    finally:
        distributed.destroy_process_group()


def take(case: Case, folders: Folders, share: Share) -> dict[str, object]:
    """Take one step: its losses, its gradients and the weights it leaves, by name."""
    recipe = small_recipe(images=share.images, accumulate=case.accumulate)
    training = Training(small_start(recipe.model), recipe.train, CPU)
    passes = batches(opened(folders, recipe), share, range(case.accumulate), recipe.train.seed)
    first = share.rank * share.images
    shown = [emptied(batch, [r - first for r in case.empty]) for batch in passes]
    losses = training.advance(iter(shown))
    named = dict(training.model.named_parameters())
    gradients = {name: w.grad for name, w in named.items() if w.grad is not None}
    weights = {name: w.detach() for name, w in named.items()}
    return {"losses": losses, "gradients": gradients, "weights": weights}


def file(case: Case, rank: int) -> str:
    return f"{case.name} {rank}.pt"


def emptied(batch: Batch, rows: list[int]) -> Batch:
    """Take the objects out of some images of a batch."""

    def without(target: Target) -> Target:
        return Target(target.boxes[:0], target.labels[:0], target.masks[:0], target.crowd[:0])

    targets = [without(t) if row in rows else t for row, t in enumerate(batch.targets)]
    return Batch(batch.images, targets, batch.seeds)
