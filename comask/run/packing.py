"""A ``Prediction`` as bytes and back: everything in it, to the last bit, and nothing executable.

    comask prediction 1\\n | SHA-256 of what follows | size of the content, 8 bytes | zlib(content)

The content is the length of a JSON header (4 bytes), the header, and the arrays one after the
other, little-endian, floats with their first bytes first of all, which compresses better. The
header names the arrays with their types and shapes, the image's size and the categories.
"""

import hashlib
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comask.annotation import rle
from comask.annotation.records import Category, Rle
from comask.errors import AnnotationError, StoreError
from comask.predict import Candidates, Prediction, PredictionTrace

Array = NDArray[Any]

START = b"comask prediction 1\n"
MAX_CONTENT = 2**30  # bytes; 100 instances take about 0.8 million
MAX_HEADER = 2**24

_OWN = ("boxes", "labels", "class_scores", "mask_ious", "scores")
_TRACE = tuple(field.name for field in fields(PredictionTrace))
_CANDIDATES = tuple(field.name for field in fields(Candidates))
_TYPES = frozenset({"<f4", "<i8", "<i4", "|i1", "|u1"})
_PREFIX = len(START) + 32 + 8


def pack(prediction: Prediction) -> bytes:
    """Write a prediction; the same one always gives the same bytes."""
    arrays = {name: np.ascontiguousarray(array) for name, array in _arrays(prediction)}
    header = {
        "size": list(prediction.size),
        "categories": [[c.id, c.name, c.supercategory] for c in prediction.categories],
        "arrays": [[name, _little(a).dtype.str, list(a.shape)] for name, a in arrays.items()],
    }
    head = json.dumps(header, separators=(",", ":")).encode()
    content = b"".join([len(head).to_bytes(4, "little"), head, *map(_planes, arrays.values())])
    if len(content) > MAX_CONTENT:
        raise StoreError(f"a prediction of {len(content):,} bytes is too large to keep")
    # floats hold hardly anything twice but runs; looking for more takes twice the time, for 3 %
    press = zlib.compressobj(1, strategy=zlib.Z_RLE)
    rest = len(content).to_bytes(8, "little") + press.compress(content) + press.flush()
    return START + hashlib.sha256(rest).digest() + rest


def unpack(data: bytes) -> Prediction:
    """Read what ``pack`` wrote; raises StoreError with one sentence for anything else."""
    try:
        return _read(data)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, zlib.error) as error:
        raise StoreError(f"a kept prediction is damaged: {error}") from error


def _arrays(prediction: Prediction) -> Iterator[tuple[str, Array]]:
    for name in _OWN:
        yield name, getattr(prediction, name)
    counts = [mask.counts.encode("ascii") for mask in prediction.masks]
    yield "masks.lengths", np.array([len(count) for count in counts], np.int64)
    yield "masks.counts", np.frombuffer(b"".join(counts), np.uint8)
    for name in _TRACE:
        yield f"trace.{name}", getattr(prediction.trace, name)
    if prediction.candidates is not None:
        for name in _CANDIDATES:
            yield f"candidates.{name}", getattr(prediction.candidates, name)


def _little(array: Array) -> Array:
    kind = array.dtype.newbyteorder("<")
    if kind.str not in _TYPES:
        raise StoreError(f"a prediction holds no {array.dtype} arrays")
    return array.astype(kind, copy=False)


def _planes(array: Array) -> bytes:
    """Write an array, the first byte of every number before the second bytes, and so on."""
    array = _little(array)
    return array.reshape(-1, 1).view(np.uint8).T.tobytes()


