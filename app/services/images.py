"""The images that can be opened: the samples, what people uploaded, and those of datasets.

A key is the start of a SHA-256 of a file's content: it says nothing of paths or names, nobody
guesses it, and the same picture is uploaded once. Paths are only ever made from keys that are
known, never from what a browser sent.
"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from app.services.recent import Recent
from app.session import Source
from app.settings import Limits
from comask.annotation import coco, files
from comask.annotation.records import Category, Dataset
from comask.data import grey
from comask.data.grey import GreyRange
from comask.errors import ComaskError, ImageError, InputError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.data.images import LoadedImage

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB, upright; or (H, W) grey
Grey = NDArray[Any]  # (H, W) of the file's own depth
Origin = Source | Literal["dataset"]

KEY_LENGTH = 32
SCHEMA = 1
THUMBNAIL_SIDE = 160
LOSSLESS_PIXELS = 4_000_000  # larger pictures travel as JPEG, which is what cameras wrote anyway

_KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}")
_UPLOADS = "images"
_SAMPLE_TRUTH = "instances.json"
_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"}
_LONGEST_NAME = 200


@dataclass(frozen=True)
class StoredImage:
    """One image file under its key; ``file_name`` is a label and never opened.

    version  what changes with the file, where a key does not name its content
    """

    key: str
    file_name: str
    source: Origin
    path: Path
    version: str = ""


@dataclass(frozen=True)
class Encoded:
    """A picture as the browser takes it."""

    content: bytes
    media_type: str


@dataclass(frozen=True)
class Added:
    """What became of an upload: the image, and whether it was not there before."""

    image: StoredImage
    is_new: bool


class DatasetImages(Protocol):
    """The images of datasets and what is drawn on them, by their keys."""

    def image(self, key: str) -> StoredImage | None:
        """Find an image; raises InputError where its file must not be opened."""

    def truth(self, key: str) -> Dataset | None:
        """Find what is drawn on an image."""


class ImageStore:
    """Find, add and decode images; several threads may ask at once."""

    def __init__(
        self, workspace: Path, samples: Path, limits: Limits, datasets: DatasetImages
    ) -> None:
        self._folder = workspace / _UPLOADS
        self._datasets = datasets
        self._samples_folder = samples
        self._limits = limits
        self._lock = threading.Lock()
        self._decoding = threading.RLock()  # one at a time: a large image takes 0.5 GB for a moment
        self._ahead = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode-ahead")
        self._images: dict[str, StoredImage] = {}
        self._pixels: Recent[str, Pixels] = Recent(limits.decoded_bytes)
        self._greys: Recent[str, Grey] = Recent(limits.decoded_bytes // 4)
        self._ranges: Recent[str, GreyRange | None] = Recent(10_000)
        self._pictures: Recent[str, Encoded] = Recent(limits.decoded_bytes)
        self._thumbnails: Recent[str, Encoded] = Recent(2_000)
        self._truth: Dataset | None = None
        self._folder.mkdir(parents=True, exist_ok=True)
        self._list_samples()
        self._list_uploads()

    def listed(self, source: Source) -> tuple[StoredImage, ...]:
        """List the samples, or the uploads in the order they came."""
        with self._lock:
            return tuple(image for image in self._images.values() if image.source == source)

    def find(self, key: str) -> StoredImage | None:
        """Look a key up; whatever is no key is unknown.

        Raises InputError where a dataset's image must not be opened, or not yet.
        """
        if "-" in key:
            return self._datasets.image(key)
        with self._lock:
            return self._images.get(key)

    def add(self, content: bytes, file_name: str) -> Added:
        """Store an uploaded file that is an image; raises ImageError or InputError."""
        from comask.data import images  # brings torch, which the first page does not wait for

        name = clean_name(file_name)
        if len(content) > self._limits.image_bytes:
            most = self._limits.image_bytes // 1_000_000
            raise InputError(f"{name} is larger than {most} MB; make it smaller or cut it up.")
        key = key_of(content, "uploads")
        known = self.find(key)
        if known is not None:
            return Added(known, is_new=False)
        with self._decoding:
            loaded = images.load(content, name=name)
        image = self._store(key, content, name)
        self._remember(key, loaded)
        return Added(image, is_new=True)

    def remove(self, key: str) -> None:
        """Take an upload out of the workspace; samples stay."""
        image = self.find(key)
        if image is None or image.source != "uploads":
            return
        with self._lock:
            self._images.pop(key, None)
            _record_of(image.path).unlink(missing_ok=True)
            image.path.unlink(missing_ok=True)
        for memory in (self._pixels, self._greys, self._ranges, self._pictures, self._thumbnails):
            memory.drop(key)

    def pixels(self, image: StoredImage) -> Pixels:
        """Decode an image: (H, W, 3) uint8, the pixels that the model sees."""
        known = self._pixels.get(_place_of(image))
        if known is None:
            with self._decoding:  # somebody may have been at this very image
                known = self._pixels.get(_place_of(image))
                return self._load(image).pixels if known is None else known
        return known

    def decode_ahead(self, key: str) -> None:
        """Decode an image beside whatever goes on; a fault is told when somebody asks for it."""

        def decode() -> None:
            with suppress(ComaskError, OSError):
                image = self.find(key)
                if image is not None:
                    self.pixels(image)

        with suppress(RuntimeError):  # closed
            self._ahead.submit(decode)

    def close(self) -> None:
        """End what is decoded ahead."""
        self._ahead.shutdown(cancel_futures=True)

    def size(self, image: StoredImage) -> tuple[int, int]:
        """Say how high and wide the upright image is."""
        pixels = self.pixels(image)
        return pixels.shape[0], pixels.shape[1]

    def picture(self, image: StoredImage) -> Encoded:
        """Encode the pixels for the browser: without loss up to 4 megapixels, else JPEG."""
        return self._encoded(self._pictures, image, encode_picture, lambda e: len(e.content))

    def grey_range(self, image: StoredImage) -> GreyRange | None:
        """Say which grey values an image of more than 8 bits holds; None is any other image."""
        if _place_of(image) not in self._ranges:
            self._load(image)
        return self._ranges.get(_place_of(image))

    def windowed(self, image: StoredImage, low: float, high: float) -> Encoded:
        """Encode the grey values between two limits; raises InputError where there are 8 bits."""
        place = _place_of(image)
        deep = self._greys.get(place)
        if deep is None:
            deep = self._load(image).original
        if deep is None:
            raise InputError(f"{image.file_name} has 8 bits a channel: all of it is shown.")
        return encode_picture(grey.window(deep, low, high))

    def thumbnail(self, image: StoredImage) -> Encoded:
        """Encode a small picture for lists."""
        return self._encoded(self._thumbnails, image, encode_thumbnail, lambda _: 1)

    def truth(self, image: StoredImage) -> Dataset | None:
        """Find what people drew on an image: its record, its annotations, all categories.

        None where nobody drew on it. In a dataset with truth, an image without objects has truth.
        """
        if image.source == "dataset":
            return self._datasets.truth(image.key)
        if image.source != "samples" or self._truth is None:
            return None
        records = [i for i in self._truth.images if i.file_name == image.file_name]
        ids = {record.id for record in records}
        drawn = tuple(a for a in self._truth.annotations if a.image_id in ids)
        if not drawn:
            return None
        return Dataset(tuple(records), drawn, self._truth.categories, {}, ())

    @property
    def sample_categories(self) -> tuple[Category, ...]:
        """List the classes of the samples' annotation file, if they have one."""
        return () if self._truth is None else self._truth.categories

    def _encoded(
        self,
        memory: Recent[str, Encoded],
        image: StoredImage,
        encode: Callable[[Pixels], Encoded],
        cost: Callable[[Encoded], int],
    ) -> Encoded:
        known = memory.get(_place_of(image))
        if known is not None:
            return known
        encoded = encode(self.pixels(image))
        memory.put(_place_of(image), encoded, cost(encoded))
        return encoded

    def _load(self, image: StoredImage) -> "LoadedImage":
        from comask.data import images  # brings torch

        content = _content(image)
        with self._decoding:
            loaded = images.load(content, name=image.file_name)
        self._remember(_place_of(image), loaded)
        return loaded

    def _remember(self, place: str, loaded: "LoadedImage") -> None:
        self._pixels.put(place, loaded.pixels, loaded.pixels.nbytes)
        if loaded.original is None:
            self._ranges.put(place, None)
        else:
            self._greys.put(place, loaded.original, loaded.original.nbytes)
            self._ranges.put(place, grey.measure(loaded.original))

    def _store(self, key: str, content: bytes, name: str) -> StoredImage:
        path = self._folder / f"{key}.image"
        with self._lock:
            if len(self._images) >= self._limits.images:
                raise InputError(
                    f"The workspace holds {self._limits.images:,} images, which is its limit; "
                    f"remove some or start with another --workspace."
                )
            name = _untaken(name, {i.file_name for i in self._images.values()})
            files.replace_file(path, content)
            record = {"schema": SCHEMA, "file_name": name, "added": time.time()}
            files.replace_file(_record_of(path), json.dumps(record).encode())
            image = StoredImage(key, name, "uploads", path)
            self._images[key] = image
        return image

    def _list_samples(self) -> None:
        truth = self._samples_folder / _SAMPLE_TRUTH
        if truth.is_file():
            self._truth = coco.read(truth)
        first = [record.file_name for record in self._truth.images] if self._truth else []
        order = {name: place for place, name in enumerate(first)}
        for name, file in sorted(
            _image_files(self._samples_folder),
            key=lambda found: (order.get(found[0], len(order)), found[0]),
        ):
            key = key_of(file.read_bytes(), "samples")
            self._images[key] = StoredImage(key, name, "samples", file)

    def _list_uploads(self) -> None:
        found: list[tuple[float, StoredImage]] = []
        for path in self._folder.glob("[!.]*.image"):
            record = _read_record(_record_of(path))
            if record is not None and _KEY.fullmatch(path.stem):
                added, name = record
                found.append((added, StoredImage(path.stem, name, "uploads", path)))
        for _, image in sorted(found, key=lambda entry: (entry[0], entry[1].file_name)):
            self._images.setdefault(image.key, image)


