"""How long do gestures, the review queue, and undoing a batch take with many labels in the store?

A run puts its proposals on every image, one gesture an image, all of one batch. Then one label
after the other is accepted, the queue is read at its beginning and at its middle in every order,
the ledger is added up, and the whole batch is undone and done again. Printed are medians and 95th
percentiles on the clock, and CPU of this process. SQLite, in the folder that is named: a commit
waits for its disk, so a commit alone is timed beside a gesture, flushed and not.

    python benchmarks/labels.py [--images 10000] [--labels 36] [--folder .]
"""

import argparse
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from comask.annotation import rle
from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Gesture, Label, Sheet, State
from comask.annotation.store import Store

SIZE = (480, 640)
PROJECT, ACTOR = "benchmark", "somebody"
REVIEWED: tuple[State, ...] = ("proposed", "edited")


def main() -> None:
    """Fill a store and time what people wait for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--labels", type=int, default=36)
    parser.add_argument("--folder", type=Path, default=Path())
    given = parser.parse_args()
    names = [f"{number:06}.png" for number in range(given.images)]
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        for mode in ("FULL", "NORMAL"):
            report(f"a commit alone, {mode}", timed_all(commits(Path(folder) / mode, mode)))
        with Store.open(Path(folder) / "store.sqlite") as opened:
            store = LabelStore(opened)
            report(
                f"prelabel, {given.labels} labels", timed_all(prelabel(store, names, given.labels))
            )
            size = sum(path.stat().st_size for path in Path(folder).glob("store*"))
            print(f"{given.images * given.labels:,} labels are {size / 1e6:,.0f} MB")
            report("accept one label", timed_all(accept(store, names[:200])))
            lists(store, given.images * given.labels)
            one("undo the batch", lambda: store.undo(PROJECT, ACTOR, "undo 201"))
            one("do it again", lambda: store.redo(PROJECT, ACTOR, "redo"))
            one("hash of everything", lambda: store.state_hash(PROJECT))
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def commits(place: Path, mode: str) -> list[Callable[[], object]]:
    """Write 3 kB in a transaction of its own, 200 times."""
    base = sqlite3.connect(place, isolation_level=None)
    base.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = {mode}")
    base.execute("CREATE TABLE t (a)")
    return [lambda: base.execute("INSERT INTO t VALUES (?)", ["x" * 3000])] * 200


def prelabel(store: LabelStore, names: list[str], count: int) -> list[Callable[[], object]]:
    """Put proposals on every image, each with its own scores."""
    random = np.random.default_rng(1)
    masks = [blob(random) for _ in range(200)]

    def put(row: int, name: str) -> None:
        scores = random.random((count, 3))
        labels = [
            Label(
                uid=f"m{row}-{k}",
                category=1 + k % 3,
                mask=masks[(row + k) % len(masks)],
                state="proposed",
                origin="model",
                z=k,
                checkpoint="benchmark",
                class_score=float(scores[k, 0]),
                instability=float(scores[k, 1]),
                disagreement=float(scores[k, 2]),
            )
            for k in range(count)
        ]
        gesture = Gesture(f"k{row}", ACTOR, "prelabel", 0, labels, batch="run")
        store.apply(PROJECT, name, gesture, lambda: Sheet(SIZE, row=row))

    return [partial(put, row, name) for row, name in enumerate(names)]


def accept(store: LabelStore, names: list[str]) -> list[Callable[[], object]]:
    """Accept the first label of some images, and undo it."""

    def both(name: str) -> None:
        sheet = store.sheet(PROJECT, name)
        assert sheet is not None
        first = sheet.labels[0]
        put = [Label(first.uid, first.category, first.mask, "accepted", "model", first.z)]
        gesture = Gesture(f"a{name}", ACTOR, "accept", sheet.revision, put, actions=1, seconds=1)
        store.apply(PROJECT, name, gesture, lambda: Sheet(SIZE))

    return [partial(both, name) for name in names]


def lists(store: LabelStore, labels: int) -> None:
    """Read the queue and what else a page shows of a whole project."""
    for order in ("file", "score", "instability", "disagreement"):
        for states in (REVIEWED[:1], REVIEWED):
            for offset in (0, labels // 2):
                name = f"queue by {order}, {len(states)} states, from {offset:,}"
                report(
                    name,
                    timed_all([partial(store.queue, PROJECT, order, states, offset)] * 5),
                )
    report("all sheets", timed_all([lambda: store.sheets(PROJECT)] * 5))
    report("ledger", timed_all([lambda: store.effort(PROJECT)] * 5))
    for number in range(200):
        store.undo(PROJECT, ACTOR, f"undo {number}")


def blob(random: np.random.Generator) -> object:
    """Draw an ellipse somewhere."""
    across, down = random.integers(8, 40, 2)
    x, y = random.integers(0, SIZE[1] - 80), random.integers(0, SIZE[0] - 80)
    grid = np.mgrid[: 2 * down, : 2 * across] + 0.5
    inside = ((grid[0] - down) / down) ** 2 + ((grid[1] - across) / across) ** 2 <= 1
    return rle.encode_crop(inside, int(x), int(y), SIZE)


def timed_all(work: list[Callable[[], object]]) -> list[tuple[float, float]]:
    """Do everything once: seconds on the clock and of this process each."""
    return [timed(one) for one in work]


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Do it once."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def report(name: str, taken: list[tuple[float, float]]) -> None:
    """Print one line of medians."""
    clock = sorted(one[0] for one in taken)
    cpu = statistics.median(one[1] for one in taken)
    late = clock[min(int(0.95 * len(clock)), len(clock) - 1)]
    print(
        f"{name:<48}{1000 * statistics.median(clock):>9.2f} ms, p95 {1000 * late:>8.2f}, "
        f"CPU {1000 * cpu:>8.2f}"
    )


def one(name: str, work: Callable[[], object]) -> None:
    """Do something long once and print what it took."""
    clock, cpu = timed(work)
    print(f"{name:<48}{clock:>9.2f} s, CPU {cpu:.2f} s")


if __name__ == "__main__":
    main()
