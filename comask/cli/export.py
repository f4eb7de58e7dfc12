"""``comask export``: the labels of a folder as a file for other tools, and its certificate.

The file is what the page's own export gives, to the last byte. After it is written it is read
again, and every promise about it is checked; the certificate lies beside it.
"""

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from comask.annotation import layout
from comask.annotation.formats import FORMATS, WriteSettings
from comask.annotation.index import DatasetIndex
from comask.annotation.label_export import ExportSettings
from comask.cli.shared import check_writable, say, share, warn
from comask.errors import InputError

if TYPE_CHECKING:
    from comask.evaluate.certificate import Certificate

_SHOWN = 5  # rows of a check that are said; the certificate has all of them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="DIR", help="a folder of images; or else:"
    )
    parser.add_argument(
        "--annotations", type=Path, metavar="COCO.json", help="a COCO file: its images, its ids"
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="the folder of its images")
    parser.add_argument(
        "--store",
        required=True,
        metavar="FILE|URL",
        help="where the labels are kept: a file, or a database's URL",
    )
    parser.add_argument(
        "--output", required=True, type=Path, help="the file to write; labelme and yolo: a zip"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="coco", help="what is written; coco by default"
    )
    _add_masks(parser)
    _add_choice(parser)


def _add_masks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--masks",
        choices=("rle", "polygon"),
        default="rle",
        help="rle keeps every pixel and is the default; yolo knows polygons alone",
    )
    parser.add_argument(
        "--bar",
        type=share,
        default=0.95,
        metavar="IOU",
        help="polygons that are less like their mask give way to it; 0.95 by default",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="PX",
        help="how far an outline may move to need fewer points; 0 by default",
    )
    parser.add_argument(
        "--keyholes", action="store_true", help="cut holes out of polygons by slits"
    )


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--include",
        choices=("kept", "all"),
        default="kept",
        help="kept: what people accepted, changed or drew; all: proposals too",
    )
    parser.add_argument(
        "--min-score",
        type=share,
        default=0.0,
        metavar="S",
        help="class score that proposals must be above; 0 by default",
    )
    parser.add_argument("--scores", action="store_true", help="write what the model said")
    parser.add_argument(
        "--provenance", action="store_true", help="write who made each label and what became of it"
    )


def run(given: argparse.Namespace) -> int:
    """Export as the command line says; 1 where the certificate has failed."""
    check_writable(given.output)
    settings = WriteSettings(given.format, given.masks, given.bar, given.tolerance, given.keyholes)
    choice = ExportSettings(
        include=given.include,
        min_score=given.min_score,
        scores=given.scores,
        provenance=given.provenance,
    )
    if "://" not in given.store and not Path(given.store).is_file():
        raise InputError(f"there is no store {given.store}")
    with tempfile.TemporaryDirectory() as cache:
        index = DatasetIndex.open(*_place(given), Path(cache))
        try:
            return _run(given, index, choice, settings)
        finally:
            index.close()


def _run(
    given: argparse.Namespace, index: DatasetIndex, choice: ExportSettings, settings: WriteSettings
) -> int:
    from comask.annotation import label_export
    from comask.annotation.label_store import LabelStore
    from comask.annotation.store import Store
    from comask.data.label_folder import LabelFolder
    from comask.evaluate import certificate

    folder = LabelFolder(index)
    with Store.open(given.store) as opened:
        store, project = LabelStore(opened), index.fingerprint
        meant = label_export.export(store, project, folder.about(), folder.base, choice)
    meant = folder.noted(meant)
    made = certificate.write(given.output, meant, settings, folder.measure)
    found = made.certificate
    _say(given.output, found)
    for fault in index.faults:
        warn(fault.sentence)
    say(f"the certificate is {certificate.beside(given.output)}")
    return 0 if found.passed else 1


def _say(output: Path, found: "Certificate") -> None:
    word = "certified" if found.passed else "NOT certified"
    say(f"{output}: {found.annotations} instances in {found.images} images, {word}")
    for check in found.checks:
        if not check.passed:
            warn(f"{check.name}: {check.sentence}")
        if not check.passed or check.name == "left_out":
            for row in check.rows[:_SHOWN]:
                warn(": ".join(part for part in (row.image, row.uid, row.sentence) if part))
            if check.count > _SHOWN:
                warn(f"and {check.count - _SHOWN} more")


def _place(given: argparse.Namespace) -> tuple[Path | None, Path]:
    """Find what to open, as the Studio does: a folder, or a COCO file and the folder beside it."""
    if given.folder is not None:
        if given.annotations or given.images:
            raise InputError("give either DIR, or --annotations and --images, and not both")
        found = layout.find(given.folder)
        return found.annotations, found.images
    if given.annotations is None or given.images is None:
        raise InputError("give a folder, or --annotations and --images together")
    if not given.annotations.is_file():
        raise InputError(f"there is no file {given.annotations}")
    return given.annotations, given.images
