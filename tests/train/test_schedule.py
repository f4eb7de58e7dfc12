"""The learning rate of every step, by hand."""

import math

import pytest

from comask.config import TrainConfig
from comask.train.schedule import learning_rate


def test_the_rate_grows_in_a_line_from_its_start() -> None:
    # lr (1 - (1 - t / T) (1 - start)): 0.01 / 80 at first, half way the mean of both ends
    config = TrainConfig(learning_rate=0.01, warmup=1000, warmup_start=1 / 80)
    assert learning_rate(0, config) == pytest.approx(0.01 / 80)
    assert learning_rate(500, config) == pytest.approx((0.01 / 80 + 0.01) / 2)
    assert learning_rate(999, config) < 0.01
    assert learning_rate(1000, config) == 0.01


def test_the_rate_drops_to_a_tenth_at_the_start_of_its_epochs() -> None:
    # 24 epochs of 50 steps, drops at the start of the epochs 20 and 23
    config = TrainConfig(steps=1200, learning_rate=0.02, warmup=0)
    rates = {0: 0.02, 999: 0.02, 1000: 0.002, 1149: 0.002, 1150: 0.0002, 1199: 0.0002}
    assert {step: learning_rate(step, config) for step in rates} == pytest.approx(rates)


def test_the_microscopy_schedule() -> None:
    config = TrainConfig(
        steps=30 * 40, learning_rate=0.001, warmup=100, warmup_start=1 / 1000,
        drops=(25 / 30, 28 / 30),
    )  # fmt: skip
    rates = {0: 1e-6, 50: 0.001 * 0.5005, 100: 1e-3, 999: 1e-3, 1000: 1e-4, 1120: 1e-5}
    assert {step: learning_rate(step, config) for step in rates} == pytest.approx(rates)


def test_a_cosine_ends_at_nothing() -> None:
    config = TrainConfig(steps=100, learning_rate=1.0, warmup=0, schedule="cosine")
    quarter = 0.5 * (1 + math.sqrt(0.5))
    rates = {0: 1.0, 25: quarter, 50: 0.5, 75: 1 - quarter, 100: 0.0}
    assert {step: learning_rate(step, config) for step in rates} == pytest.approx(rates)


def test_a_drop_in_the_warm_up_counts_as_well() -> None:
    config = TrainConfig(steps=10, learning_rate=1.0, warmup=10, warmup_start=0.0, drops=(0.5,))
    assert learning_rate(4, config) == pytest.approx(0.4)
    assert learning_rate(5, config) == pytest.approx(0.05)
