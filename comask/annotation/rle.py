"""Run-length masks: pycocotools is the codec, this page is its only door.

A mask is (H, W), a crop is (h, w) at (x, y) = (column, row) of its upper left pixel. Runs go down
the columns, zeros first. What comes from a file is checked to the last run before the codec, which
trusts its input, gets to see it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as codec

from comask.annotation.records import Bbox, Rle, Size
from comask.errors import AnnotationError

Mask = NDArray[np.bool_] | NDArray[np.uint8]
Integers = NDArray[np.int64]

MAX_SIDE = 100_000  # image pixels
MAX_PIXELS = 2**31  # of one image; the codec's runs are 32-bit
MAX_OUTLINE = 4_000_000  # pixels along a polygon; the codec takes about 100 bytes for each
_MAX_COUNTS = 64_000_000  # characters or runs of one mask
_AT_ONCE = 2**15  # characters of many codes that are read at a time
_MISFIT = "its counts do not fill the image's {} x {} pixels (height x width)"


def encode(mask: Mask) -> Rle:
    """Compress a mask: (H, W), anything but 0 is inside."""
    found = codec.encode(np.asfortranarray(mask != 0, dtype=np.uint8))
    return _from_codec(found)


def encode_crop(crop: Mask, x: int, y: int, size: Size) -> Rle:
    """Compress a mask that is known inside a crop only: (h, w), to what ``encode`` would give.

    Only the crop's own columns are ever built; the zeros to their left and right are added to the
    first and last run. What lies outside the image is cut off.
    """
    height, width = size
    left, right = max(x, 0), min(x + crop.shape[1], width)
    top, bottom = max(y, 0), min(y + crop.shape[0], height)
    if left >= right or top >= bottom:
        return Rle(size, _write_number(height * width))
    strip = np.zeros((height, right - left + (right < width)), np.uint8, order="F")
    strip[top:bottom, : right - left] = crop[top - y : bottom - y, left - x : right - x] != 0
    counts: bytes = codec.encode(strip)["counts"]
    if right < width:  # the strip's last column is empty, so its last run is one of zeros
        counts = _lengthen(counts, _last_number(counts), (width - right - 1) * height)
    return Rle(size, _lengthen(counts, slice(0, _first_end(counts)), left * height).decode())


def decode(rle: Rle) -> NDArray[np.uint8]:
    """Unpack a mask: (H, W) of 0 and 1.

    The codec's own decoder leans on a protocol that numpy 2 has announced to drop.
    """
    height, width = rle.size
    lengths = runs(rle.counts)
    inside = (np.arange(lengths.size) % 2).astype(np.uint8)
    return np.repeat(inside, lengths).reshape(width, height).T


def decode_crop(rle: Rle) -> tuple[NDArray[np.uint8], int, int]:
    """Unpack a mask's tight box alone: (h, w) of 0 and 1, and the box's x, y; (0, 0) if empty."""
    height = rle.size[0]
    x, y, w, h = map(int, bbox(rle))
    ends = runs(rle.counts).cumsum().clip(x * height, (x + w) * height)
    lengths = np.diff(ends, prepend=x * height)
    inside = (np.arange(lengths.size) % 2).astype(np.uint8)
    columns = np.repeat(inside, lengths).reshape(w, height)
    return columns[:, y : y + h].T, x, y


def area(rle: Rle) -> int:
    """Count a mask's pixels."""
    return int(codec.area(rle.to_coco()))


def bbox(rle: Rle) -> Bbox:
    """Find the tight box (x, y, width, height), whole pixels; all 0 for an empty mask."""
    x, y, width, height = (int(side) for side in codec.toBbox(rle.to_coco()))
    return x, y, width, height


def iou(
    left: Sequence[Rle], right: Sequence[Rle], iscrowd: Sequence[bool] | None = None
) -> NDArray[np.float64]:
    """Compare every mask with every mask: N, M -> (N, M) in 0 .. 1.

    Where ``iscrowd`` of the right mask is set, the union is the left mask alone, as COCO has it.
    """
    if not left or not right:
        return np.zeros((len(left), len(right)))
    crowds = [int(crowd) for crowd in iscrowd or [False] * len(right)]
    found = codec.iou([r.to_coco() for r in left], [r.to_coco() for r in right], crowds)
    return np.asarray(found, np.float64)


