"""Image files: found in folders, decoded to upright 8-bit RGB, resized for the network.

``load`` returns what every page and the model see: RGB, uint8, turned as the EXIF orientation says.
- Grey deeper than 8 bits (16- or 32-bit integers, floats) is spread so that its 0.1 % percentile
  becomes 0 and its 99.9 % percentile 255; a constant image becomes black. The deep values are kept
  in ``original``. Colour of 16 bits a channel keeps its high byte.
- Transparent pixels are laid over white. An alpha channel that is 0 everywhere says nothing and is
  dropped.
- Of many pages or frames the first is taken. Colour profiles are not applied.

Sizes are (height, width). A refusal is one ``ImageError`` sentence.
"""

import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from comask.annotation.names import EXTENSIONS
from comask.annotation.records import Upright
from comask.data import grey
from comask.data.grey import Grey
from comask.errors import ImageError, InputError
from comask.structures import Size

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB

MAX_PIXELS = 80_000_000  # 240 MB of RGB; Pillow's own guard starts to object at 89 million

_ACCEPTED = "JPEG, PNG, TIFF, WebP, BMP, GIF and PNM"
_STRIP_ROWS = 256  # rows converted at a time, so that a large image is never held three times
_ORIENTATION = 0x0112  # the EXIF and TIFF tag
_PHOTOMETRIC = 0x0106  # the TIFF tag: 0 when white is stored as 0


@dataclass(frozen=True)
class LoadedImage:
    """One image as the model and the pages see it.

    pixels     (H, W, 3) uint8  RGB, upright
    original   (H, W) or None   upright grey deeper than 8 bits: uint16, int32 or float32
    file_size  (h, w)           as the file stores it, before turning
    turned     bool             whether the EXIF orientation turned or mirrored it
    """

    pixels: Pixels
    original: Grey | None
    file_size: Size
    turned: bool

    @property
    def size(self) -> Size:
        """The height and width of the upright image."""
        return self.pixels.shape[0], self.pixels.shape[1]


def load(
    source: Path | bytes, *, max_pixels: int = MAX_PIXELS, name: str = "the image"
) -> LoadedImage:
    """Decode an image file or its bytes to upright RGB.

    Args:
        source: A file, or the content of one.
        max_pixels: Larger images are refused before they are decoded.
        name: What a refusal calls the image when ``source`` is bytes.
    """
    if isinstance(source, bytes):
        return _decode(io.BytesIO(source), name, max_pixels)
    name = printable(source)
    with _opened(source, name) as stream:
        return _decode(stream, name, max_pixels)


def measure(path: Path) -> Upright:
    """Find an image file's upright size, and whether its EXIF orientation turns or mirrors it.

    Pixels are decoded only where the notes of a PNG may stand behind them. Raises ImageError.
    """
    name = printable(path)
    with _opened(path, name) as stream:
        head = stream.read(1024)
        stream.seek(0)
        kind, reader = _reader(head)
        if reader is None:
            raise ImageError(f"{name} is {kind}, not an image; {_ACCEPTED} are accepted.")
        try:
            image = reader(stream)
            width, height = image.size
            _refuse_too_large(image.size, name, MAX_PIXELS)
            orientation = 1
            if isinstance(image, TiffImageFile):  # whose size Pillow has turned already
                return Upright((height, width), _known(image.tag_v2.get(_ORIENTATION)) != 1)
            if not isinstance(image, PngImageFile) or _has_notes(stream):
                orientation = _exif_orientation(image)
        except ImageError:
            raise
        except Exception as error:  # see _decode
            raise ImageError(f"{name} is a {kind} file that breaks off or is damaged.") from error
    return Upright((width, height) if orientation >= 5 else (height, width), orientation != 1)


def list_images(paths: Iterable[Path]) -> list[tuple[Path, str]]:
    """List image files and the names they go by in a COCO file.

    Folders are searched with their subfolders, sorted; hidden files and folders and unknown
    extensions are skipped, and names are relative to the folder. A path given itself is always
    listed, so that ``load`` can say what is wrong with it. Names of different files are told apart
    by their folder's name, or else by the whole path; a file met twice is listed once.
    """
    found: dict[Path, _Found] = {}
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else []
        for file in files:
            inside = file.relative_to(path)
            if _is_visible_image(file, inside):
                short, longer = printable(inside), printable(Path(path.resolve().name) / inside)
                found.setdefault(file.absolute(), _Found(file, short, longer))
        if not path.is_dir():
            found.setdefault(path.absolute(), _Found(path, printable(Path(path.name)), ""))
    return _told_apart(list(found.values()))


