"""What the store of labels takes in: every size, text and number is looked at once, here.

All of these raise InputError with one sentence.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import get_args

from comask.annotation import rle
from comask.annotation.labels import STATES, Gesture, ImageState, Label, Origin, Sheet
from comask.annotation.records import Category, Rle, Size
from comask.errors import AnnotationError, InputError

MOST_LABELS = 20_000  # of one image
MOST_CATEGORIES = 10_000
MOST_TEXT = 64 * 2**20  # characters of all masks of one gesture
MOST_EXTRA = 2**20  # characters of one label's unknown keys
MOST_ACTIONS = 1_000_000
MOST_SECONDS = 1e6

_UID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_INT = 2**31 - 1
_NUMBER = 2**63 - 1


def text(value: object, what: str, longest: int, least: int = 1) -> str:
    """Take a text of some characters that no database trips over."""
    if not isinstance(value, str) or not least <= len(value) <= longest or not _plain(value):
        raise InputError(
            f"{what} must be text of {least} .. {longest} characters without control characters, "
            f"got {value!r:.80}"
        )
    return value


def effort(actions: object, seconds: object) -> None:
    """Look at what a gesture took."""
    _whole(actions, "The number of actions", 0, MOST_ACTIONS)
    _number(seconds, "The time that it took", 0, MOST_SECONDS)


def gesture(given: Gesture) -> None:
    """Look at everything of a gesture but its labels."""
    text(given.key, "A gesture's key", 64)
    text(given.actor, "The actor", 64)
    text(given.kind, "A gesture's kind", 40)
    text(given.batch, "A batch", 64, least=0)
    _whole(given.revision, "The revision", 0, _INT)
    effort(given.actions, given.seconds)
    if given.state is not None and given.state not in get_args(ImageState):
        raise InputError(f"An image is open or done, not {given.state!r:.40}")
    if len(given.put) + len(given.drop) > MOST_LABELS:
        raise InputError(
            f"{len(given.put) + len(given.drop):,} labels are too many for one gesture; "
            f"{MOST_LABELS:,} are allowed"
        )
    uids = [*(label.uid for label in given.put), *given.drop]
    for uid in uids:
        _uid(uid)
    uid, count = Counter(uids).most_common(1)[0] if uids else ("", 0)
    if count > 1:
        raise InputError(f"The label {uid} is named twice in one gesture")
    if sum(len(str(label.mask.counts)) for label in given.put) > MOST_TEXT:
        raise InputError("The masks of one gesture are too long")


def labels(given: Sequence[Label], size: Size) -> list[Label]:
    """Look at the labels that are put on an image; their masks come back in the codec's form."""
    codes = [str(label.mask.counts) for label in given]
    plain = rle.are_plain(codes, [size[0] * size[1]] * len(codes))
    return [_label(one, size, is_plain) for one, is_plain in zip(given, plain, strict=True)]


def base(sheet: Sheet) -> None:
    """Look at what an image begins with; its labels are the file's own."""
    height, width = sheet.size
    _whole(height, "An image's height", 1, rle.MAX_SIDE)
    _whole(width, "An image's width", 1, rle.MAX_SIDE)
    _whole(sheet.row, "An image's row", 0, _INT)
    if len({label.uid for label in sheet.labels}) < len(sheet.labels):
        raise InputError("The image's file names two labels alike")
    if sheet.state not in get_args(ImageState):
        raise InputError(f"An image is open or done, not {sheet.state!r:.40}")
    for label in sheet.labels:
        _uid(label.uid)
        _fields(label, f"The label {label.uid} of the image's file")
        if label.mask.size != sheet.size:
            raise InputError(f"The label {label.uid} is of another size than its image")


def categories(given: Sequence[Category]) -> None:
    """Look at a project's classes."""
    if len(given) > MOST_CATEGORIES:
        raise InputError(f"{len(given):,} classes are too many; {MOST_CATEGORIES:,} are allowed")
    for one in given:
        _whole(one.id, "A class's id", 0, _INT)
        text(one.name, "A class's name", 200)
        text(one.supercategory, "A class's group", 200, least=0)
        _extra(one.extra, f"The class {one.name}")
    _refuse_twice("id", [one.id for one in given])
    _refuse_twice("name", [one.name for one in given])


