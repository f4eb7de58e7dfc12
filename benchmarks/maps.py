"""How long do all maps of all levels take, beside a forward pass?

In turns in one process: ``Predictor.predict``, and what the page Inspect needs for its matrices of
an image that it has not looked at: the look, every activation map by each reduction, every branch's
contribution; then the same over a look that is there. Printed are medians, and the median of the
ratios to ``predict`` round by round, which a busy machine bends less than seconds.

    python benchmarks/maps.py [--preset r50] [--size 800x1333] [--rounds 5]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from comask.analysis import Look, contributions_of, look, reduced
from comask.annotation.records import Category
from comask.checkpoint.native import CheckpointInfo
from comask.config import PRESETS, PreprocessingConfig
from comask.model.comask import CoMask
from comask.predict import Predictor


def main() -> None:
    """Time all of it and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="r50")
    parser.add_argument("--size", default="800x1333", help="height x width of the image")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.manual_seed(0)
    config = PRESETS[given.preset]()
    categories = tuple(Category(n + 1, f"class {n + 1}") for n in range(config.num_classes))
    info = CheckpointInfo(config, categories, PreprocessingConfig())
    predictor = Predictor(CoMask(config).eval(), info, device="cpu")
    height, width = map(int, given.size.split("x"))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    seen = look(predictor, image)
    work: dict[str, Callable[[], object]] = {
        "predict": lambda: predictor.predict(image),
        "look": lambda: look(predictor, image),
        "activation matrix": lambda: activations(look(predictor, image), "norm"),
        "contribution matrix": lambda: contributions_of(look(predictor, image)),
        "norm, look there": lambda: activations(seen, "norm"),
        "PCA, look there": lambda: activations(seen, "pca"),
        "contribution, look there": lambda: contributions_of(seen),
    }
    print(f"{given.preset}, {height} x {width}; {given.rounds} rounds; {seen.bytes / 1e6:.0f} MB")
    times: dict[str, list[float]] = {name: [] for name in work}
    for run in work.values():
        run()
    for _ in range(given.rounds):
        for name, run in work.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    print(f"{'':26}{'ms':>8}{'x predict':>11}")
    for name, taken in times.items():
        ratios = [one / base for one, base in zip(taken, times["predict"], strict=True)]
        print(f"{name:26}{1000 * statistics.median(taken):8.0f}{statistics.median(ratios):11.2f}")


def activations(seen: Look, how: str) -> int:
    """Draw every map of every level."""
    maps = [reduced(level.map(name), how) for level in seen.levels for name in level.names]  # type: ignore[arg-type]
    return len(maps)


if __name__ == "__main__":
    main()
