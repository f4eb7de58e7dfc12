"""``comask inspect`` of several images or checkpoints: how large the fields are, as one table."""

import argparse
import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comask.annotation import files
from comask.cli.shared import report_skipped, say
from comask.cli.subject import SCHEMA, load, steps
from comask.errors import ImageError, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from comask.analysis.field_table import FieldRow

Row = dict[str, Any]

LEVELS = 4  # of an image, whose fields are measured one after the other


@dataclass(frozen=True)
class ImageSet:
    """Images that are averaged over: those of one folder, or all that were given one by one.

    failures  of images that can't be read: their names, and why
    """

    name: str
    files: Sequence[tuple[Path, str]]
    failures: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Count the images."""
        return len(self.files)

    def __iter__(self) -> "Iterator[NDArray[np.uint8]]":
        """Load one after the other; what can't be read is noted and left out."""
        from comask.data import images

        for path, name in self.files:
            if name in self.failures:
                continue
            try:
                pixels = images.load(path).pixels
            except ImageError as error:
                self.failures[name] = str(error)
            else:
                yield pixels


def run(given: argparse.Namespace) -> int:
    """Write the table as CSV and JSON; returns the exit code."""
    sets = _sets(given.images)
    names = _names(given.checkpoint)
    total = LEVELS * len(names) * sum(len(one) for one in sets)
    rows: list[Row] = []
    with steps(total, "level") as tick:
        for path, name in zip(given.checkpoint, names, strict=True):
            predictor = load(given, path)
            for images in sets:
                rows += _measured(given, predictor, name, images, tick)
    failures = [reason for one in sets for reason in one.failures.values()]
    given.output.mkdir(parents=True, exist_ok=True)
    content = {"schema": SCHEMA, "rows": rows, "skipped": failures}
    files.replace_file(given.output / "table.json", files.dump_json(content))
    files.replace_file(given.output / "table.csv", _csv(rows))
    _say(rows)
    return report_skipped(failures, sum(len(one) for one in sets))


def _sets(paths: Sequence[Path]) -> list[ImageSet]:
    """Group images: a folder is a set, and files that were given themselves are one."""
    from comask.data import images

    folders = [path for path in paths if path.is_dir()]
    alone = [path for path in paths if not path.is_dir()]
    sets = [ImageSet("images", images.list_images(alone))] if alone else []
    sets += [ImageSet(images.printable(one), images.list_images([one])) for one in folders]
    return [one for one in sets if one.files]


def _names(checkpoints: Sequence[Path]) -> list[str]:
    """Name checkpoints by their files, or by their whole paths where these are alike."""
    stems = [path.stem for path in checkpoints]
    return [
        stem if stems.count(stem) == 1 else str(path)
        for stem, path in zip(stems, checkpoints, strict=True)
    ]


def _measured(
    given: argparse.Namespace, predictor: Any, name: str, images: ImageSet, tick: Any
) -> list[Row]:
    """Measure one checkpoint over one set: a row a level and branch."""
    from comask.analysis.field_average import middle
    from comask.analysis.field_table import area_ratios
    from comask.analysis.field_values import Question

    asked = Question(given.path or "cascade", given.norm or "frozen", given.frame or "image")
    begun = False

    def progress(done: int, total: int) -> None:
        nonlocal begun  # told before each field and at the end
        if begun:
            tick()
        begun = True

    try:
        found = area_ratios(
            predictor,
            images,
            middle if given.at is None else _cell_at(given.at),
            checkpoint=name,
            question=asked,
            progress=progress,
        )
    except InputError as error:
        if len(images.failures) == len(images):
            raise InputError(
                f"no image can be read: {next(iter(images.failures.values()))}"
            ) from error
        raise
    for _ in range(LEVELS * len(images.failures)):
        tick()
    return [_plain(one, images) for one in found]


def _cell_at(point: tuple[float, float]) -> Any:
    from comask.analysis.cells import cell_at

    return lambda site: [cell_at(point, site.stride, site.scale, site.cells)]


def _plain(one: "FieldRow", images: ImageSet) -> Row:
    seen = len(images) - len(images.failures)
    told = {"set": images.name, "images": seen} | one.to_plain()
    return told | {"level": f"P{one.level}"}


def _csv(rows: Sequence[Row]) -> bytes:
    """Lay rows out flat: shares of sides and ratios become columns."""
    flat = []
    for row in rows:
        plain = {name: value for name, value in row.items() if not isinstance(value, dict)}
        plain |= row["question"]
        plain |= {f"side_{share}": side for share, side in row["sides"].items()}
        plain |= {f"ratio_{share}": ratio for share, ratio in row["ratios"].items()}
        flat.append(plain)
    text = io.StringIO()
    with suppress(IndexError):  # no rows, no columns
        writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
    return text.getvalue().encode()


def _say(rows: Sequence[Row]) -> None:
    wide = max([10, *(len(row["checkpoint"]) for row in rows)])
    other = max([3, *(len(row["set"]) for row in rows)])
    head = f"{'checkpoint':<{wide}}  {'set':<{other}}  level  branch  theory px"
    say(f"{head}    50 %    90 %    99 %  area %: 20 %    30 %    50 %    99 %")
    for row in rows:
        seen = row["count"] > 0  # else no pixel moves that branch in any image
        sides = " ".join(f"{side:7.0f}" if seen else "      -" for side in row["sides"].values())
        ratios = " ".join(
            f"{100 * ratio:7.2f}" if seen else "      -" for ratio in row["ratios"].values()
        )
        say(
            f"{row['checkpoint']:<{wide}}  {row['set']:<{other}}  {row['level']:<5}  "
            f"{row['branch']:<6}  {row['theoretical']:9.0f} {sides}      {ratios}"
        )
