"""Do store, Browse, Label and export grow no faster than their data?

Makes datasets of several sizes from a seed, 36 objects an image, and takes each through its life:
index, a stored run, Browse's questions, pre-labelling, Label's questions and undo, the exports and
their certificates. Every stage is a process of its own. Prints one table: seconds at each size,
the exponent with which they grow from the first size to the last (1 is linearly), and the memory
that the stage took beside its imports; then how large each table and index of the store is.

    python benchmarks/scale.py [--images 1000 3000 10000] [--each 36] [--postgresql] [--folder DIR]

A folder that is named is kept, and what was measured in it is not measured again. With ``--made
500`` only the first 500 images are run over and pre-labelled one by one, and the others get copies
of their labels within SQLite: so Label's questions are soon measured at any size.

On SQLite, seconds are of this process's CPU, since a clock also measures the neighbours; with
PostgreSQL, whose server works in processes of its own, they are on the clock.
"""

import argparse
import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from memory import held_megabytes, peak_megabytes

HERE = Path(__file__).resolve().parent
STAGES = (
    *("index", "store", "match", "browse", "results", "prelabel", "label", "piles"),
    *("coco", "read", "labelme", "yolo"),
)
SHORTEST = 0.002  # seconds; of anything shorter, no growth is said
_SQLITE_SIZES = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC"
_POSTGRESQL_SIZES = (
    "SELECT relname, pg_table_size(oid) FROM pg_class WHERE relkind IN ('r', 'i')"
    " AND relname LIKE '%%comask%%' ORDER BY 2 DESC"
)


@dataclass(frozen=True)
class Cell:
    """What one size took: seconds on the clock and of CPU, and the megabytes of its stage."""

    clock: float
    cpu: float
    megabytes: float


Table = dict[str, dict[int, Cell]]  # what -> images -> what it took


def main() -> None:
    """Measure every size and print the table."""
    given = _arguments().parse_args()
    if given.stage:
        print(json.dumps(measured(given)))
        return
    table: Table = {}
    notes = []
    with folder(given.folder) as home:
        for images in given.images:
            place = home / str(images)
            with database(given.postgresql) as url:
                for stage in ("write", *given.stages):
                    take(table, images, known(place, stage, given, url))
                notes.append(f"{images:,} images: {sizes(place, url)}")
            if given.folder is None:
                shutil.rmtree(place)
    print(markdown(table, given.images, clock=given.postgresql))
    print("\n" + "\n\n".join(notes))


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """Do one stage, in this process."""
    import scale_stages
    import scale_world

    [images] = given.images
    if given.stage == "write":
        given.folder.mkdir(parents=True, exist_ok=True)
        scale_world.write(given.folder, images, given.each)
        return {"lines": [], "megabytes": 0}
    made = min(images, given.made or images)
    place = scale_stages.Place(given.folder, images, given.each, given.store, made)
    before = held_megabytes(os.getpid())
    lines = [vars(line) for line in scale_stages.STAGES[given.stage](place)]
    return {"lines": lines, "megabytes": peak_megabytes() - before}


def known(place: Path, stage: str, given: argparse.Namespace, url: str | None) -> dict[str, Any]:
    """Measure a stage, or say what was measured in this folder before."""
    kept = place / "measured.json"
    found: dict[str, Any] = json.loads(kept.read_bytes()) if kept.is_file() else {}
    if stage not in found:
        found[stage] = ask(stage, place, given, url)
        kept.write_text(json.dumps(found))
    answer: dict[str, Any] = found[stage]
    return answer


def ask(stage: str, place: Path, given: argparse.Namespace, url: str | None) -> dict[str, Any]:
    """Have another process do a stage."""
    images = int(place.name)
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(place)]
    command += ["--images", str(images), "--each", str(given.each)]
    command += [] if given.made is None else ["--made", str(given.made)]
    command += [] if url is None else ["--store", url]
    more = {"PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ | more)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for line in found["lines"]:
        print(f"{images:>7,} {line['what']}: {line['clock']:.3f} s", file=sys.stderr)
    return found


def take(table: Table, images: int, found: dict[str, Any]) -> None:
    """Put what a stage measured into the table."""
    for line in found["lines"]:
        cell = Cell(line["clock"], line["cpu"], found["megabytes"])
        table.setdefault(line["what"], {})[images] = cell


def markdown(table: Table, images: list[int], *, clock: bool) -> str:
    """Write the table."""
    counts = [f"{count:,}" for count in images]
    lines = [
        f"| | {' | '.join(counts)} images | growth | {', '.join(counts)}: MB |",
        "|---|" + "---:|" * (len(images) + 2),
    ]
    for what, cells in table.items():
        known = [count for count in images if count in cells]
        taken = {count: cells[count].clock if clock else cells[count].cpu for count in known}
        grown = exponent(known, list(taken.values()))
        memory = " · ".join(f"{cells[count].megabytes:,.0f}" for count in known)
        told = [seconds(taken[count]) if count in taken else "" for count in images]
        lines.append(f"| {what} | {' | '.join(told)} | {grown} | {memory} |")
    return "\n".join(lines)


def seconds(value: float) -> str:
    """Write a time in the unit that suits it."""
    return f"{value:,.1f} s" if value >= 1 else f"{1000 * value:,.3g} ms"


def exponent(images: list[int], taken: list[float]) -> str:
    """Say how a time grows: 1 is linearly; "" where it is too short, or there is one size."""
    if len(images) < 2 or max(taken[0], taken[-1]) < SHORTEST or min(taken) <= 0:
        return ""
    return f"{math.log(taken[-1] / taken[0]) / math.log(images[-1] / images[0]):.2f}"


def sizes(place: Path, url: str | None) -> str:
    """Say how large everything on the disk is, in megabytes."""
    stored = place / "workspace" / "runs.sqlite"
    engine = sa.create_engine(f"sqlite:///{stored}" if url is None else url)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(_SQLITE_SIZES if url is None else _POSTGRESQL_SIZES).all()
    engine.dispose()
    files = {
        "the COCO file": place / "instances.json",
        "its index": next((place / "workspace" / "datasets").glob("*.sqlite")),
    }
    said = {name: file.stat().st_size for name, file in files.items()} | dict(map(tuple, rows))
    return ", ".join(f"{name} {size / 1e6:,.1f}" for name, size in said.items()) + " MB"


@contextlib.contextmanager
def folder(given: Path | None) -> Iterator[Path]:
    """Take a folder, which is kept, or a new one that is gone afterwards."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made).resolve()


@contextlib.contextmanager
def database(wanted: bool) -> Iterator[str | None]:
    """Start a PostgreSQL as the tests do; None for the Studio's own SQLite."""
    if not wanted:
        yield None
        return
    sys.path.insert(0, str(HERE.parent))
    from tests.annotation import postgresql

    programs = postgresql.find()
    if programs is None:
        raise SystemExit("there is no PostgreSQL server on this machine")
    with (
        tempfile.TemporaryDirectory() as made,
        postgresql.served(programs, Path(made)) as url,
    ):
        yield url


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[1_000, 3_000, 10_000])
    parser.add_argument("--each", type=int, default=36, help="objects, and instances, of an image")
    parser.add_argument("--made", type=int, help="images that are gone through one by one")
    parser.add_argument("--postgresql", action="store_true", help="keep labels and runs in one")
    parser.add_argument("--folder", type=Path, help="where everything is made, and kept")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
