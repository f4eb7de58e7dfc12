"""How long does evaluating 5,000 images take beside pycocotools, from the files to the numbers?

Plants a data set like COCO's val2017 and a detector's results for it from a seed: about 36.8
thousand true instances as polygons, 1.2 % of them crowds, and 173 thousand found ones as run-length
codes with boxes, scores with ties. Then every contender reads both files and finds the numbers of
masks and boxes: pycocotools, ``comask.evaluate`` with pycocotools as its engine, and with the fast
one. They take turns in one process; CPU is the process' own time on all threads, and what is
printed are medians of the ratios round by round. The numbers must be the same to the bit.

    python benchmarks/evaluation.py [--images 5000] [--rounds 5]
"""

import argparse
import contextlib
import io
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from comask.annotation import files, rle
from comask.evaluate import coco_ap
from comask.evaluate.engines import Engine

SIZE = (480, 640)
CATEGORIES = 80
TRUE, FOUND = 7.36, 34.6  # instances an image, on average
CORNERS = 24  # of a polygon

Numbers = dict[str, list[float]]
Record = dict[str, Any]


def main() -> None:
    """Write both files, time all contenders in turns, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder) / "truth.json", Path(folder) / "results.json"
        truth, results = plant(given.images)
        for path, content in zip(paths, (truth, results), strict=True):
            path.write_bytes(files.dump_json(content))
        sizes = " and ".join(f"{path.stat().st_size / 1e6:.0f} MB" for path in paths)
        print(
            f"{given.images} images, {len(truth['annotations']):,} true and {len(results):,} found "
            f"instances: {sizes}; {given.rounds} rounds"
        )
        del truth, results
        print(table(in_turns(contenders(*paths), given.rounds)))


def contenders(truth: Path, results: Path) -> dict[str, Callable[[], Numbers]]:
    """List who reads and judges: the reference first."""

    def ours(engine: Engine) -> Numbers:
        verdicts = coco_ap.judge(truth, results, engine=engine)
        return {kind: list(verdict.numbers.values()) for kind, verdict in verdicts.items()}

    return {
        "pycocotools": lambda: by_pycocotools(truth, results),
        "comask, pycocotools": lambda: ours("pycocotools"),
        "comask, hotcoco": lambda: ours("hotcoco"),
    }


def by_pycocotools(truth: Path, results: Path) -> Numbers:
    """Do what its own example does."""
    numbers = {}
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(str(truth))
        found = known.loadRes(str(results))
        for kind in ("segm", "bbox"):
            judge = COCOeval(known, found, kind)
            judge.evaluate()
            judge.accumulate()
            judge.summarize()
            numbers[kind] = [float(number) for number in judge.stats]
    return numbers


def in_turns(
    work: dict[str, Callable[[], Numbers]], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Time everybody once a round, another one first each time: CPU and wall seconds."""
    names, told = list(work), []
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            cpu, wall = time.process_time(), time.perf_counter()
            told.append(work[name]())
            taken[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    print("the same numbers" if all(one == told[0] for one in told) else "DIFFERENT numbers")
    return taken


def table(taken: dict[str, list[tuple[float, float]]]) -> str:
    """Write medians and ratios to the first as a Markdown table."""
    lines = ["| | CPU s | wall s | CPU ratio | wall ratio |", "|---|---:|---:|---:|---:|"]
    reference = next(iter(taken.values()))
    for name, rounds in taken.items():
        seconds = [statistics.median(one[place] for one in rounds) for place in (0, 1)]
        ratios = [
            statistics.median(a[place] / b[place] for a, b in zip(rounds, reference, strict=True))
            for place in (0, 1)
        ]
        lines.append(
            f"| {name} | {seconds[0]:.1f} | {seconds[1]:.1f} | {ratios[0]:.3f} | {ratios[1]:.3f} |"
        )
    return "\n".join(lines)


# --- the data --------------------------------------------------------------------------------


def plant(images: int, seed: int = 7) -> tuple[Record, list[Record]]:
    """Make a COCO file's content and a results list: the same for the same seed."""
    random = np.random.default_rng(seed)
    truth: list[Record] = []
    results: list[Record] = []
    for image in range(1, images + 1):
        shapes = [Shape.drawn(random) for _ in range(random.poisson(TRUE))]
        truth += [shape.true(image, len(truth) + row + 1) for row, shape in enumerate(shapes)]
        for _ in range(random.poisson(FOUND)):
            near = bool(shapes) and random.random() < 0.6
            shape = shapes[random.integers(len(shapes))].moved(random) if near else None
            results.append((shape or Shape.drawn(random)).found(image, random))
    content = {
        "images": [
            {"id": number, "file_name": f"{number:012}.jpg", "width": SIZE[1], "height": SIZE[0]}
            for number in range(1, images + 1)
        ],
        "annotations": truth,
        "categories": [{"id": k, "name": f"kind {k}"} for k in range(1, CATEGORIES + 1)],
    }
    return content, results


class Shape:
    """A blob somewhere in an image: its outline in polar form round a centre, and its class."""

    def __init__(self, centre: NDArray[np.float64], radii: NDArray[np.float64], kind: int) -> None:
        self.centre, self.radii, self.kind = centre, radii, kind

    @classmethod
    def drawn(cls, random: np.random.Generator) -> "Shape":
        """Draw one: small ones are as many as middle and large ones."""
        size = math.exp(random.uniform(math.log(5), math.log(120)))
        centre = random.uniform(0, 1, 2) * [SIZE[1], SIZE[0]]
        kind = int(CATEGORIES * random.random() ** 2) + 1  # some classes are rare
        return cls(centre, size * random.uniform(0.7, 1.3, CORNERS), kind)

    def moved(self, random: np.random.Generator) -> "Shape":
        """Find it: about where it is, about as large, and mostly with its class."""
        away = random.exponential(0.08) * self.radii.mean()
        kind = self.kind if random.random() < 0.8 else int(random.integers(1, CATEGORIES + 1))
        radii = self.radii * random.normal(1, 0.06, CORNERS)
        return Shape(self.centre + random.normal(0, away + 1e-9, 2), radii, kind)

    def true(self, image: int, number: int) -> Record:
        """Write it as an annotation."""
        polygon, box = self._outline()
        crowd = number % 83 == 0
        mask = rle.from_polygons([polygon], *SIZE)
        code = {"size": list(SIZE), "counts": rle.runs(mask.counts).tolist()}
        return {
            "id": number,
            "image_id": image,
            "category_id": self.kind,
            "iscrowd": int(crowd),
            "area": rle.area(mask),
            "bbox": box,
            "segmentation": code if crowd else [polygon],
        }

    def found(self, image: int, random: np.random.Generator) -> Record:
        """Write it as a result."""
        polygon, box = self._outline()
        return {
            "image_id": image,
            "category_id": self.kind,
            "bbox": box,
            "segmentation": rle.from_polygons([polygon], *SIZE).to_coco(),
            "score": round(float(random.beta(1, 3)), 3),  # a thousand values: many ties
        }

    def _outline(self) -> tuple[list[float], list[float]]:
        angles = np.arange(CORNERS) * (2 * math.pi / CORNERS)
        ring = np.stack([np.cos(angles), np.sin(angles)], axis=1) * self.radii[:, None]
        points = (self.centre + ring).clip(0, [SIZE[1], SIZE[0]]).round(2)
        low, high = points.min(axis=0), points.max(axis=0)
        return points.reshape(-1).tolist(), [*low.tolist(), *(high - low).round(2).tolist()]


if __name__ == "__main__":
    main()
