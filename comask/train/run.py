"""A whole training: from a COCO folder to a checkpoint, judged on the way, resumable.

The output folder holds ``last.pt`` (everything the next step depends on), ``best.safetensors``
(the weights with the best mask AP, or the newest where nothing judges), ``last.safetensors``,
``log.jsonl`` and TensorBoard's files.

Under ``torchrun`` several processes share every step. Images are drawn, and losses divided, as one
process would with the images of all: it is one training, however many work on it. Two things stay a
process' own: it pads its images to the largest of its own, and it draws at most
``mask_head.sampled`` regions for the mask head.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed
from tqdm import tqdm

from comask.data.coco_dataset import CocoDataset
from comask.data.loader import Batch, Share, batches
from comask.errors import InputError
from comask.model.comask import CoMask
from comask.train import resume
from comask.train.desk import BEST, STATE, Desk, check_output
from comask.train.loop import Training
from comask.train.recipe import Folders, Pace, Recipe

PATIENCE = timedelta(days=2)  # the others wait while the first process judges


def train(
    recipe: Recipe, folders: Folders, pace: Pace, initialise: Callable[[CoMask], None]
) -> Path:
    """Train a model and return the path of its best checkpoint.

    Under ``torchrun`` every process takes its share of each step; the first one writes.
    """
    if not pace.resume:
        check_output(folders.output)
    with _together(pace.device):
        share = _share(recipe.train.images)
        augment = recipe.train.augment
        dataset = CocoDataset(folders.sources, recipe.preprocessing, augment)
        if not len(dataset):
            raise InputError(f"{folders.named} has no image with an object to learn from")
        desk = Desk(recipe, folders, dataset.categories, pace.about) if share.rank == 0 else None
        training = _begin(recipe, folders, pace, initialise)
        accumulate = recipe.train.accumulate
        passes = range(training.step * accumulate, recipe.train.steps * accumulate)
        factors = dataset.repeats(recipe.train.repeat_rare)
        stream = batches(dataset, share, passes, recipe.train.seed, pace.workers, factors)
        with desk.opened(training.step) if desk else nullcontext():
            _run(training, stream, desk, pace)
    return folders.output / BEST


def _begin(
    recipe: Recipe, folders: Folders, pace: Pace, initialise: Callable[[CoMask], None]
) -> Training:
    torch.manual_seed(recipe.train.seed)
    model = CoMask(recipe.model)
    if not pace.resume:
        initialise(model)
    training = Training(model, recipe.train, pace.device)
    if pace.resume:
        resume.restore(training, recipe, folders.output / STATE)
    return training


def _run(training: Training, stream: Iterator[Batch], desk: Desk | None, pace: Pace) -> None:
    steps = training.config.steps

    def is_due(every: int) -> bool:
        return training.step == steps or training.step % every == 0

    if desk and training.step and is_due(pace.judge_every):
        desk.judge(training)  # it may have been stopped between a step's saving and its judgement
    with tqdm(initial=training.step, total=steps, unit="step", disable=desk is None) as bar:
        while training.step < steps:
            losses = training.advance(stream)
            bar.update()
            if desk is None:
                continue
            bar.set_postfix(loss=f"{losses['total']:.3f}")
            desk.note(training, losses)
            if is_due(pace.save_every):
                desk.save(training)
            if is_due(pace.judge_every):
                desk.judge(training)


@contextmanager
def _together(device: torch.device) -> Iterator[None]:
    """Meet the other processes that ``torchrun`` started, and part when all are done."""
    if "WORLD_SIZE" not in os.environ or distributed.is_initialized():
        yield
        return
    if device.type == "cuda" and device.index is None:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    kind = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(kind, timeout=PATIENCE)
    try:
        yield
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def _share(images: int) -> Share:
    if not distributed.is_initialized():
        return Share(images)
    return Share(images, distributed.get_rank(), distributed.get_world_size())