def box_iou(
    left: NDArray[np.float64], right: NDArray[np.float64], iscrowd: Sequence[bool] | None = None
) -> NDArray[np.float64]:
    """Compare every box with every box: (N, 4), (M, 4) x, y, width, height -> (N, M) in 0 .. 1.

    COCO's own arithmetic; crowds as in ``iou``.
    """
    if not len(left) or not len(right):
        return np.zeros((len(left), len(right)))
    crowds = [int(crowd) for crowd in iscrowd or [False] * len(right)]
    found = codec.iou(np.asarray(left, np.float64), np.asarray(right, np.float64), crowds)
    return np.asarray(found, np.float64)


def merge(parts: Sequence[Rle]) -> Rle:
    """Unite masks of one size."""
    return _from_codec(codec.merge([part.to_coco() for part in parts]))


def from_polygons(polygons: Sequence[Sequence[float]], height: int, width: int) -> Rle:
    """Draw polygons [x1, y1, x2, y2, ...] as COCO draws them, all parts into one mask."""
    if not polygons:
        return Rle((height, width), _write_number(height * width))
    for polygon in polygons:
        _check_polygon(polygon, max(height, width))
    parts = codec.frPyObjects([list(map(float, polygon)) for polygon in polygons], height, width)
    return _from_codec(codec.merge(parts))


def from_uncompressed(counts: Sequence[int], height: int, width: int) -> Rle:
    """Compress a plain list of runs, zeros first; it must fill the image exactly."""
    if len(counts) > _MAX_COUNTS or any(type(run) is not int for run in counts):
        raise AnnotationError("its counts are not a list of whole numbers")
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise AnnotationError(_MISFIT.format(height, width))
    return _from_runs(np.array(counts, np.int64), (height, width))


def from_compressed(counts: str, height: int, width: int) -> Rle:
    """Take a compressed code from a file; it must fill the image exactly."""
    if len(counts) > _MAX_COUNTS:
        raise AnnotationError(f"its counts are {len(counts):,} characters long")
    found = runs(counts)
    if found.min(initial=0) < 0 or found.sum() != height * width:
        raise AnnotationError(_MISFIT.format(height, width))
    if (found[1:] == 0).any():
        return _from_runs(found, (height, width))
    return Rle((height, width), counts)


def are_plain(counts: Sequence[str], pixels: Sequence[int]) -> list[bool]:
    """Tell which codes ``from_compressed`` would take as they stand: N codes, N image areas.

    Many codes are read at once, which is several times faster than one by one. What is wrong with
    the others, or how they are better written, only ``from_compressed`` can say.
    """
    plain: list[bool] = []
    start = size = 0
    for place, code in enumerate(counts):
        if place > start and size + len(code) > _AT_ONCE:
            plain += _are_plain(counts[start:place], pixels[start:place])
            start, size = place, 0
        size += len(code)
    return plain + _are_plain(counts[start:], pixels[start:])


def runs(counts: str) -> NDArray[np.int64]:
    """Read the runs of a compressed code, zeros first.

    A number is written in groups of 5 bits, lowest first, with a bit that says "more follows";
    from the fourth on it is the difference to the run two before.
    """
    try:
        codes = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        raise AnnotationError("its counts hold characters that no code has") from None
    if not codes.size:
        return codes
    if codes.min() < 0 or codes.max() > 63 or codes[-1] & 0x20:
        raise AnnotationError("its counts break off or hold characters that no code has")
    numbers, _, lengths = _numbers(codes)
    if lengths.max() > 7:
        raise AnnotationError("its counts hold a number of more than 32 bits")
    numbers[1::2] = numbers[1::2].cumsum()  # the second run starts the odd chain,
    numbers[2::2] = numbers[2::2].cumsum()  # the third the even one: the first stands alone
    return numbers


def _numbers(codes: Integers) -> tuple[Integers, Integers, Integers]:
    """Read groups of 5 bits and their bit "more follows": N numbers, their ends, their lengths.

    A number of more than 7 groups is wrong.
    """
    ends = np.flatnonzero((codes & 0x20) == 0)
    lengths = np.diff(ends, prepend=-1)
    starts = ends - lengths + 1
    shifts = 5 * (np.arange(codes.size) - np.repeat(starts, lengths))
    numbers = np.add.reduceat((codes & 0x1F) << shifts, starts)
    numbers -= np.where(codes[ends] & 0x10, 1 << (shifts[ends] + 5), 0)
    return numbers, ends, lengths


