"""Where a run's images come from: folders, single files, or a COCO file and its folder."""

import argparse
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from comask.annotation.index import DatasetIndex
from comask.annotation.records import ImageRecord
from comask.cli.shared import refuse_none
from comask.errors import InputError


@dataclass(frozen=True)
class Source:
    """Where images come from.

    dataset  what the store knows them as
    files    (path, name) each; names may occur twice in a COCO file
    records  of the COCO file, with its ids; None: those that can be read are counted from 1
    index    the dataset as the Studio knows it, open; None for a list of files
    faults   what was wrong with the COCO file's own records
    """

    dataset: str
    files: Sequence[tuple[Path, str]]
    records: Sequence[ImageRecord] | None
    index: DatasetIndex | None = None
    faults: Sequence[str] = ()


@contextmanager
def opened(given: argparse.Namespace) -> Iterator[Source]:
    """Find the images that the command line means, and hold their dataset open."""
    with ExitStack() as held:
        if given.paths and (given.annotations or given.images):
            raise InputError("give either PATHs, or --annotations and --images, and not both")
        if given.paths:
            yield _of_paths(given.paths, held)
        elif given.annotations is None or given.images is None:
            raise InputError("give images or folders, or --annotations and --images together")
        else:
            yield _of_coco_file(given.annotations, given.images, held)


def _of_paths(paths: Sequence[Path], held: ExitStack) -> Source:
    """List plain image files; one folder is the dataset that the Studio knows it as."""
    from comask.data import images

    found = images.list_images(paths)
    refuse_none(paths, found)
    if len(paths) == 1 and paths[0].is_dir():
        index = _index(None, paths[0], held)
        return Source(index.fingerprint, found, None, index)
    places = "\n".join(sorted(os.path.realpath(path) for path in paths))
    digest = hashlib.sha256(f"comask files 1\n{places}".encode("utf-8", "surrogateescape"))
    return Source(digest.hexdigest(), found, None)


def _of_coco_file(annotations: Path, folder: Path, held: ExitStack) -> Source:
    """List a COCO file's images."""
    if not annotations.is_file():
        raise InputError(f"there is no file {annotations}")
    index = _index(annotations, folder, held)
    records = index.images(range(len(index)))
    found = [(_place(folder, one.file_name), one.file_name) for one in records]
    faults = [fault.sentence for fault in index.faults if fault.list == "images"]
    return Source(index.fingerprint, found, records, index, faults)


def _index(annotations: Path | None, folder: Path, held: ExitStack) -> DatasetIndex:
    cache = held.enter_context(tempfile.TemporaryDirectory())
    index = DatasetIndex.open(annotations, folder, Path(cache))
    held.callback(index.close)
    return index


def _place(folder: Path, name: str) -> Path:
    place = folder / name
    # written on Windows
    return folder / name.replace("\\", "/") if "\\" in name and not place.exists() else place
