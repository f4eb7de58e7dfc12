"""What does a pre-label run spend its time on, and how near does it come to the bare network?

A run over images puts what it finds into a new store, its labels too, and writes the COCO file, as
``comask prelabel --labels`` does. The bare network runs over the same images, prepared before, and
nothing else. Both take turns in one process. Printed is where a run's seconds go: a stage's own CPU
as a share of the process' CPU, and its seconds on the clock as a share of the run's; stages beside
the network overlap with it, so those shares add up to more than 1. Then images per second of a run
as a multiple of the bare network's, a median over the rounds. ``--in-line`` runs step after step,
nothing beside the network, for comparison.

    python benchmarks/prelabel.py photographs/ --images 20 --rounds 3
    python benchmarks/prelabel.py photographs/ --preset r50 --images 6
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from inference import calibrate, threshold

from comask.annotation import coco
from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Sheet
from comask.annotation.records import Category, ImageRecord
from comask.annotation.store import Store
from comask.checkpoint.native import CheckpointInfo
from comask.config import PRESETS
from comask.data import images
from comask.evaluate import overlay
from comask.model.comask import CoMask
from comask.predict import PredictionSettings, Predictor
from comask.run import Batch, Labeller, Rules, Run, ToLabel, files, run_settings, stored

CHECKPOINT = Path(__file__).parent.parent / "assets/checkpoints/comask-tiny-nuclei.safetensors"
FILES = list[tuple[Path, str]]

# what is timed: a stage, and where its function is looked up
STAGES: Sequence[tuple[str, Any, str]] = (
    ("decode", images, "load"),
    ("pre-process", Predictor, "prepare"),
    ("network", Predictor, "find"),
    ("paste and RLE", Predictor, "draw"),
    ("pack", stored, "pack"),
    ("store", Store, "put"),
    ("claim", Store, "claim"),
    ("look at the file", stored, "stamp"),
    ("labels", Labeller, "label"),
    ("read back for the file", Run, "export"),
    ("JSON", coco, "write"),
    ("drawing", overlay, "write"),
)
AFTER = ("paste and RLE", "pack", "store", "labels", "JSON", "drawing")  # what has a bound
BOUND = 0.05


def main() -> None:
    """Run in turns and print both tables."""
    given = _arguments().parse_args()
    detector = predictor(given.preset, given.checkpoint)
    found = images.list_images([given.folder])[: given.images]
    prepared = [detector.prepare(images.load(path).pixels) for path, _ in found]
    rounds: list[tuple[Spent, Spent]] = []
    clock = Clock()
    for number in range(given.rounds + 1):
        turns: dict[str, Spent] = {}
        for name in ("run", "bare")[:: 1 if number % 2 else -1]:
            work = (lambda: run(detector, found, given)) if name == "run" else None
            with clock.running() if work and number else ExitStack():
                turns[name] = spent(work or (lambda: bare(detector, prepared)))
        if number:  # the first one warms up
            rounds.append((turns["run"], turns["bare"]))
    print(
        f"{given.preset}, {len(found)} images, {clock.instances} instances in all runs, "
        f"{torch.get_num_threads()} threads, {given.rounds} rounds"
    )
    print(clock.table([one for one, _ in rounds], len(found)))
    for place, name in enumerate(("CPU", "wall")):
        ratio = statistics.median(alone[place] / whole[place] for whole, alone in rounds)
        print(f"images per second, of the bare network's, by {name}: {ratio:.3f}")


Spent = tuple[float, float]  # CPU and wall seconds


def spent(work: Callable[[], object]) -> Spent:
    """Do it once: CPU of the process, and wall."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def bare(detector: Predictor, prepared: Sequence[Any]) -> None:
    """Run the network alone."""
    for one in prepared:
        detector.find(one, candidates=True)


def run(detector: Predictor, found: FILES, given: argparse.Namespace) -> None:
    """Do what the command line does, in a new store."""
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(dir=given.store)))
        store = held.enter_context(Store.open(folder / "runs.sqlite"))
        if given.in_line:
            held.enter_context(mock.patch.object(stored, "seen", in_line))
        kept = Run.open(store, dataset="benchmark", checkpoint="benchmark")
        mapping = {one.name: number for number, one in enumerate(detector.categories)}
        to_label = [ToLabel(path, name, Sheet) for path, name in found]
        how = Batch("benchmark", "one", "somebody"), Rules(mapping=mapping, overlap=1.0)
        labeller = Labeller(kept, LabelStore(store), to_label, how)
        paths = {name: path for path, name in found}
        for row in kept.work(detector, found):
            labeller.label(row)
            prediction = kept.prediction(row.name) if given.draw else None
            if prediction is not None:
                pixels = images.load(paths[row.name]).pixels
                overlay.write(folder, row.name, pixels, prediction)
        records = [ImageRecord(n, name, 1, 1) for n, (_, name) in enumerate(found, start=1)]
        coco.write(folder / "found.json", kept.export(records))


