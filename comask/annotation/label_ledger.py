"""The ledger of labels: what became of proposals, what it took, and the ids of exported files."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from comask.annotation.label_sheets import image_id
from comask.annotation.label_tables import (
    EFFORT,
    FIELDS,
    IMAGES,
    LABELS,
    NUMBERS,
    ORDERS,
    PROJECTS,
    SHEETS,
    Record,
)

Value = TypeVar("Value")

NUDGED = 0.8  # the least IoU with the proposal of a mask that was corrected, not drawn anew

_LISTED = ("row", "uid", "category", "state", "class_score", "instability", "disagreement")
_AT_ONCE = 400
_HIGHEST = 2**53 - 1  # a number that every reader of JSON keeps; higher ones are a file's own
_CHECKPOINT, _ORIGIN = FIELDS.index("checkpoint"), FIELDS.index("origin")
_CATEGORY, _PROPOSED = FIELDS.index("category"), FIELDS.index("proposed_category")

_GROUPED = ("checkpoint", "proposed_category", "category", "state", "origin")

# The class under which a label is counted: the one that the model gave it.
_CLASS = sa.func.coalesce(LABELS.c.proposed_category, LABELS.c.category)
_KNOWN = sa.select(EFFORT.c.uid).where(EFFORT.c.image == sa.bindparam("of"))
_MORE = (
    sa.update(EFFORT)
    .where(*(EFFORT.c[name] == sa.bindparam(f"new_{name}") for name in ("image", "uid", "project")))
    .values(
        checkpoint=sa.bindparam("new_checkpoint"),
        category=sa.bindparam("new_category"),
        actions=EFFORT.c.actions + sa.bindparam("new_actions"),
        seconds=EFFORT.c.seconds + sa.bindparam("new_seconds"),
    )
)
_FIRST = sa.insert(EFFORT)


def spend(
    connection: sa.Connection,
    project: int,
    image: int,
    labels: Mapping[str, Record | None],
    actions: float,
    seconds: float,
) -> None:
    """Add what a gesture took to its labels, in equal parts; without labels to the image alone."""
    if not actions and not seconds:
        return
    parts = len(labels) or 1
    one = {"image": image, "project": project, "actions": actions / parts}
    one["seconds"] = seconds / parts
    rows = [one | {"uid": uid, **_about(record)} for uid, record in (labels or {"": None}).items()]
    here = set(connection.execute(_KNOWN, {"of": image}).scalars())
    old = [row for row in rows if row["uid"] in here]
    if old:
        more = [{f"new_{name}": value for name, value in row.items()} for row in old]
        connection.execute(_MORE, more)
    new = [row for row in rows if row["uid"] not in here]
    if new:
        connection.execute(_FIRST, new)


def counts(connection: sa.Connection, project: int) -> Mapping[tuple[str, int], Counter[str]]:
    """Count what became of proposals and drawings: (checkpoint, class) -> what -> labels."""
    about = [LABELS.c[name] for name in _GROUPED]
    near = sa.func.sum(sa.case((LABELS.c.kept >= NUDGED, 1), else_=0))
    # in the order of an index: they are added up as they come, and nothing is sorted
    query = sa.select(*about, sa.func.count(), near).group_by(*about)
    query = query.where(LABELS.c.project == project)
    found: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    rows: Iterable[Any] = connection.execute(query)
    for checkpoint, proposed, category, state, origin, count, nudged in rows:
        if origin == "file":
            continue
        counts = found[checkpoint, category if proposed is None else proposed]
        if state == "rejected":
            counts["rejected"] += count
        elif origin == "person":
            counts["drawn"] += count
        elif state == "proposed":
            counts["waiting"] += count
        elif proposed is None:
            counts["accepted"] += count
        else:
            counts["nudged"] += nudged
            counts["redrawn"] += count - nudged
    return found


def times(connection: sa.Connection, project: int) -> dict[tuple[str, int], tuple[float, float]]:
    """Add up what labels took: (checkpoint, class) -> actions, seconds; a file's labels apart."""
    one = sa.and_(LABELS.c.image == EFFORT.c.image, LABELS.c.uid == EFFORT.c.uid)
    about = (EFFORT.c.checkpoint, sa.func.coalesce(_CLASS, EFFORT.c.category))
    query = sa.select(*about, sa.func.sum(EFFORT.c.actions), sa.func.sum(EFFORT.c.seconds))
    query = query.select_from(EFFORT.outerjoin(LABELS, one)).group_by(*about)
    query = query.where(EFFORT.c.project == project, EFFORT.c.checkpoint.is_not(None))
    return {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(query)}


def totals(connection: sa.Connection, project: int) -> tuple[float, float]:
    """Add up what everything took."""
    query = sa.select(sa.func.sum(EFFORT.c.actions), sa.func.sum(EFFORT.c.seconds))
    actions, seconds = connection.execute(query.where(EFFORT.c.project == project)).one()
    return actions or 0.0, seconds or 0.0