def fit_size(size: Size, short_side: int, long_side: int) -> tuple[float, Size]:
    """Find the scale that brings an image as close to both sides as fits, and its new size.

    Neither side of the result is below 1 px, however thin the image is.
    """
    height, width = size
    if min(height, width, short_side, long_side) < 1:
        raise InputError(f"sizes must be at least 1 px, got {size}, {short_side}, {long_side}")
    scale = min(long_side / max(height, width), short_side / min(height, width))
    return scale, (max(int(height * scale + 0.5), 1), max(int(width * scale + 0.5), 1))


def resize(pixels: Pixels, size: Size) -> Pixels:
    """Resize bilinearly as the network expects it: (H, W, 3) -> (h, w, 3)."""
    height, width = size
    resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def printable(path: Path) -> str:
    """Write a path with forward slashes; bytes that are no UTF-8 become ``\\xff``."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


# -- finding ------------------------------------------------------------------------------------


def _is_visible_image(file: Path, inside: Path) -> bool:
    hidden = any(part.startswith(".") for part in inside.parts)
    return not hidden and file.suffix.lower() in EXTENSIONS and file.is_file()


class _Found(NamedTuple):
    path: Path
    short: str
    longer: str  # with its folder's name; empty where the file itself was given


def _told_apart(found: list[_Found]) -> list[tuple[Path, str]]:
    short = Counter(one.short for one in found)
    longer = Counter(one.longer for one in found)
    listed = []
    for one in found:
        if short[one.short] == 1:
            name = one.short
        elif one.longer and longer[one.longer] == 1:
            name = one.longer
        else:
            name = printable(one.path.absolute())
        listed.append((one.path, name))
    return listed


@contextmanager
def _opened(path: Path, name: str) -> Iterator[IO[bytes]]:
    if path.is_dir():
        raise ImageError(f"{name} is a folder; an image file is needed: {_ACCEPTED} are accepted.")
    if not path.exists():
        raise ImageError(f"There is no file {name}; an image file is needed.")
    if not path.is_file():  # a pipe or a device may never end
        raise ImageError(f"{name} is no regular file; an image file is needed.")
    try:
        stream = path.open("rb")
    except OSError as error:
        raise ImageError(f"{name} can't be opened: {error.strerror}.") from error
    with stream:
        yield stream


# -- decoding -----------------------------------------------------------------------------------


def _decode(stream: IO[bytes], name: str, max_pixels: int) -> LoadedImage:
    head = stream.read(1024)
    stream.seek(0)
    kind, reader = _reader(head)
    if reader is None:
        raise ImageError(f"{name} is {kind}, not an image; {_ACCEPTED} are accepted.")
    # Decoders of foreign bytes fail in every way there is (OSError, SyntaxError, struct.error,
    # zlib.error, MemoryError, ...), and all of them mean that this file can't be shown.
    try:
        image = reader(stream)
        _refuse_too_large(image.size, name, max_pixels)
        return _upright(image)
    except ImageError:
        raise
    except Exception as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise ImageError(
            f"{name} is a {kind} file that breaks off, is damaged or has an unusual pixel layout "
            f"({reason}); save it again as 8-bit colour or as 8- or 16-bit grey."
        ) from error


def _refuse_too_large(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageError(
            f"{name} is {width:,} x {height:,} pixels, {width * height / 1e6:,.1f} million, and "
            f"the limit is {max_pixels / 1e6:,.1f} million; cut it into tiles or make it smaller."
        )


def _upright(image: ImageFile.ImageFile) -> LoadedImage:
    if isinstance(image, TiffImageFile):  # Pillow turns a TIFF while loading, and forgets that
        orientation, turn = _known(image.tag_v2.get(_ORIENTATION)), _TURNS[1]
        image.load()
    else:
        image.load()
        orientation = _exif_orientation(image)
        turn = _TURNS[orientation]
    original = _deep_grey(image)
    pixels = np.ascontiguousarray(turn(_rgb(image) if original is None else grey.spread(original)))
    height, width = pixels.shape[:2]
    return LoadedImage(
        pixels,
        None if original is None else np.ascontiguousarray(turn(original)),
        (width, height) if orientation >= 5 else (height, width),
        turned=orientation != 1,
    )


def _exif_orientation(image: ImageFile.ImageFile) -> int:
    try:
        return _known(image.getexif().get(_ORIENTATION))
    except Exception:  # damaged notes must not cost the picture
        return 1


def _has_notes(stream: IO[bytes]) -> bool:
    """Look whether a PNG holds EXIF or XMP, by stepping from chunk to chunk."""
    before = stream.tell()
    stream.seek(8)
    try:
        while len(head := stream.read(8)) == 8:
            if head[4:] in (b"eXIf", b"iTXt", b"zTXt", b"tEXt"):
                return True
            stream.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)
        return False
    finally:
        stream.seek(before)


def _known(orientation: object) -> int:
    return orientation if isinstance(orientation, int) and orientation in _TURNS else 1


_TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}


# -- pixels -------------------------------------------------------------------------------------


def _rgb(image: Image.Image) -> Pixels:
    """Convert by strips, so that Pillow's picture and ours are all that is held."""
    over_white = image.has_transparency_data and not _is_alpha_empty(image)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, image.height)
        strip = image.crop((0, top, image.width, bottom))
        if over_white:
            ground = Image.new("RGBA", strip.size, "white")
            strip = Image.alpha_composite(ground, strip.convert("RGBA"))
        pixels[top:bottom] = np.asarray(strip.convert("RGB"))
    return pixels


