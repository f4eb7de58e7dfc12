"""What the page asks of the model for its labels, parsed into frozen values or refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.canvas.label_asked import HIGHEST, word
from app.canvas.payload import LONGEST_KEY
from comask.annotation.fields import Fields, is_number, shown
from comask.errors import InputError

Scope = Literal["all", "unlabelled", "selected"]

MOST_KEYS = 100_000  # images that are chosen one by one
MOST_CLASSES = 5_000
MOST_ROWS = 100_000  # of a pile
LONGEST_NAME = 1_000  # characters of a checkpoint's or a class's name


@dataclass(frozen=True)
class RulesAsked:
    """Which instances become labels; see ``comask.run.Rules``."""

    mapping: Mapping[str, int | None]
    min_score: float
    overlap: float
    policy: Literal["add", "replace"] = "add"


@dataclass(frozen=True)
class PrelabelAsked:
    """A run over images of a project; ``keys`` are those of the scope "selected"."""

    project: str
    checkpoint: str
    scope: Scope
    keys: Sequence[str]
    rules: RulesAsked
    actor: str
    key: str


@dataclass(frozen=True)
class RegionAsked:
    """A region of an image, x1, y1, x2, y2 in image pixels; ``gesture`` is the key."""

    key: str
    box: Sequence[float]
    checkpoint: str
    rules: RulesAsked
    actor: str
    gesture: str
    revision: int


@dataclass(frozen=True)
class RefitAsked:
    """A box, x1, y1, x2, y2 in image pixels, and the project's class, None for the likeliest."""

    box: Sequence[float]
    checkpoint: str
    category: int | None


@dataclass(frozen=True)
class PileRow:
    """A row of a pile: the image, the label's uid and the instance's id."""

    key: str
    label: str | None
    found: str | None


@dataclass(frozen=True)
class PileAsked:
    """Something to be done to a pile, or to some rows of it; None is all of it."""

    project: str
    checkpoint: str
    bar: float
    min_score: float
    pile: str
    action: str
    rows: Sequence[PileRow] | None
    actor: str
    key: str


def prelabel_asked(value: object) -> PrelabelAsked:
    """Read which images are to be pre-labelled, and how; raises InputError."""
    fields = Fields(value)
    scope = fields.get("scope")
    if scope not in ("all", "unlabelled", "selected"):
        raise InputError(f"scope must be all, unlabelled or selected, not {shown(scope)}")
    keys = [] if scope != "selected" else [_key(one) for one in _items(fields, "keys", MOST_KEYS)]
    return PrelabelAsked(
        project=word(fields.get("project"), "project"),
        checkpoint=_name(fields, "checkpoint"),
        scope=scope,
        keys=keys,
        rules=_rules(fields),
        actor=word(fields.get("actor"), "actor"),
        key=word(fields.get("key"), "key"),
    )


def region_asked(value: object) -> RegionAsked:
    """Read which region the model is to look at; raises InputError."""
    fields = Fields(value)
    return RegionAsked(
        key=_key(fields.get("key")),
        box=_box(fields),
        checkpoint=_name(fields, "checkpoint"),
        rules=_rules(fields),
        actor=word(fields.get("actor"), "actor"),
        gesture=word(fields.get("gesture"), "gesture"),
        revision=fields.whole("revision", 0, HIGHEST),
    )


def refit_asked(value: object) -> RefitAsked:
    """Read in which box the model is to draw; raises InputError."""
    fields = Fields(value)
    category = fields.whole("category_id", 0, HIGHEST) if fields.has("category_id") else None
    return RefitAsked(_box(fields), _name(fields, "checkpoint"), category)


def pile_asked(value: object) -> PileAsked:
    """Read what is to be done to a pile; raises InputError."""
    fields = Fields(value)
    rows = None
    if fields.get("rows") is not None:
        rows = [_row(one) for one in _items(fields, "rows", MOST_ROWS)]
    return PileAsked(
        project=word(fields.get("project"), "project"),
        checkpoint=_name(fields, "checkpoint"),
        bar=_share(fields, "bar", 0.1),
        min_score=_share(fields, "min_score"),
        pile=word(fields.get("pile"), "pile"),
        action=word(fields.get("action"), "action"),
        rows=rows,
        actor=word(fields.get("actor"), "actor"),
        key=word(fields.get("key"), "key"),
    )


def _rules(fields: Fields) -> RulesAsked:
    policy = fields.get("policy")
    if policy not in ("add", "replace", None):
        raise InputError(f"policy must be add or replace, not {shown(policy)}")
    return RulesAsked(
        mapping=_mapping(fields),
        min_score=_share(fields, "min_score"),
        overlap=_share(fields, "overlap"),
        policy=policy or "add",
    )


def _mapping(fields: Fields) -> dict[str, int | None]:
    given = fields.object("mapping")
    if len(given) > MOST_CLASSES:
        raise InputError(f"mapping holds {len(given):,} classes; at most {MOST_CLASSES:,} go")
    found: dict[str, int | None] = {}
    for name, number in given.items():
        if number is not None and (type(number) is not int or not 0 <= number <= HIGHEST):
            raise InputError(f"mapping: {shown(name)} must go to a category or to null")
        found[name] = number
    return found


def _share(fields: Fields, name: str, low: float = 0.0) -> float:
    value = fields.number(name, low)
    if value > 1:
        raise InputError(f"{name} must be in {low:g} .. 1, not {shown(value)}")
    return value


def _box(fields: Fields) -> list[float]:
    value = fields.get("box")
    if not isinstance(value, list) or len(value) != 4 or not all(map(is_number, value)):
        raise InputError(f"box must be four numbers x1, y1, x2, y2, not {shown(value)}")
    return [float(one) for one in value]


def _row(value: object) -> PileRow:
    fields = Fields(value)
    label, found = fields.get("label"), fields.get("found")
    return PileRow(
        _key(fields.get("key")),
        None if label is None else word(label, "label"),
        None if found is None else word(found, "found"),
    )


def _items(fields: Fields, name: str, most: int) -> list[Any]:
    found = fields.items(name)
    if len(found) > most:
        raise InputError(f"{name} holds {len(found):,} entries; at most {most:,} go at once")
    return found


def _name(fields: Fields, name: str) -> str:
    value = fields.text(name)
    if len(value) > LONGEST_NAME:
        raise InputError(f"{name} is longer than {LONGEST_NAME} characters")
    return value


def _key(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_KEY:
        raise InputError(f"an image's key must be a text of 1 to {LONGEST_KEY} characters")
    return value