def wanted(given: Sequence[tuple[str, str, int | None]]) -> None:
    """Look at labels that want numbers."""
    for _, uid, number in given:
        _uid(uid)
        if number is not None:
            _whole(number, f"The label {uid}: its number", -_NUMBER, _NUMBER)


def page(offset: object, limit: object) -> None:
    """Look at which part of a list is wanted."""
    _whole(offset, "The offset", 0, _NUMBER)
    _whole(limit, "The limit", 0, 100_000)


def _refuse_twice(what: str, values: Sequence[object]) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise InputError(f"Two classes have the {what} {value}")


def _uid(uid: object) -> None:
    if not isinstance(uid, str) or not _UID.fullmatch(uid):
        raise InputError(f"A label's name must be 1 .. 64 of A-Z a-z 0-9 . _ -, got {uid!r:.80}")


def _label(label: Label, size: Size, is_plain: bool) -> Label:
    name = f"The label {label.uid}"
    _fields(label, name)
    _extra(label.extra, name)
    for field in ("class_score", "instability", "disagreement"):
        _score(getattr(label, field), f"{name}: its {field}", 0, 1)
    mask = _mask(label.mask, size, name, is_plain)
    return label if mask == label.mask else replace(label, mask=mask)


def _fields(label: Label, name: str) -> None:
    _whole(label.category, f"{name}: its class", 0, _INT)
    _whole(label.z, f"{name}: its place in the order", -_INT, _INT)
    if label.number is not None:
        _whole(label.number, f"{name}: its number", -_NUMBER, _NUMBER)
    if label.state not in STATES:
        raise InputError(f"{name}: its state must be one of {', '.join(STATES)}")
    if label.origin not in get_args(Origin):
        raise InputError(f"{name}: its origin must be one of {', '.join(get_args(Origin))}")
    if not isinstance(label.iscrowd, bool):
        raise InputError(f"{name}: iscrowd must be true or false")
    text(label.checkpoint, f"{name}: its checkpoint", 64, least=0)
    for field in ("score", "class_score", "mask_iou", "instability", "disagreement"):
        _score(getattr(label, field), f"{name}: its {field}", -1e6, 1e6)


def _mask(mask: Rle, size: Size, name: str, is_plain: bool) -> Rle:
    if tuple(mask.size) != tuple(size):
        raise InputError(
            f"{name}: its mask is {mask.size[0]} x {mask.size[1]} pixels (height x width), the "
            f"image {size[0]} x {size[1]}"
        )
    if not isinstance(mask.counts, str):
        raise InputError(f"{name}: its counts are no text")
    try:
        found = Rle(size, mask.counts) if is_plain else rle.from_compressed(mask.counts, *size)
    except AnnotationError as error:
        raise InputError(f"{name}: {error}") from error
    if not rle.area(found):
        raise InputError(f"{name}: its mask is empty; drop the label instead")
    return found


def _extra(extra: object, name: str) -> None:
    if extra == {}:
        return
    try:
        size = len(json.dumps(dict(extra), allow_nan=False))  # type: ignore[call-overload]
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{name}: its further keys are no JSON") from error
    if size > MOST_EXTRA:
        raise InputError(f"{name}: its further keys are too long")


def _score(value: object, what: str, least: float, most: float) -> None:
    if value is not None:
        _number(value, what, least, most)


def _number(value: object, what: str, least: float, most: float) -> None:
    real = type(value) is float or (isinstance(value, Real) and not isinstance(value, bool))
    if not real or not least <= value <= most:  # type: ignore[operator]  # nan fails this too
        raise InputError(f"{what} must be a number in {least:g} .. {most:g}, got {_said(value)}")


def _whole(value: object, what: str, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{what} must be a whole number in {least} .. {most}, got {_said(value)}")


def _said(value: object) -> str:
    try:
        return f"{value!r:.40}"
    except ValueError:  # a whole number of more digits than Python writes
        return "a number without end"


def _plain(value: str) -> bool:
    return value.isprintable() or not any(
        ord(one) < 32 or ord(one) == 127 or 0xD800 <= ord(one) < 0xE000 for one in value
    )
