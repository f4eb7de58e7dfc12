"""Repeat factor sampling: worked out by hand, and how often images are really drawn."""

from collections import Counter

import numpy as np
import pytest

from comask.data import loader, repeats
from comask.data.loader import Share
from tests.data.test_loader import Numbered

LABELS = [frozenset({0}), frozenset({0, 1}), frozenset({0}), frozenset({0})]


def test_an_image_is_shown_as_its_rarest_class_asks() -> None:
    # class 1 is on 1 of 4 images: sqrt(0.64 / 0.25) = 1.6; class 0 is on all
    assert repeats.factors(LABELS, [None] * 4, 0.64) == pytest.approx([1.0, 1.6, 1.0, 1.0])


def test_a_class_is_rare_among_the_images_annotated_for_it() -> None:
    partly = [frozenset({0}), None, frozenset({0}), frozenset({0})]
    # class 1 could only have been seen on one image, and is there
    assert repeats.factors(LABELS, partly, 0.64) == [1.0] * 4


def test_without_a_threshold_nothing_is_repeated() -> None:
    assert repeats.factors(LABELS, [None] * 4, 0.0) == [1.0] * 4


def test_an_image_without_a_class_is_shown_once() -> None:
    assert repeats.factors([frozenset(), frozenset({2})], [None, None], 0.9)[0] == 1.0


def test_every_epoch_rounds_each_factor_up_or_down() -> None:
    factor = np.array([1.0, 2.5, 1.0, 1.25, 3.0])
    members = np.array([0, 1, 3, 4])
    sums = np.zeros(5)
    for seed in range(400):
        drawn = repeats.epoch_rows(members, factor, np.random.default_rng(seed))
        assert len(drawn) == 8  # 7.75 rounded
        count = Counter(drawn.tolist())
        assert set(count) == {0, 1, 3, 4}
        sums += [count[row] for row in range(5)]
    # 8 draws are shared out in proportion: 400 epochs, a deviation of at most half a draw each
    expected = factor * 400 * 8 / 7.75
    expected[2] = 0
    np.testing.assert_allclose(sums, expected, atol=45)


def test_the_stream_repeats_and_has_epochs_of_one_length() -> None:
    dataset = Numbered([(2, 3)] * 4)
    factors = [1.0, 3.0, 1.0, 1.0]
    for start in (0, 6):
        taken = loader.batches(dataset, Share(1), range(start, start + 6), 5, 0, factors)  # type: ignore[arg-type]
        shown = Counter(int(batch.images.tensor[0, 0, 0, 0]) for batch in taken)
        assert shown == {0: 1, 1: 3, 2: 1, 3: 1}
