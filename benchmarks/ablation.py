"""How long does it take to see an image with something switched off, beside a forward pass?

In turns in one process: ``Predictor.predict``, ``base_run``, and ``ablate`` with each kind of
switch over a base that is there. Printed are medians, and the median of the ratios to ``predict``
round by round, which a busy machine bends less than seconds. CPU is the process' own time on all
threads. Then the list of what became of each instance, for as many planted ones as are asked for.

    python benchmarks/ablation.py [--checkpoint C] [--image FILE] [--rounds 5] [--instances 300]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from comask.analysis import Switches, ablate, base_run, difference
from comask.annotation import rle
from comask.annotation.records import Category
from comask.data import images
from comask.predict import Prediction, PredictionTrace, Predictor

ASSETS = Path(__file__).parent.parent / "assets"
CHECKPOINT = ASSETS / "checkpoints/comask-tiny-nuclei.safetensors"
IMAGE = ASSETS / "samples/microscopy/fluorescence.png"
SIDE = 1000  # image pixels of the planted predictions

Times = tuple[float, float]  # seconds on the clock, and of all threads


def main() -> None:
    """Time all of it and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--image", type=Path, default=IMAGE)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--instances", type=int, default=300)
    given = parser.parse_args()
    predictor = Predictor.from_checkpoint(given.checkpoint, device="cpu")
    pixels = images.load(given.image).pixels
    base = base_run(predictor, pixels)
    work = {"predict": lambda: len(predictor.predict(pixels))}
    work["base_run"] = lambda: len(base_run(predictor, pixels).prediction)
    for name, way in ways(predictor.info.config.neck.branches).items():
        work[name] = lambda way=way: len(ablate(predictor, pixels, way, base=base).prediction)
    print(
        f"{given.image.name}, {pixels.shape[1]} x {pixels.shape[0]}; {given.rounds} rounds; "
        f"a base holds {base.bytes / 1e6:.0f} MB"
    )
    table(work, given.rounds)
    changes(given.instances, given.rounds)


def ways(branches: int) -> dict[str, Switches]:
    """Name one switch of each kind."""
    deepest = Switches.without_branch(min(1, branches - 1))
    return {
        "everything on": Switches(),
        "second pass off": Switches(second_pass=False),
        "votes gated": Switches(votes="gated"),
        "votes plain": Switches(votes="plain"),
        "attention off, P5": Switches.without_attention([5]),
        "attention off, all levels": Switches.without_attention(),
        "deepest branch off, P5": replace(deepest, branches_off=frozenset({(5, 1)})),
        "deepest branch off, P2": replace(deepest, branches_off=frozenset({(2, 1)})),
        "deepest branch off, all levels": deepest,
        "the same in the cascade": replace(deepest, reach="cascade"),
        "all of it off": replace(
            Switches.without_collaboration(),
            attention_off=frozenset({2, 3, 4, 5}),
            branches_off=deepest.branches_off,
            reach="cascade",
        ),
    }


def table(work: dict[str, Callable[[], int]], rounds: int) -> None:
    """Run everything in turns and print it beside ``predict``."""
    found = {name: one() for name, one in work.items()}  # once without a clock
    times: dict[str, list[Times]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, one in work.items():
            times[name].append(timed(one))
    print(f"{'':<32}{'instances':>10}{'ms':>8}{'CPU ms':>8}{'ratio':>7}{'of CPU':>7}")
    for name, taken in times.items():
        clock, cpu = (1000 * statistics.median(one[k] for one in taken) for k in (0, 1))
        pairs = list(zip(taken, times["predict"], strict=True))
        ratios = [statistics.median(one[k] / other[k] for one, other in pairs) for k in (0, 1)]
        print(
            f"{name:<32}{found[name]:>10}{clock:>8.0f}{cpu:>8.0f}{ratios[0]:>7.2f}{ratios[1]:>7.2f}"
        )


def changes(count: int, rounds: int) -> None:
    """Time the list of what became of each instance."""
    before, after = planted(count, seed=1), planted(count, seed=2)
    after = replace(after, boxes=before.boxes + np.float32(0.5), masks=before.masks)
    taken = [timed(lambda: difference(before, after))[0] for _ in range(rounds)]
    print(f"difference of {count} and {count} instances: {1000 * statistics.median(taken):.1f} ms")


def planted(count: int, seed: int) -> Prediction:
    """Put ellipses of one label at random, many of which touch."""
    random = np.random.default_rng(seed)
    radii = random.integers(8, 40, (count, 2))
    corners = random.integers(0, SIDE - 80, (count, 2))
    masks = tuple(
        rle.encode_crop(ellipse(*radius), int(x), int(y), (SIDE, SIDE))
        for radius, (x, y) in zip(radii.tolist(), corners, strict=True)
    )
    none = np.zeros((count, 0), np.float32)
    scores = np.sort(random.random(count, np.float32))[::-1]
    return Prediction(
        size=(SIDE, SIDE),
        boxes=np.concatenate([corners, corners + 2 * radii], axis=1).astype(np.float32),
        labels=np.zeros(count, np.int64),
        class_scores=scores,
        mask_ious=scores,
        scores=scores,
        masks=masks,
        categories=(Category(1, "nucleus"),),
        trace=PredictionTrace(none, none, none, none, none, none, none),
    )


def ellipse(across: int, down: int) -> np.ndarray:
    """Draw one in its own box: (2 down, 2 across)."""
    x = (np.arange(2 * across) + 0.5 - across) / across
    y = (np.arange(2 * down) + 0.5 - down) / down
    return y[:, None] ** 2 + x**2 <= 1


def timed(work: Callable[[], object]) -> Times:
    """Do it once."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


if __name__ == "__main__":
    main()