def _place_of(image: StoredImage) -> str:
    return f"{image.key} {image.version}".rstrip()


def _content(image: StoredImage) -> bytes:
    """Read a file; raises ImageError with one sentence."""
    try:
        return image.path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{image.file_name} is missing: there is no such file.") from None
    except OSError as error:
        raise ImageError(f"{image.file_name} can't be read: {error.strerror}.") from error


def key_of(content: bytes, source: Source) -> str:
    """Name a file by its content; a sample that is uploaded too is another image."""
    return hashlib.sha256(source.encode() + b"\n" + content).hexdigest()[:KEY_LENGTH]


def clean_name(file_name: str) -> str:
    """Make a label of a browser's file name: folders stay, ``..`` and control characters go."""
    printable = "".join(letter for letter in file_name if letter.isprintable())
    parts = PurePosixPath(printable.replace("\\", "/")).parts
    kept = [part for part in parts if part not in ("/", "..", ".")]
    name = "/".join(kept)
    return name[-_LONGEST_NAME:].lstrip("/") or "image"


def encode_picture(pixels: Pixels) -> Encoded:
    """Encode (H, W, 3) RGB or (H, W) grey in full size."""
    if pixels.shape[0] * pixels.shape[1] <= LOSSLESS_PIXELS:
        return _encode(pixels, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1], "image/png")
    full_colour = [
        cv2.IMWRITE_JPEG_QUALITY,
        95,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    return _encode(pixels, ".jpg", full_colour, "image/jpeg")


def encode_thumbnail(pixels: Pixels) -> Encoded:
    """Encode (H, W, 3) RGB so that its longer side has 160 pixels."""
    height, width = pixels.shape[:2]
    scale = min(1.0, THUMBNAIL_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return _encode(small, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 85], "image/jpeg")


def _encode(pixels: Pixels, suffix: str, flags: list[int], media_type: str) -> Encoded:
    stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, content = cv2.imencode(suffix, stored, flags)
    assert done, "an 8-bit image can always be encoded"
    return Encoded(content.tobytes(), media_type)


def _image_files(folder: Path) -> list[tuple[str, Path]]:
    """List the images below a folder and their names within it."""
    return [
        (file.relative_to(folder).as_posix(), file)
        for file in folder.rglob("[!.]*")
        if file.suffix.lower() in _SUFFIXES and file.is_file()
    ]


def _record_of(path: Path) -> Path:
    return path.with_suffix(".json")


def _read_record(path: Path) -> tuple[float, str] | None:
    """Read what lies beside an upload; a damaged record hides the upload and nothing else."""
    try:
        record = json.loads(path.read_bytes())
        added, name = record["added"], record["file_name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if isinstance(added, float) and isinstance(name, str):
        return added, clean_name(name)
    return None


def _untaken(name: str, taken: set[str]) -> str:
    """Tell images of one name apart, since COCO files know images by their names."""
    if name not in taken:
        return name
    path = PurePosixPath(name)
    number = 2
    while (other := str(path.with_name(f"{path.stem} ({number}){path.suffix}"))) in taken:
        number += 1
    return other
