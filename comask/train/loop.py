"""The training loop: it hides nothing, and it can be left and taken up again at any step."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD, AdamW, Optimizer

from comask.config import TrainConfig
from comask.data.loader import Batch
from comask.errors import TrainingError
from comask.model.comask import CoMask
from comask.train.schedule import learning_rate
from comask.train.step import TrainingStep

MOMENTUM = 0.9
AVERAGE_WARMUP = 10  # steps: early weights leave the running mean sooner


class Training:
    """A model on its way: weights, their running mean, the optimiser, the number of steps done."""

    def __init__(self, model: CoMask, config: TrainConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.step = 0
        self.model = model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.weights = [p for p in model.parameters() if p.requires_grad]
        self.average = [w.detach().clone() for w in self.weights] if config.average else []
        self.optimizer = _optimizer(model, config)
        self._lesson: nn.Module = TrainingStep(model, config.reading, mean_over_processes)
        if distributed.is_initialized():
            # a level that no region falls on has no gradient in that pass; buffers never change
            self._lesson = DistributedDataParallel(
                self._lesson, find_unused_parameters=True, forward_sync_buffers=False
            )

    def advance(self, batches: Iterator[Batch]) -> dict[str, float]:
        """Take one step over ``accumulate`` batches; returns the losses, unweighted, and sum.

        Each pass divides by its own counts, and the step takes the mean of its passes. That is not
        quite one pass over all the images: a region counts for more in a pass that has fewer.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.config) * group["share"]
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for turn in range(self.config.accumulate):
            with self._quiet(last=turn == self.config.accumulate - 1):
                losses = self._backward(next(batches))
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value / self.config.accumulate
        self._shorten()
        self.optimizer.step()
        self._follow()
        self.step += 1
        return sums

    def _backward(self, batch: Batch) -> dict[str, float]:
        images = batch.images.to(self.device)
        targets = [target.to(self.device) for target in batch.targets]
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.bfloat16):
            losses: dict[str, Tensor] = self._lesson(images, targets, batch.seeds)
        factors = asdict(self.config.losses)
        total = torch.stack([factors[name] * loss for name, loss in losses.items()]).sum()
        found = mean_over_processes(torch.stack([*losses.values(), total]).detach())
        values = dict(zip([*losses, "total"], found.tolist(), strict=True))
        if not math.isfinite(values["total"]):
            raise TrainingError(f"the loss is not finite at step {self.step}: {values}")
        (total / self.config.accumulate).backward()
        return values

    def _shorten(self) -> None:
        gradients = [w.grad for w in self.weights if w.grad is not None]
        length = nn.utils.get_total_norm(gradients)
        if not math.isfinite(length.item()):  # a finite loss is no warrant, in bfloat16 least
            raise TrainingError(f"the gradient is not finite at step {self.step}")
        if self.config.max_norm:
            nn.utils.clip_grads_with_norm_(self.weights, self.config.max_norm, length)

    def _quiet(self, *, last: bool) -> AbstractContextManager[Any]:
        """Let processes exchange gradients in the last pass of a step only."""
        if isinstance(self._lesson, DistributedDataParallel) and not last:
            quiet: AbstractContextManager[Any] = self._lesson.no_sync()
            return quiet
        return nullcontext()

    @torch.no_grad()
    def _follow(self) -> None:
        if self.average:
            decay = min(self.config.average, (1 + self.step) / (AVERAGE_WARMUP + self.step))
            torch._foreach_lerp_(self.average, [w.detach() for w in self.weights], 1.0 - decay)

    def averaged(self) -> AbstractContextManager[None]:
        """Lend the running mean of the weights to the model while the block runs."""
        return _Lent(self.weights, self.average)

    def state(self) -> dict[str, Any]:
        """Collect everything that the next step depends on: plain values and tensors only."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up where ``state`` was collected."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for kept, value in zip(self.average, state["average"], strict=True):
            kept.copy_(value)


def mean_over_processes(value: Tensor) -> Tensor:
    """Take the mean over all processes that share a step; no gradient passes."""
    if not distributed.is_initialized():
        return value
    shared = value.detach().clone()
    distributed.all_reduce(shared)
    return shared / distributed.get_world_size()


class _Lent(AbstractContextManager[None]):
    def __init__(self, weights: list[nn.Parameter], average: list[Tensor]) -> None:
        self._weights, self._average = weights, average

    def __enter__(self) -> None:
        self._exchange()

    def __exit__(self, *_: object) -> None:
        self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for weight, mean in zip(self._weights, self._average, strict=False):
            held = weight.detach().clone()
            weight.copy_(mean)
            mean.copy_(held)


def _optimizer(model: CoMask, config: TrainConfig) -> Optimizer:
    """Make the optimiser of two groups; ``share`` is what of the rate a group takes."""
    backbone = list(model.backbone.parameters())
    of_backbone = {id(weight) for weight in backbone}
    others = [weight for weight in model.parameters() if id(weight) not in of_backbone]
    groups = [
        {"params": [w for w in weights if w.requires_grad], "share": share}
        for weights, share in ((backbone, config.backbone_rate), (others, 1.0))
    ]
    if config.optimizer == "adamw":
        return AdamW(groups, config.learning_rate, weight_decay=config.weight_decay)
    return SGD(groups, config.learning_rate, momentum=MOMENTUM, weight_decay=config.weight_decay)
