"""What the page Label sends, parsed into frozen values or refused with one sentence.

The browser is a stranger: ``True`` is no number, NaN and 10**400 are none either, lists and texts
end, and a mask fills the image that it is said to be of. What is parsed here is well formed;
whether it makes sense for the image is the caller's affair.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from comask.annotation import rle
from comask.annotation.fields import Fields, shown
from comask.annotation.labels import STATES, ImageState, State
from comask.annotation.records import Category, Rle
from comask.errors import InputError

MOST_LABELS = 20_000  # put or dropped at once
MOST_CATEGORIES = 5_000
LONGEST_NAME = 200  # characters of a class
LONGEST_WORD = 64  # characters of a key, an actor or a project
LONGEST_KIND = 40
MOST_ACTIONS = 1_000_000
MOST_SECONDS = 86_400.0  # a day
HIGHEST = 2**31 - 1  # of revisions, classes and places in the order

_UID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class PutAsked:
    """A label as somebody wants it; the rest of it is the server's."""

    uid: str
    category: int
    mask: Rle
    state: State
    z: int
    iscrowd: bool


@dataclass(frozen=True)
class EffortAsked:
    """Work that changed nothing: actions and seconds under a key that is never counted twice."""

    key: str
    actor: str
    actions: int
    seconds: float


@dataclass(frozen=True)
class GestureAsked:
    """One thing that somebody did; see ``comask.annotation.labels.Gesture``."""

    key: str
    actor: str
    kind: str
    revision: int
    put: Sequence[PutAsked]
    drop: Sequence[str]
    state: ImageState | None
    actions: int
    seconds: float


@dataclass(frozen=True)
class RevertAsked:
    """Somebody wants to undo or redo their latest gesture in a project."""

    project: str
    actor: str
    key: str


@dataclass(frozen=True)
class CategoryAsked:
    """A class as it is to be; without an id it is a new one."""

    id: int | None
    name: str
    supercategory: str


@dataclass(frozen=True)
class CategoriesAsked:
    """All classes that a project is to have, in their order."""

    project: str
    categories: Sequence[CategoryAsked]


def gesture_asked(value: object) -> GestureAsked:
    """Read a gesture; raises InputError."""
    fields = Fields(value)
    put = [_put(one, place) for place, one in enumerate(_items(fields, "put", MOST_LABELS))]
    drop = [_uid(one, "drop") for one in _items(fields, "drop", MOST_LABELS)]
    named = Counter([one.uid for one in put] + drop)
    twice = next((uid for uid, times in named.items() if times > 1), None)
    if twice is not None:
        raise InputError(f"{twice} is put or dropped twice in one gesture")
    state = fields.get("state")
    if state is not None and state not in get_args(ImageState):
        raise InputError(f"state must be open, done or null, not {shown(state)}")
    return GestureAsked(
        key=word(fields.get("key"), "key"),
        actor=word(fields.get("actor"), "actor"),
        kind=_text(fields.get("kind"), "kind", LONGEST_KIND),
        revision=fields.whole("revision", 0, HIGHEST),
        put=put,
        drop=drop,
        state=state,
        actions=fields.whole("actions", 0, MOST_ACTIONS),
        seconds=_seconds(fields),
    )


def effort_asked(value: object) -> EffortAsked:
    """Read what somebody did that changed nothing; raises InputError."""
    fields = Fields(value)
    return EffortAsked(
        key=word(fields.get("key"), "key"),
        actor=word(fields.get("actor"), "actor"),
        actions=fields.whole("actions", 0, MOST_ACTIONS),
        seconds=_seconds(fields),
    )


def revert_asked(value: object) -> RevertAsked:
    """Read that somebody wants to undo or redo; raises InputError."""
    fields = Fields(value)
    return RevertAsked(
        project=word(fields.get("project"), "project"),
        actor=word(fields.get("actor"), "actor"),
        key=word(fields.get("key"), "key"),
    )


def categories_asked(value: object) -> CategoriesAsked:
    """Read the classes that a project is to have; raises InputError."""
    fields = Fields(value)
    project = word(fields.get("project"), "project")
    asked = []
    for one in _items(fields, "categories", MOST_CATEGORIES):
        parts = Fields(one)
        number = parts.whole("id", 0, HIGHEST) if parts.has("id") else None
        above = parts.get("supercategory")
        asked.append(
            CategoryAsked(
                number,
                _text(parts.get("name"), "a class's name", LONGEST_NAME),
                _text(above, "a supercategory", LONGEST_NAME) if above not in (None, "") else "",
            )
        )
    return CategoriesAsked(project, asked)


def numbered(asked: Sequence[CategoryAsked], known: Sequence[Category]) -> tuple[Category, ...]:
    """Give new classes the next free ids; what a file said of known ones beside stays."""
    extra = {one.id: one.extra for one in known}
    free = 1 + max([0, *extra, *(one.id for one in asked if one.id is not None)])
    made = []
    for one in asked:
        number, free = (free, free + 1) if one.id is None else (one.id, free)
        kept = extra.get(number, {})
        made.append(Category(number, one.name, one.supercategory, extra=kept))
    return tuple(made)


def word(value: object, name: str) -> str:
    """Read a short text that may stand in a log; raises InputError."""
    return _text(value, name, LONGEST_WORD)


def _text(value: object, name: str, most: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
        raise InputError(f"{name} must be a text of 1 to {most} characters, not {shown(value)}")
    return value


def _put(value: object, place: int) -> PutAsked:
    try:
        fields = Fields(value)
        state = fields.get("state")
        if not isinstance(state, str) or state not in STATES:
            raise InputError(f"state must be one of {', '.join(STATES)}, not {shown(state)}")
        crowd = fields.get("iscrowd")
        if not isinstance(crowd, bool):
            raise InputError(f"iscrowd must be true or false, not {shown(crowd)}")
        return PutAsked(
            uid=_uid(fields.get("id"), "id"),
            category=fields.whole("category_id", 0, HIGHEST),
            mask=_mask(fields.get("rle")),
            state=state,
            z=fields.whole("z", -HIGHEST, HIGHEST),
            iscrowd=crowd,
        )
    except InputError as error:
        raise InputError(f"put[{place}]: {error}") from error


def _mask(value: object) -> Rle:
    fields = Fields(value)
    size, counts = fields.items("size"), fields.text("counts")
    if len(size) != 2 or any(type(side) is not int or side < 1 for side in size):
        raise InputError(f"size must be height and width in pixels, not {shown(size)}")
    height, width = size
    if max(size) > rle.MAX_SIDE or height * width > rle.MAX_PIXELS:
        raise InputError(f"no image is {shown(width)} x {shown(height)} pixels large")
    mask = rle.from_compressed(counts, height, width)
    if rle.area(mask) == 0:
        raise InputError("its mask is empty; drop the label instead")
    return mask


def _uid(value: object, name: str) -> str:
    if not isinstance(value, str) or not _UID.fullmatch(value):
        raise InputError(f"{name} must be 1 to 64 of A-Z a-z 0-9 . _ -, not {shown(value)}")
    return value


def _items(fields: Fields, name: str, most: int) -> list[object]:
    found = fields.items(name)
    if len(found) > most:
        raise InputError(f"{name} holds {len(found):,} entries; at most {most:,} go at once")
    return found


def _seconds(fields: Fields) -> float:
    seconds = fields.number("seconds", 0)
    if seconds > MOST_SECONDS:
        raise InputError("seconds must not pass a day, 86400")
    return seconds
