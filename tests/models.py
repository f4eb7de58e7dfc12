"""Small models for tests: the tiny preset with everything narrow, and no layer that starts at 0."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from comask.config import (
    ClassHeadConfig,
    DetectionConfig,
    MaskHeadConfig,
    ModelConfig,
    NeckConfig,
    ProposalConfig,
    tiny,
)
from comask.model.comask import CoMask
from comask.structures import ImageBatch


def small_config(neck: NeckConfig | None = None, **changes: Any) -> ModelConfig:
    """Describe a CoMask for 3 classes that takes a second a test."""
    small = replace(
        tiny(),
        num_classes=3,
        neck=neck or NeckConfig(channels=64),
        proposals=ProposalConfig(per_level=100, kept=40),
        class_head=ClassHeadConfig(hidden=32, offset_hidden=32),
        mask_head=MaskHeadConfig(convs=2, hidden=32),
        detection=DetectionConfig(max_instances=10),
    )
    return replace(small, **changes)


def small_model(config: ModelConfig | None = None, seed: int = 0) -> CoMask:
    """Build one in eval mode; offsets and pooling weights, 0 at birth, get values as well."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CoMask(config or small_config()).eval()
        for pool in model.class_head.pool.levels:
            for part in (pool.offsets[-1], pool.pool.conv):
                torch.nn.init.normal_(part.weight, std=0.05)
        # scores far from each other and from the threshold: rounding changes no decision
        torch.nn.init.normal_(model.class_head.score.weight, std=0.5)
        torch.nn.init.normal_(model.mask_head.distance.weight, std=0.05)
        torch.nn.init.constant_(model.mask_head.distance.bias, 0.5)
    return model


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Draw from a normal distribution, the same every time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(*sizes: tuple[int, int]) -> ImageBatch:
    """Make images of noise, each the same whatever stands beside it."""
    return ImageBatch.of([noise(3, h, w, seed=h * 1000 + w) for h, w in sizes])