def _are_plain(counts: Sequence[str], pixels: Sequence[int]) -> list[bool]:
    text = "".join(counts)
    sizes = np.array([len(code) for code in counts], np.int64)
    if not text or not text.isascii() or sizes.min() < 1 or len(text) > _MAX_COUNTS:
        return [False] * len(counts)
    codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    last = sizes.cumsum() - 1
    if codes.min() < 0 or codes.max() > 63 or (codes[last] & 0x20).any():
        return [False] * len(counts)
    numbers, ends, lengths = _numbers(codes)
    stops = np.searchsorted(ends, last) + 1  # a code's numbers end where it does
    starts = np.concatenate([[0], stops[:-1]])
    of_code = np.repeat(np.arange(len(counts)), stops - starts)
    inside = np.arange(len(numbers)) - starts[of_code]
    for chain in (np.flatnonzero(inside % 2), np.flatnonzero((inside % 2 == 0) & (inside > 0))):
        sums = numbers[chain].cumsum()
        firsts = np.flatnonzero(np.diff(of_code[chain], prepend=-1))
        before = sums[firsts] - numbers[chain[firsts]]
        numbers[chain] = sums - np.repeat(before, np.diff(firsts, append=len(chain)))
    strange = (lengths > 7) | (numbers < 0) | ((numbers == 0) & (inside > 0))
    right = np.add.reduceat(numbers, starts) == np.asarray(pixels, np.int64)
    right[of_code[strange]] = False
    return [bool(one) for one in right]


def _from_codec(found: dict[str, Any]) -> Rle:
    height, width = found["size"]
    return Rle((int(height), int(width)), found["counts"].decode("ascii"))


def _from_runs(counts: NDArray[np.int64], size: Size) -> Rle:
    """Compress runs after uniting those that a run of 0 pixels keeps apart.

    The codec would make them corners of the tight box.
    """
    filled = np.flatnonzero(counts)
    inside = filled % 2
    starts = np.flatnonzero(np.diff(inside, prepend=-1))
    united = np.add.reduceat(counts[filled], starts).tolist()
    if inside[0]:
        united.insert(0, 0)
    return _from_codec(codec.frPyObjects({"size": list(size), "counts": united}, *size))


def _check_polygon(polygon: Sequence[float], side: int) -> None:
    if len(polygon) < 6 or len(polygon) % 2:
        raise AnnotationError(
            f"a polygon needs 3 or more x, y pairs, and this one has {len(polygon)} numbers"
        )
    points = np.asarray(polygon, np.float64).reshape(-1, 2)
    if not np.abs(points).max() <= 2 * side:  # nan fails this too
        raise AnnotationError("a polygon runs far outside of its image")
    steps = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1)
    if steps.sum() > MAX_OUTLINE:
        raise AnnotationError(f"a polygon's outline is longer than {MAX_OUTLINE:,} pixels")


def _lengthen(counts: bytes, number: slice, extra: int) -> bytes:
    """Add to one number of a code; only a run that no later one refers to may be changed."""
    if not extra:
        return counts
    changed = _write_number(_read_number(counts[number]) + extra).encode()
    return counts[: number.start] + changed + counts[number.stop :]


def _first_end(counts: bytes) -> int:
    end = 1
    while (counts[end - 1] - 48) & 0x20:
        end += 1
    return end


def _last_number(counts: bytes) -> slice:
    start = len(counts) - 1
    while start and (counts[start - 1] - 48) & 0x20:
        start -= 1
    return slice(start, len(counts))


def _read_number(code: bytes) -> int:
    number = sum(((byte - 48) & 0x1F) << (5 * place) for place, byte in enumerate(code))
    return number - (1 << (5 * len(code))) if (code[-1] - 48) & 0x10 else number


def _write_number(number: int) -> str:
    code = ""
    while True:
        group, number = number & 0x1F, number >> 5
        done = number == (-1 if group & 0x10 else 0)
        code += chr(48 + group + (0 if done else 0x20))
        if done:
            return code