def _is_alpha_empty(image: Image.Image) -> bool:
    return "A" in image.getbands() and image.getchannel("A").getextrema() == (0, 0)


def _deep_grey(image: Image.Image) -> Grey | None:
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return None
    deep: Grey = np.array(image)
    if image.mode == "F":
        return deep
    if deep.dtype.itemsize == 2 or (deep.min() >= 0 and deep.max() <= 65535):
        deep = deep.astype(np.uint16)
        if isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0:
            deep = np.uint16(65535) - deep  # stored with white as 0
    return deep


# -- what a file is -----------------------------------------------------------------------------

_Reader = Callable[[IO[bytes]], ImageFile.ImageFile]

# Pillow's readers are called by name: Image.open would try each of its forty formats on a
# stranger's bytes, and would measure the size by its own limit and not by ours.
_READERS: tuple[tuple[str, bytes, _Reader], ...] = (
    ("JPEG", b"\xff\xd8\xff", JpegImageFile),
    ("PNG", b"\x89PNG\r\n\x1a\n", PngImageFile),
    ("TIFF", b"II\x2a\x00", TiffImageFile),
    ("TIFF", b"MM\x00\x2a", TiffImageFile),
    ("TIFF", b"II\x2b\x00", TiffImageFile),
    ("TIFF", b"MM\x00\x2b", TiffImageFile),
    ("GIF", b"GIF8", GifImageFile),
    ("BMP", b"BM", BmpImageFile),
    *(("PNM", b"P%d" % digit, PpmImageFile) for digit in range(1, 7)),
)

_STRANGERS: tuple[tuple[bytes, int, str], ...] = (
    (b"%PDF", 0, "a PDF document"),
    (b"PK\x03\x04", 0, "a ZIP archive or an Office document"),
    (b"\x1f\x8b", 0, "a gzip archive"),
    (b"ftyp", 4, "a HEIC or AVIF picture or a film"),
    (b"\x89HDF", 0, "an HDF5 file"),
    (b"\x93NUMPY", 0, "a NumPy file"),
    (b"DICM", 128, "a DICOM file"),
    (b"jP  ", 4, "a JPEG 2000 picture"),
)


def _reader(head: bytes) -> tuple[str, _Reader | None]:
    """Tell from its first bytes what a file is, and how it is read if it is an image."""
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WebP", WebPImageFile
    for kind, magic, reader in _READERS:
        if head.startswith(magic):
            return kind, reader
    return _stranger(head), None


def _stranger(head: bytes) -> str:
    if not head:
        return "empty (0 bytes)"
    for magic, offset, kind in _STRANGERS:
        if head.startswith(magic, offset):
            return kind
    if b"<svg" in head:
        return "an SVG drawing"
    text = head.decode("utf-8", "ignore")  # the last letter may be cut
    if len(head) - len(text.encode()) < 4 and (text.isprintable() or "\n" in text):
        return "text"
    return "of an unknown kind"
