"""Repeat factor sampling (Gupta et al., LVIS, 2019): images with rare classes are shown more."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Labels = frozenset[int]


def factors(
    classes: Sequence[Labels], annotated: Sequence[Labels | None], rare: float
) -> list[float]:
    """Tell how often each image is shown in an epoch, 1 or more.

    A class on a share f of the images that are annotated for it asks for sqrt(rare / f); an image
    takes the most that a class of its own asks for.
    """
    shown = Counter(label for labels in classes for label in labels)
    everywhere = sum(labels is None for labels in annotated)
    partly = Counter(label for labels in annotated for label in labels or ())
    share = {label: count / (everywhere + partly[label]) for label, count in shown.items()}
    asked = {label: max(1.0, (rare / share[label]) ** 0.5) for label in shown}
    return [max((asked[label] for label in labels), default=1.0) for labels in classes]


def epoch_rows(
    members: NDArray[np.intp], factor: NDArray[np.float64], rng: Generator
) -> NDArray[np.intp]:
    """Draw one epoch of ``members``: each as often as its factor says, rounded up or down.

    Systematic sampling: the number of draws is always the same, the factors' sum rounded.
    """
    order = rng.permutation(members)
    total = factor[order].sum()
    count = max(round(float(total)), 1)
    marks = (np.arange(count) + rng.random()) * (total / count)
    rows: NDArray[np.intp] = order[
        np.searchsorted(np.cumsum(factor[order]), marks, side="right").clip(0, len(order) - 1)
    ]
    return rows