def numbers(
    connection: sa.Connection,
    project: sa.Row[Any],
    wanted: Sequence[tuple[str, str, int | None]],
) -> list[int]:
    """Give labels their numbers; the project is held."""
    images = _image_ids(connection, project.id, list(dict.fromkeys(one[0] for one in wanted)))
    names = [(images[name], uid) for name, uid, _ in wanted]
    known = _known_numbers(connection, list(images.values()))
    new: dict[tuple[int, str], int] = {}
    asked = [(one, number) for one, (_, _, number) in zip(names, wanted, strict=True)]
    own = {one: number for one, number in asked if number is not None and one not in known}
    taken = _taken(connection, project.id, set(own.values()))
    for one, number in own.items():
        if number not in taken:
            new[one] = number
            taken.add(number)
    at = max([project.next_number - 1, *(n for n in new.values() if n <= _HIGHEST)]) + 1
    for one in names:
        if one not in known and one not in new:
            new[one], at = at, at + 1
    rows = [
        {"image": image, "uid": uid, "project": project.id, "number": number}
        for (image, uid), number in new.items()
    ]
    if rows:
        connection.execute(sa.insert(NUMBERS), rows)
        here = PROJECTS.c.id == project.id
        connection.execute(sa.update(PROJECTS).where(here).values(next_number=at))
    return [known[one] if one in known else new[one] for one in names]


def queue(
    connection: sa.Connection,
    project: int,
    order: str,
    states: Sequence[str],
    part: tuple[int, int],
) -> tuple[int, Sequence[sa.Row[Any]]]:
    """Count the labels of some states, and read a part (offset, limit) of them in an order."""
    states = list(dict.fromkeys(states))
    many = sum((SHEETS.c[state] for state in states[1:]), SHEETS.c[states[0]])
    count = sa.select(sa.func.sum(many)).where(SHEETS.c.project == project)
    total = int(connection.execute(count).scalar() or 0)
    keys = [key.label(f"key{at}") for at, (key, _) in enumerate(ORDERS[order])]
    each = [
        sa.select(*keys).where(LABELS.c.project == project, LABELS.c.state == state)
        for state in states
    ]  # an index has each of them in order, so they are only merged
    wanted = [sa.text(f"key{at}" + " DESC" * high) for at, (_, high) in enumerate(ORDERS[order])]
    merged = each[0] if len(each) == 1 else sa.union_all(*each)
    some = merged.order_by(*wanted).offset(part[0]).limit(part[1]).subquery()
    one = sa.and_(LABELS.c.image == some.c.key2, LABELS.c.uid == some.c.key3)
    query = sa.select(IMAGES.c.name.label("image"), *(LABELS.c[name] for name in _LISTED))
    query = query.select_from(some).join(LABELS, one).join(IMAGES, IMAGES.c.id == LABELS.c.image)
    return total, connection.execute(query.order_by(*wanted)).all()


def _image_ids(connection: sa.Connection, project: int, names: Sequence[str]) -> dict[str, int]:
    """Find or make the numbers of images."""
    found: dict[str, int] = {}
    for some in _parts(names):
        query = sa.select(IMAGES.c.name, IMAGES.c.id).where(IMAGES.c.project == project)
        found.update(map(tuple, connection.execute(query.where(IMAGES.c.name.in_(some)))))
    return {name: found.get(name) or image_id(connection, project, name) for name in names}


def _known_numbers(connection: sa.Connection, images: Sequence[int]) -> dict[tuple[int, str], int]:
    found = {}
    for some in _parts(images):
        query = sa.select(NUMBERS.c.image, NUMBERS.c.uid, NUMBERS.c.number)
        for image, uid, number in connection.execute(query.where(NUMBERS.c.image.in_(some))):
            found[image, uid] = number
    return found


def _taken(connection: sa.Connection, project: int, wanted: Iterable[int]) -> set[int]:
    taken: set[int] = set()
    for some in _parts(list(wanted)):
        query = sa.select(NUMBERS.c.number).where(NUMBERS.c.project == project)
        taken.update(connection.execute(query.where(NUMBERS.c.number.in_(some))).scalars())
    return taken


def _parts(values: Sequence[Value]) -> list[Sequence[Value]]:
    return [values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE)]


def _about(record: Record | None) -> dict[str, object]:
    """Tell where a label is counted: a model's checkpoint, "" for drawn ones, or nowhere."""
    if record is None or record[_ORIGIN] == "file":
        return {"checkpoint": None, "category": None}
    category = record[_CATEGORY] if record[_PROPOSED] is None else record[_PROPOSED]
    drawn = record[_ORIGIN] == "person"
    return {"checkpoint": "" if drawn else record[_CHECKPOINT], "category": category}
