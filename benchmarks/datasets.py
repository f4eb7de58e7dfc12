"""How long until a huge COCO file can be looked into, and how much memory does it take?

Generates a file of 100,000 images and 800,000 annotations from a seed, then measures, each in a
process of its own, one after the other: Python's own ``json.load`` of that file; making the index;
opening the index again; and what the grid asks for. Peak memory is of the whole process.

    python benchmarks/datasets.py [--images 100000] [--each 8] [--folder DIR]
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memory import peak_megabytes

SIDES = (480, 640)
CATEGORIES = [number for number in range(1, 91) if number % 9]  # 80 ids with gaps


def main() -> None:
    """Generate, measure, print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--each", type=int, default=8, help="annotations of an image, on average")
    parser.add_argument("--folder", type=Path, help="where the file is made, and kept")
    parser.add_argument("--part", choices=sorted(PARTS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        print(json.dumps(measured(lambda: PARTS[given.part](given.folder))))
        return
    with tempfile.TemporaryDirectory() as folder:
        place = given.folder or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        file = generate(place, given.images, given.each)
        print(f"{file.name}: {file.stat().st_size / 1e6:.0f} MB")
        for part in PARTS:
            command = [sys.executable, __file__, "--part", part, "--folder", str(place)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            show(part, json.loads(done.stdout))


def generate(folder: Path, images: int, each: int) -> Path:
    """Write a COCO file whose images are not there; annotations come in no order."""
    file = folder / "instances.json"
    (folder / "images").mkdir(exist_ok=True)
    if file.is_file():
        return file
    source = random.Random(0)
    with file.open("w", encoding="utf-8") as stream:
        stream.write('{"images": [')
        for number in range(images):
            stream.write(("," if number else "") + json.dumps(image(number)))
        stream.write('], "annotations": [')
        for number in range(images * each):
            stream.write(("," if number else "") + json.dumps(annotation(source, number, images)))
        categories = [{"id": one, "name": f"class {one}"} for one in CATEGORIES]
        stream.write(f'], "categories": {json.dumps(categories)}}}')
    return file


def image(number: int) -> dict[str, Any]:
    """Make an image's record, as long as COCO's."""
    name = f"{number % 1000:03d}/{number:012d}.jpg"
    return {
        "id": number + 1,
        "file_name": name,
        "width": SIDES[1],
        "height": SIDES[0],
        "license": 4,
        "date_captured": "2013-11-14 17:02:52",
        "coco_url": f"http://images.cocodataset.org/train2017/{name}",
    }


def annotation(source: random.Random, number: int, images: int) -> dict[str, Any]:
    """Make an annotation: a polygon of 8 to 45 points, or for one in a hundred a crowd as runs."""
    width, height = source.randint(4, 400), source.randint(4, 300)
    x, y = source.uniform(0, SIDES[1] - width), source.uniform(0, SIDES[0] - height)
    made: dict[str, Any] = {
        "id": number + 1,
        "image_id": source.randint(1, images),
        "category_id": source.choice(CATEGORIES),
        "area": round(width * height * 0.6, 2),
        "bbox": [round(x, 2), round(y, 2), width, height],
        "iscrowd": 0,
    }
    if number % 100 == 99:
        total = SIDES[0] * SIDES[1]
        runs = [total // 3, 500, total - total // 3 - 500]
        return made | {"iscrowd": 1, "segmentation": {"size": list(SIDES), "counts": runs}}
    points = [
        round(value, 2)
        for _ in range(source.randint(8, 45))
        for value in (source.uniform(x, x + width), source.uniform(y, y + height))
    ]
    return made | {"segmentation": [points]}


# -- what is measured, each in a process of its own ----------------------------------------------


def measured(work: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Do something; its seconds, those of its parts, and the peak memory of the process."""
    start = time.perf_counter()
    processor = time.process_time()
    parts = work()
    return {
        "seconds": time.perf_counter() - start,
        "processor seconds": time.process_time() - processor,
        "peak MB": peak_megabytes(),
        **parts,
    }


def load_json(folder: Path) -> dict[str, float]:
    """Read the file as most tools do."""
    with (folder / "instances.json").open("rb") as stream:
        content = json.load(stream)
    return {"annotations": len(content["annotations"])}


def make_index(folder: Path) -> dict[str, float]:
    """Make the index."""
    from comask.annotation.index import DatasetIndex

    for old in (folder / "cache").glob("*.sqlite"):
        old.unlink()
    dataset = DatasetIndex.open(folder / "instances.json", folder / "images", folder / "cache")
    size = sum(place.stat().st_size for place in (folder / "cache").iterdir())
    return {"annotations": dataset.annotation_count, "index MB": size / 1e6}


def open_again(folder: Path) -> dict[str, float]:
    """Open the index, which is there."""
    from comask.annotation.index import DatasetIndex

    dataset = DatasetIndex.open(folder / "instances.json", folder / "images", folder / "cache")
    return {"annotations": dataset.annotation_count}


def ask_grid(folder: Path) -> dict[str, float]:
    """Ask for what the grid asks for, and for the masks of 100 images."""
    from comask.annotation.index import DatasetIndex, Filter

    dataset = DatasetIndex.open(folder / "instances.json", folder / "images", folder / "cache")
    found = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        start = time.perf_counter()
        work()
        found[f"{name} ms"] = 1e3 * (time.perf_counter() - start)

    def page(wanted: Filter, start: int) -> None:
        rows = dataset.rows(wanted)[start : start + 100]
        dataset.images(rows)
        dataset.truth_counts_of(rows)

    far = len(dataset) * 9 // 10
    timed("first page", lambda: page(Filter(), 0))
    timed("jump to 90 %", lambda: page(Filter(), far))
    timed("one class", lambda: page(Filter(category=CATEGORIES[3]), 0))
    timed("small", lambda: page(Filter(size="small"), 0))
    timed("name", lambda: page(Filter(name="999"), 0))
    timed("masks of 100 images", lambda: [dataset.annotations(far + row) for row in range(100)])
    return found


PARTS: dict[str, Callable[[Path], dict[str, float]]] = {
    "json.load": load_json,
    "make the index": make_index,
    "open it again": open_again,
    "the grid": ask_grid,
}


def show(part: str, found: dict[str, float]) -> None:
    """Print one line."""
    numbers = ", ".join(
        f"{name} {value:,.2f}" if value < 100 else f"{name} {value:,.0f}"
        for name, value in found.items()
    )
    print(f"{part}: {numbers}")


if __name__ == "__main__":
    main()
