"""Zip files: written to the same bytes each time, read as a stranger's."""

import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO

from comask.annotation import names
from comask.annotation.names import shortened
from comask.annotation.records import Annotation, Dataset, ImageRecord
from comask.errors import AnnotationError

MAX_ENTRIES = 500_000
MAX_ENTRY = 256 * 2**20  # bytes of one file, unpacked
MAX_TOTAL = 4 * 2**30  # bytes of all files, unpacked

_EPOCH = (1980, 1, 1, 0, 0, 0)  # zip files know nothing earlier


class Writer:
    """A zip file that is the same whenever it is written."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6)

    def add(self, name: str, content: bytes) -> None:
        """Add a file."""
        entry = zipfile.ZipInfo(name, _EPOCH)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = 0o644 << 16
        self._zip.writestr(entry, content)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *failure: object) -> None:
        self._zip.close()  # writes the list of files, without which it is no zip


def entries(stream: IO[bytes], name: str) -> Iterator[tuple[str, bytes]]:
    """Read the files of a zip one by one: (path, content); raises AnnotationError.

    What leads out of the zip's own folder is refused, and so is what unpacks to too much.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            yield from _entries(archive, name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise AnnotationError(f"{name} is a damaged zip file: {error}") from error
    except RuntimeError as error:  # a password
        raise AnnotationError(f"{name} can't be unpacked: {error}") from error


def by_image(dataset: Dataset) -> Iterator[tuple[ImageRecord, list[Annotation]]]:
    """Go through the images in their order, each with its annotations in theirs."""
    found: defaultdict[int, list[Annotation]] = defaultdict(list)
    for annotation in dataset.annotations:
        found[annotation.image_id].append(annotation)
    for image in dataset.images:
        yield image, found.get(image.id, [])


def inner_path(image: ImageRecord) -> PurePosixPath:
    """Find the place of an image's labels in a zip, the ending apart; raises AnnotationError."""
    names.check(image.file_name)
    return PurePosixPath(image.file_name)


def _entries(archive: zipfile.ZipFile, name: str) -> Iterator[tuple[str, bytes]]:
    listed = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(listed) > MAX_ENTRIES:
        raise AnnotationError(f"{name} holds {len(listed):,} files; at most {MAX_ENTRIES:,} go")
    for entry in listed:
        try:
            names.check(entry.filename)
        except AnnotationError as error:
            raise AnnotationError(f"{name}: {error}") from error
    total = 0
    for entry in listed:
        if entry.filename.startswith("__MACOSX/"):
            continue
        with archive.open(entry) as packed:
            content = packed.read(MAX_ENTRY + 1)  # whatever the zip says of its size
        total += len(content)
        if len(content) > MAX_ENTRY or total > MAX_TOTAL:
            raise AnnotationError(
                f"{name} unpacks to more than is allowed, at {shortened(entry.filename)}"
            )
        yield entry.filename, content
