"""How fast the weights move: warm-up, then drops or a cosine (spec section 12)."""

import math

from comask.config import TrainConfig


def learning_rate(step: int, config: TrainConfig) -> float:
    """Give the rate of a step, counted from 0."""
    return config.learning_rate * _warmup(step, config) * _decay(step, config)


def _warmup(step: int, config: TrainConfig) -> float:
    if step >= config.warmup:
        return 1.0
    return 1.0 - (1.0 - step / config.warmup) * (1.0 - config.warmup_start)


def _decay(step: int, config: TrainConfig) -> float:
    done = step / config.steps
    if config.schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))
    return float(0.1 ** sum(done >= drop for drop in config.drops))
