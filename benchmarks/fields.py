"""What does an effective receptive field cost, in forward passes of the whole model?

Random weights (batch norms set by the image) see one photograph as 800 x 1333 network pixels. The
model finds nothing there, so a forward pass is as cheap as it gets: neither mask head nor masks.
Passes and fields take turns in one process, and what is printed are medians of the ratios round by
round; CPU time is that of all threads. A field is of the branch "fused", which looks through all
the others, in the middle of a level; "all" asks for every branch and "fused" at once. Peak memory
is that of a process of its own.

    python benchmarks/fields.py --preset tiny
    python benchmarks/fields.py --preset r50 --rounds 3 --only fused
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from inference import PHOTO, calibrate
from memory import peak_megabytes

from comask.analysis.activation import look
from comask.analysis.effective_field import effective_fields, fields_of
from comask.analysis.field_values import Question
from comask.analysis.registration import cells_of
from comask.annotation.records import Category
from comask.checkpoint.native import CheckpointInfo
from comask.config import PRESETS, PreprocessingConfig
from comask.data import images
from comask.model.backbone import STRIDES
from comask.model.comask import CoMask
from comask.model.neck import LEVELS
from comask.predict import Predictor

SIZE = (800, 1333)
FRAMES = ("level", "image")
NORMS = ("frozen", "live")

Run = Callable[[], object]
Times = tuple[float, float]  # CPU seconds of all threads, and wall seconds


def main() -> None:
    """Measure memory, then times in turns, and print a table."""
    given = _arguments().parse_args()
    torch.set_num_threads(given.threads)
    if given.memory:
        contenders(given.preset)[given.memory]()
        print(round(peak_megabytes()))
        return
    names = ("predict", "P2 fused, image, frozen", "P2 all, image, live")
    # before there is anything else here: a process is charged with what its parent held
    megabytes = {name: _in_own_process(name, given) for name in names}
    runs = contenders(given.preset)
    wanted = {n: run for n, run in runs.items() if n == "predict" or given.only in n}
    seconds = in_turns(wanted, given.rounds)
    print(f"{given.preset}, torch {torch.__version__}, {given.threads} threads, median of rounds\n")
    print("| | CPU s | forward passes, CPU | forward passes, wall | peak memory, MB |")
    print("|---|---:|---:|---:|---:|")
    for name, times in seconds.items():
        cpu, wall = np.median(np.array(times) / np.array(seconds["predict"]), axis=0)
        spent = np.median([pair[0] for pair in times])
        print(f"| {name} | {spent:.2f} | {cpu:.2f} | {wall:.2f} | {megabytes.get(name, '')} |")


def contenders(preset: str) -> Mapping[str, Run]:
    """Name what is measured: a forward pass first, then fields."""
    pixels = images.resize(images.load(PHOTO).pixels, SIZE)
    torch.manual_seed(0)
    model = CoMask(PRESETS[preset]()).eval()
    calibrate(model.backbone)
    categories = tuple(Category(k, str(k)) for k in range(model.config.num_classes))
    info = CheckpointInfo(model.config, categories, PreprocessingConfig())
    predictor = Predictor(model, info, device="cpu")
    found: dict[str, Run] = {"predict": lambda: predictor.predict(pixels)}
    found |= dict(_fields(predictor, pixels))
    kept = look(predictor, pixels)
    for norm in NORMS:
        asked = Question("cascade", norm, "level")  # type: ignore[arg-type]
        found[f"P2 all, of a look, {norm}"] = lambda asked=asked: fields_of(
            kept, level=2, cells=[_middle(2)], question=asked
        )
    return found


def in_turns(runs: Mapping[str, Run], rounds: int) -> dict[str, list[Times]]:
    """Time everything once a round, another one first each time; one round warms up."""
    seconds: dict[str, list[Times]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(rounds + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            cpu, wall = time.process_time(), time.perf_counter()
            runs[name]()
            if number:
                seconds[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return seconds


def _fields(predictor: Predictor, pixels: np.ndarray) -> Iterator[tuple[str, Run]]:
    for level in (2, 5):
        for frame in FRAMES:
            for norm in NORMS:
                asked = Question("cascade", norm, frame)  # type: ignore[arg-type]
                for name, branches in (("fused", ["fused"]), ("all", None)):
                    yield (
                        f"P{level} {name}, {frame}, {norm}",
                        lambda level=level, asked=asked, branches=branches: effective_fields(
                            predictor,
                            pixels,
                            level=level,
                            cells=[_middle(level)],
                            branches=branches,
                            question=asked,
                        ),
                    )


def _middle(level: int) -> tuple[int, int]:
    height, width = cells_of(SIZE, STRIDES[LEVELS.index(level)])
    return height // 2, width // 2


def _in_own_process(name: str, given: argparse.Namespace) -> int:
    command = [sys.executable, str(Path(__file__)), "--memory", name, "--preset", given.preset]
    command += ["--threads", str(given.threads)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure what effective fields cost.")
    parser.add_argument("--preset", choices=list(PRESETS), default="tiny")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", metavar="TEXT", help="measure names with this text")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", metavar="NAME", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
