"""A few photographs of COCO val2017 with their truth, fetched when somebody asks for them.

The annotations of all of COCO are one large archive; of it only the directory and the one file that
is needed are fetched. Everything that comes is bounded and looked at before it takes its place:
the archive's own checksum, and for every photograph its decoded size. Photographs that are there
already are kept, so a fetch that broke off goes on; the COCO file comes last.
"""

import hashlib
import http.client
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from comask.annotation import coco, files
from comask.annotation.records import ImageRecord
from comask.data import images
from comask.errors import AnnotationError, ComaskError, ImageError, NetworkError

SOURCE = "http://images.cocodataset.org"
COUNT = 50  # photographs, about 8 MB
SPLIT = "val2017"

MAX_IMAGE = 5_000_000  # bytes of one photograph
MAX_TRUTH = 100_000_000  # bytes of the annotations, unpacked
TIMEOUT = 20.0  # seconds without an answer
AT_ONCE = 4  # photographs

_ARCHIVE = "annotations/annotations_trainval2017.zip"
_MEMBER = f"annotations/instances_{SPLIT}.json"
_BLOCK = 2**20  # bytes of the archive that are fetched at a time
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}\.jpg")
_RANGE = re.compile(r"bytes \d+-\d+/(\d{1,12})", re.ASCII)

Progress = Callable[[int, int], None]  # photographs done, of all


def places(folder: Path) -> tuple[Path, Path]:
    """Say where the COCO file and the photographs of a fetched set are."""
    return folder / f"annotations/instances_{SPLIT}.json", folder / SPLIT


def fetch(
    folder: Path,
    progress: Progress = lambda _done, _total: None,
    *,
    count: int = COUNT,
    source: str | None = None,
) -> None:
    """Fetch photographs and their truth into a folder; raises NetworkError with one sentence.

    Args:
        folder: Where they go, as ``places`` says.
        progress: Told how many are there; what it raises ends the fetch.
        count: How many; which ones does not change from time to time.
        source: The address of the server, if it is not COCO's own.
    """
    truth, pictures = places(folder)
    if truth.is_file():
        return
    source = source or SOURCE
    progress(0, count)
    content = _parse(_fetch_truth(source, lambda: progress(0, count)))
    chosen, subset = _choose(content, count)
    pictures.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [pool.submit(_fetch_image, source, record, pictures) for record in chosen]
        try:
            for done, one in enumerate(as_completed(waiting), start=1):
                one.result()
                progress(done, len(chosen))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    truth.parent.mkdir(parents=True, exist_ok=True)
    files.replace_file(truth, files.dump_json(subset))


# -- the truth ----------------------------------------------------------------------------------


def _fetch_truth(source: str, alive: Callable[[], None]) -> bytes:
    """Fetch one file out of the archive on the server."""
    remote = _Remote(f"{source}/{_ARCHIVE}", alive)
    try:
        with (
            closing(io.BufferedReader(remote, _BLOCK)) as stream,
            zipfile.ZipFile(stream) as packed,
        ):
            info = packed.getinfo(_MEMBER)
            if info.file_size > MAX_TRUTH:
                raise NetworkError(f"COCO's {_MEMBER} is larger than is believable.")
            return packed.read(info)  # and its checksum is compared
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, RuntimeError) as error:
        raise NetworkError(f"COCO's server sent a damaged archive ({error}); try again.") from error


class _Remote(io.RawIOBase):
    """A file on a server, of which only those parts are fetched that are read."""

    def __init__(self, url: str, alive: Callable[[], None]) -> None:
        self._url, self._alive, self._place = url, alive, 0
        _, headers = _get(url, 1, {"Range": "bytes=0-0"}, wanted=206)
        size = _RANGE.fullmatch(headers.get("Content-Range", ""))
        if size is None:
            raise NetworkError("COCO's server does not say how large its archive is.")
        self._size = int(size[1])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(base + offset, 0)
        return self._place

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._place)
        if wanted <= 0:
            return 0
        self._alive()
        last = self._place + wanted - 1
        content, _ = _get(self._url, wanted, {"Range": f"bytes={self._place}-{last}"}, wanted=206)
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)


def _parse(data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in ("images", "annotations", "categories")
    ):
        raise NetworkError(f"COCO's {_MEMBER} is no COCO file.")
    return content


def _choose(content: dict[str, Any], count: int) -> tuple[list[ImageRecord], dict[str, Any]]:
    """Choose photographs with truth, mixed but always the same, and the records about them."""
    drawn = {one.get("image_id") for one in content["annotations"] if isinstance(one, dict)}
    records = {}
    for value in content["images"]:
        try:
            record = coco.read_image(value)
        except AnnotationError:
            continue
        if record.id in drawn and _NAME.fullmatch(record.file_name):
            records[record.id] = record
    mixed = sorted(records, key=lambda number: hashlib.sha256(str(number).encode()).digest())
    chosen = set(mixed[:count])
    if not chosen:
        raise NetworkError(f"COCO's {_MEMBER} names no photographs.")

    def about(key: str, field: str) -> list[Any]:
        return [one for one in content[key] if isinstance(one, dict) and one.get(field) in chosen]

    lists = {"images": about("images", "id"), "annotations": about("annotations", "image_id")}
    return [records[number] for number in sorted(chosen)], {**content, **lists}


# -- photographs --------------------------------------------------------------------------------


def _fetch_image(source: str, record: ImageRecord, folder: Path) -> None:
    place = folder / record.file_name
    if place.is_file() and _fault(place.read_bytes(), record) is None:
        return
    content, _ = _get(f"{source}/{SPLIT}/{record.file_name}", MAX_IMAGE)
    fault = _fault(content, record)
    if fault is not None:
        raise NetworkError(f"COCO's server sent something else for {record.file_name}: {fault}")
    files.replace_file(place, content)


def _fault(content: bytes, record: ImageRecord) -> str | None:
    """Say what is wrong with a photograph."""
    try:
        height, width = images.load(content, name=record.file_name).size
    except ImageError as error:
        return str(error)
    if (height, width) != (record.height, record.width):
        return f"it is {width} x {height} pixels and not {record.width} x {record.height}."
    return None


# -- the network --------------------------------------------------------------------------------

_Headers = Any


def _get(
    url: str, most: int, headers: dict[str, str] | None = None, wanted: int = 200
) -> tuple[bytes, _Headers]:
    """Fetch an address, no more than some bytes; raises NetworkError with one sentence."""
    request = Request(url, headers={"User-Agent": "comask", **(headers or {})})
    host = request.host
    try:
        with urlopen(request, timeout=TIMEOUT) as answer:
            if answer.status != wanted:
                raise NetworkError(f"{host} does not serve parts of files, which this needs.")
            content = answer.read(most + 1)
            if len(content) > most:
                raise NetworkError(f"{host} sent more than {most:,} bytes for {url}.")
            length = answer.headers.get("Content-Length")
            if length is not None and length.isdigit() and int(length) != len(content):
                raise NetworkError(f"{host} broke off while it sent {url}; try again.")
            return content, answer.headers
    except ComaskError:
        raise
    except HTTPError as error:
        with error:
            raise NetworkError(f"{host} answered {error.code} for {url}.") from error
    except (URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise NetworkError(
            f"{host} can't be reached ({reason}), so COCO's photographs can't be fetched; "
            f"the samples that come with the Studio need no network."
        ) from error
