"""What branches and collaborative learning are worth: checkpoints of variants, judged and timed.

Train the variants with one budget and the same seeds, then judge them on one set. A variant of
several checkpoints, one a seed and in the same order for all, gets means and standard deviations,
and what its AP is above the first variant's seed by seed. The first checkpoints take turns image by
image in one process; FPS is one over the median seconds that an image takes from pixels to masks,
and the ratio is the median of the CPU times image by image against the first one's.

    comask train ... --output runs/CoMask_1 --set model.neck.branches=1
    comask train ... --output runs/CoMask_4
    comask train ... --output runs/wo-CL --set model.collaborative=false
    python benchmarks/variants.py --annotations instances_val.json --images val/ \\
        CoMask_1=runs/CoMask_1/best.safetensors,runs/CoMask_1-seed6/best.safetensors \\
        CoMask_4=runs/CoMask_4/best.safetensors,runs/CoMask_4-seed6/best.safetensors
"""

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from comask.annotation import coco
from comask.data import images
from comask.evaluate.findings import PAPER
from comask.evaluate.run import judge_checkpoint
from comask.predict import Predictor

NUMBERS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
Seconds = list[tuple[float, float]]  # CPU and wall of each image
Numbers = Mapping[str, float]


def main() -> None:
    """Judge and time every variant; print a Markdown table, the paper's numbers beside ours."""
    given = _arguments().parse_args()
    torch.set_num_threads(given.threads)
    named = dict(text.partition("=")[::2] for text in given.variants)
    variants: dict[str, Predictor] = {}
    found: dict[str, list[Numbers]] = {name: [] for name in named}
    for name, paths in named.items():
        for path in paths.split(","):
            one = Predictor.from_checkpoint(Path(path), device="cpu")
            variants.setdefault(name, one)
            verdicts = judge_checkpoint(one, given.annotations, given.images)
            found[name].append(verdicts["segm"].numbers)
    print("\n".join(table(found, timed(variants, given), paper_rows())))
    print("\n".join(differences(found)))


def timed(variants: Mapping[str, Predictor], given: argparse.Namespace) -> dict[str, Seconds]:
    """Let the variants take turns over the images, another one first each time."""
    records = coco.read(given.annotations).images[: given.timed]
    seconds: dict[str, Seconds] = {name: [] for name in variants}
    names = list(variants)
    for number, record in enumerate(records):
        pixels = images.load(given.images / record.file_name).pixels
        first = number % len(names)
        for name in names[first:] + names[:first]:
            if not number:
                variants[name].predict(pixels)  # warms up
            cpu, wall = time.process_time(), time.perf_counter()
            variants[name].predict(pixels)
            seconds[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return seconds


def table(
    found: Mapping[str, Sequence[Numbers]],
    seconds: Mapping[str, Seconds],
    paper: Mapping[str, Mapping[str, float | None]],
) -> list[str]:
    """Write the rows; a number of the paper stands in brackets behind ours."""
    first = next(iter(seconds.values()))
    lines = [
        f"| | {' | '.join(NUMBERS)} | FPS | CPU time |",
        "|---" + "|---:" * (len(NUMBERS) + 2) + "|",
    ]
    for name, seeds in found.items():
        known = paper.get(name, {})
        fps = 1.0 / statistics.median(wall for _, wall in seconds[name])
        pairs = zip(seconds[name], first, strict=True)
        ratio = statistics.median(own[0] / other[0] for own, other in pairs)
        cells = [_cell(_mean([one[key] for one in seeds]), known.get(key)) for key in NUMBERS]
        cells += [_cell(f"{fps:.2f}", known.get("FPS")), f"{ratio:.2f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def differences(found: Mapping[str, Sequence[Numbers]]) -> list[str]:
    """Say what each variant's AP is above the first one's, seed by seed."""
    (first, base), *others = found.items()
    lines = []
    for name, seeds in others:
        apart = [own["AP"] - other["AP"] for own, other in zip(seeds, base, strict=True)]
        told = ", ".join(f"{one:+.3f}" for one in apart)
        lines.append(f"AP of {name} above {first}'s: {told}; mean {statistics.mean(apart):+.4f}")
    return lines


def paper_rows() -> dict[str, dict[str, float | None]]:
    """Collect what is known of the paper's ablations: a model's numbers by column."""
    rows: dict[str, dict[str, float | None]] = {}
    for one in json.loads(PAPER.read_text(encoding="utf-8"))["tables"]:
        if one["key"] in ("branches", "collaboration"):
            for model, *values in one["rows"]:
                rows.setdefault(model, {}).update(zip(one["columns"][1:], values, strict=True))
    return rows


def _mean(values: Sequence[float]) -> str:
    told = f"{statistics.mean(values):.3f}"
    return told if len(values) == 1 else f"{told} ± {statistics.stdev(values):.3f}"


def _cell(own: str, paper: float | None) -> str:
    own = "–" if own.startswith("-1") else own
    return own if paper is None else f"{own} ({paper:g})"


def _arguments(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("variants", nargs="+", metavar="NAME=CHECKPOINT[,CHECKPOINT]")
    parser.add_argument("--annotations", type=Path, required=True, help="COCO file to judge by")
    parser.add_argument("--images", type=Path, required=True, help="folder of its images")
    parser.add_argument("--timed", type=int, default=12, help="images to time")
    parser.add_argument("--threads", type=int, default=2)
    return parser


if __name__ == "__main__":
    main()
