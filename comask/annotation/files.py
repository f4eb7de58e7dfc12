"""JSON files: read within bounds, written whole.

A file is written beside its name, flushed to the disk, read back, checked and renamed over, so that
at every moment there is either the old file or the new one.
"""

import gc
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import orjson

from comask.errors import AnnotationError

MAX_BYTES = 2 * 2**30  # of one file
_PIECE = 1_000  # items of a list that are written at a time


def load(path: Path) -> bytes:
    """Read a whole file of a bounded size; raises AnnotationError with one sentence."""
    if path.is_dir() or (path.exists() and not path.is_file()):
        raise AnnotationError(f"{path} is not a file; a JSON file is needed")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise AnnotationError(f"{path.name} is larger than {MAX_BYTES // 2**30} GiB")
        return path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"{path} can't be read: {error.strerror}") from error


def digest(path: Path) -> str:
    """Name a file's content: its SHA-256."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def parse_json(data: bytes, name: str) -> tuple[Any, str]:
    """Parse JSON; where only its numbers are beyond JSON, give them and what to say of it."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    with uncollected():
        try:
            return orjson.loads(data), ""
        except orjson.JSONDecodeError as error:
            flaw = f"{name} is not JSON: {_flaw(data, error)}"
        try:  # so that a NaN is named by its record and field
            return json.loads(data), flaw
        except (ValueError, RecursionError):
            raise AnnotationError(flaw) from None


def _flaw(data: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        data.decode()
    except UnicodeDecodeError:
        return "it is no text in UTF-8"
    return str(error)


def dump_json(content: object) -> bytes:
    """Write JSON, with a newline at the end; raises AnnotationError for what JSON can't hold."""
    try:
        return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise AnnotationError(f"this can't be written as JSON: {error}") from error


def dump_list(items: Iterable[object]) -> Iterator[bytes]:
    """Write a list as JSON piece by piece, to what ``dump_json`` would give."""
    yield b"["
    waiting, between = list(islice(iterator := iter(items), _PIECE)), b""
    while waiting:
        yield between + dump_json(waiting)[1:-2]
        waiting, between = list(islice(iterator, _PIECE)), b","
    yield b"]"


def replace_file(
    path: Path, data: bytes, check: Callable[[bytes], None] = lambda _data: None
) -> None:
    """Write a file beside its name, have it read back and checked, and rename it over."""
    with replaced(path) as file:
        file.write(data)
        file.flush()
        check(Path(file.name).read_bytes())


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """Open a file beside its name; where the block ends well it is flushed and renamed over."""
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # a folder can't be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def uncollected() -> Iterator[None]:
    """Hold the garbage collector off: while many records are made it costs as much as they do.

    Nothing that is made under it may need the collector to go.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