def in_line(
    detector: Predictor, found: FILES, *, candidates: bool = False
) -> Iterator[tuple[str, "Future[files.Looked]"]]:
    """Do what ``files.seen`` does, nothing beside the network."""
    for path, name in found:
        image = images.load(path)
        prepared = detector.prepare(image.pixels)
        done: Future[files.Looked] = Future()
        found_there = detector.find(prepared, candidates=candidates)
        done.set_result(files.Looked(image, prepared, found_there))
        yield name, done


class Clock:
    """How long each stage took, in whatever thread."""

    def __init__(self) -> None:
        self.cpu: defaultdict[str, float] = defaultdict(float)
        self.wall: defaultdict[str, float] = defaultdict(float)
        self.instances = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time the stages while the block runs."""
        with ExitStack() as held:
            for stage, place, name in STAGES:
                timed = self._timed(stage, getattr(place, name))
                held.enter_context(mock.patch.object(place, name, timed))
            yield

    def table(self, rounds: Sequence[Spent], count: int) -> str:
        """Write the shares as a Markdown table; the network's CPU is what no other stage took."""
        cpu, wall = (sum(one[place] for one in rounds) for place in (0, 1))
        own = defaultdict(float, self.cpu | {"network": 0.0})
        # torch works in threads of its own, so the network is told by what is left
        own["network"] = cpu - sum(own.values())
        images_done = count * len(rounds)
        lines = ["| | ms an image | share of CPU | share of wall |", "|---|---:|---:|---:|"]
        for stage, _, _ in STAGES:
            if self.wall[stage]:
                name = "network and the rest" if stage == "network" else stage
                lines.append(
                    f"| {name} | {1000 * self.wall[stage] / images_done:.1f} | "
                    f"{own[stage] / cpu:.3f} | {self.wall[stage] / wall:.3f} |"
                )
        shares = [sum(part[stage] for stage in AFTER) for part in (own, self.wall)]
        lines.append(
            f"| **{', '.join(AFTER)}**; to be at most {BOUND} | "
            f"{1000 * shares[1] / images_done:.1f} | {shares[0] / cpu:.3f} | "
            f"{shares[1] / wall:.3f} |"
        )
        return "\n".join(lines)

    def _timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            cpu, wall = time.thread_time(), time.perf_counter()
            try:
                made = work(*given, **named)
                self.instances += len(made) if stage == "paste and RLE" else 0
                return made
            finally:
                self.cpu[stage] += time.thread_time() - cpu
                self.wall[stage] += time.perf_counter() - wall

        return timed


def predictor(preset: str, checkpoint: Path) -> Predictor:
    """Open a checkpoint, or make a network of random weights that finds 100 instances."""
    if preset == "tiny":
        return Predictor.from_checkpoint(checkpoint, settings=run_settings())
    torch.manual_seed(0)
    model = CoMask(PRESETS[preset]()).eval().requires_grad_(False)
    calibrate(model.backbone)
    classes = tuple(Category(k, f"kind {k}") for k in range(model.config.num_classes))
    info = CheckpointInfo(model.config, classes)
    first = Predictor(model, info, settings=PredictionSettings(min_score=0.0, max_instances=100))
    pixels = images.load(Path(__file__).parent.parent / "assets/samples/photographs/coffee.jpg")
    with first.opened(pixels.pixels) as (network, batch, _):
        levels = network.features(batch.tensor)
        boxes = network.rpn(levels, batch)
        scores = network.class_head(levels, boxes, batch.sizes).softmax(1)[:, 1:]
    settings = PredictionSettings(min_score=threshold(scores), max_instances=100)
    return Predictor(model, replace(info), settings=settings)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="images")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", choices=PRESETS, default="tiny")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="of the preset tiny")
    parser.add_argument("--draw", action="store_true", help="also draw every image, as predict can")
    parser.add_argument("--in-line", action="store_true", help="nothing beside the network")
    parser.add_argument("--store", type=Path, help="the folder for the store; a disk that counts")
    return parser


if __name__ == "__main__":
    if "OMP_WAIT_POLICY" not in os.environ:  # spinning threads would count as work
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    main()