def _read(data: bytes) -> Prediction:
    if not data.startswith(START):
        raise ValueError("it begins with something else")
    digest, rest = data[len(START) : len(START) + 32], data[len(START) + 32 :]
    if hashlib.sha256(rest).digest() != digest:
        raise ValueError("its bytes were changed or cut short")
    size = int.from_bytes(rest[:8], "little")
    if size > MAX_CONTENT:
        raise ValueError(f"it says that it holds {size:,} bytes")
    reader = zlib.decompressobj()
    content = reader.decompress(rest[8:], size + 1)
    if len(content) != size or not reader.eof:
        raise ValueError("it is longer or shorter than it says")
    length = int.from_bytes(content[:4], "little")
    if length > MAX_HEADER:
        raise ValueError(f"it says that its header has {length:,} bytes")
    header = json.loads(content[4 : 4 + length])
    return _prediction(header, dict(_split(header["arrays"], content, 4 + length)))


def _split(listed: Any, content: bytes, start: int) -> Iterator[tuple[str, Array]]:
    for name, kind, shape in listed:
        if kind not in _TYPES or not all(type(side) is int and side >= 0 for side in shape):
            raise ValueError(f"{name:.40} is no array that predictions have")
        dtype = np.dtype(kind)
        count = math.prod(shape)
        end = start + count * dtype.itemsize
        if end > len(content) or math.prod(side for side in shape if side) > MAX_CONTENT:
            raise ValueError(f"{name:.40} is longer than what is there")
        planes = np.frombuffer(content[start:end], np.uint8).reshape(dtype.itemsize, count)
        array = np.ascontiguousarray(planes.T).view(dtype).reshape(shape)
        yield name, array.astype(dtype.newbyteorder("="), copy=False)
        start = end
    if start != len(content):
        raise ValueError("it holds more than it lists")


def _prediction(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Prediction:
    height, width = header["size"]
    if not all(type(side) is int and 0 < side <= rle.MAX_SIDE for side in (height, width)):
        raise ValueError("its image has no size that images have")
    categories = tuple(Category(*values) for values in header["categories"])
    own = {name: arrays[name] for name in _OWN}
    masks = tuple(_masks(arrays["masks.lengths"], arrays["masks.counts"], (height, width)))
    trace = {name: arrays[f"trace.{name}"] for name in _TRACE}
    if {len(array) for array in (*own.values(), *trace.values())} != {len(masks)}:
        raise ValueError("its arrays are not all of one length")
    _check(own["labels"], len(categories), "labels")
    candidates = None
    if f"candidates.{_CANDIDATES[0]}" in arrays:
        candidates = Candidates(**{name: arrays[f"candidates.{name}"] for name in _CANDIDATES})
        _check_candidates(candidates, len(categories), len(masks))
    return Prediction(
        size=(height, width),
        **own,
        masks=masks,
        categories=categories,
        trace=PredictionTrace(**trace),
        candidates=candidates,
    )


def _masks(lengths: Array, counts: Array, size: tuple[int, int]) -> Iterator[Rle]:
    """Cut the codes apart; each is checked before a codec, which trusts its input, sees it."""
    ends = lengths.cumsum()
    if lengths.min(initial=0) < 0 or lengths.sum() != len(counts):
        raise ValueError("its masks are not as long as it says")
    text = counts.tobytes().decode("ascii")
    spans = zip(ends.tolist(), lengths.tolist(), strict=True)
    codes = [text[end - length : end] for end, length in spans]
    plain = rle.are_plain(codes, [size[0] * size[1]] * len(codes))
    for code, is_plain in zip(codes, plain, strict=True):
        try:
            yield Rle(size, code) if is_plain else rle.from_compressed(code, *size)
        except AnnotationError as error:
            raise ValueError(f"a mask is none: {error}") from error


def _check(numbers: Array, limit: int, name: str, low: int = 0) -> None:
    if numbers.size and not (low <= numbers.min() and numbers.max() < limit):
        raise ValueError(f"its {name} are out of range")


def _check_candidates(told: Candidates, labels: int, instances: int) -> None:
    count = len(told.rows)
    if {len(getattr(told, name)) for name in _CANDIDATES[1:]} != {count}:
        raise ValueError("its candidates are not all of one length")
    _check(told.rows, len(told.proposals), "candidates")
    _check(told.labels, labels, "candidates")
    _check(told.fates, 4, "candidates")
    _check(told.by, max(count, instances), "candidates", -1)
