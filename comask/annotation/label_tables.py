"""The tables under the store of labels, and how a label lies in them.

Every image that anybody mentioned has a row; its sheet lies beside it once somebody has changed
something. A label's row is read as a *record*: a flat tuple in the order of ``FIELDS``, which is
also what the log keeps. Two records are equal when nothing of the label has changed.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import sqlalchemy as sa

from comask.annotation.labels import STATES, Label
from comask.annotation.records import Rle, Size
from comask.annotation.store import LONGEST_NAME

FORMAT = 1

Record: TypeAlias = tuple[Any, ...]
Records: TypeAlias = dict[str, Record]  # uid -> record
Change: TypeAlias = tuple[str, Record | None, Record | None]  # uid, before, after; None: not there

_AT_ONCE = 200  # images in one question

# sorted by their bytes in every database, which is how Python sorts text
_UID = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
_NAME = sa.String(LONGEST_NAME).with_variant(sa.String(LONGEST_NAME, collation="C"), "postgresql")

TABLES = sa.MetaData()
PROJECTS = sa.Table(
    "comask_projects",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False, unique=True),
    sa.Column("categories", sa.Text),  # JSON
    sa.Column("next_number", sa.BigInteger, nullable=False),
)


def _project() -> sa.Column[int]:
    return sa.Column("project", sa.ForeignKey(PROJECTS.c.id), nullable=False)


ACTORS = sa.Table(
    "comask_actors",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    _project(),
    sa.Column("name", sa.String(64), nullable=False),
    sa.UniqueConstraint("project", "name"),
)
IMAGES = sa.Table(
    "comask_images",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    _project(),
    sa.Column("name", _NAME, nullable=False),
    sa.UniqueConstraint("project", "name"),
)


def _image(*, primary_key: bool = True, **more: Any) -> sa.Column[int]:
    about = sa.ForeignKey(IMAGES.c.id)
    return sa.Column("image", about, primary_key=primary_key, autoincrement=False, **more)


SHEETS = sa.Table(
    "comask_sheets",
    TABLES,
    _image(),
    _project(),
    sa.Column("row", sa.Integer, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("base", sa.String(64), nullable=False),  # SHA-256 of what it was at revision 0
    *(sa.Column(state, sa.Integer, nullable=False) for state in STATES),  # how many labels
    sa.Index("comask_sheets_row", "project", "row"),
)
LABELS = sa.Table(
    "comask_labels",
    TABLES,
    _image(),
    sa.Column("uid", _UID, primary_key=True),
    _project(),
    sa.Column("row", sa.Integer, nullable=False),  # of the image
    sa.Column("category", sa.Integer, nullable=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("origin", sa.String(8), nullable=False),
    sa.Column("z", sa.Integer, nullable=False),
    sa.Column("iscrowd", sa.Boolean, nullable=False),
    sa.Column("number", sa.BigInteger),
    sa.Column("checkpoint", sa.String(64), nullable=False),
    sa.Column("score", sa.Double),
    sa.Column("class_score", sa.Double),
    sa.Column("mask_iou", sa.Double),
    sa.Column("instability", sa.Double),
    sa.Column("disagreement", sa.Double),
    sa.Column("kept", sa.Double),
    sa.Column("proposed_category", sa.Integer),
    sa.Column("extra", sa.Text, nullable=False),  # JSON
    sa.Column("counts", sa.Text, nullable=False),
    sa.Column("proposed", sa.Text),
)
FIELDS: tuple[str, ...] = tuple(LABELS.c.keys())[4:]
CATEGORY, STATE = FIELDS.index("category"), FIELDS.index("state")


def _or(column: sa.Column[Any], value: str) -> sa.ColumnElement[Any]:
    # written out, not bound: an index is used where the question is written as the index is
    return sa.func.coalesce(column, sa.literal_column(value))


# order of the queue -> what it is ordered by, and whether the highest comes first
_LAST = ((LABELS.c.image, False), (LABELS.c.uid, False))
ORDERS: dict[str, tuple[tuple[sa.ColumnElement[Any], bool], ...]] = {
    "file": ((LABELS.c.row, False), (_or(LABELS.c.class_score, "-1.0"), True), *_LAST),
    "score": ((_or(LABELS.c.class_score, "2.0"), False), (LABELS.c.row, False), *_LAST),
    **{
        name: ((_or(LABELS.c[name], "-1.0"), True), (LABELS.c.row, False), *_LAST)
        for name in ("instability", "disagreement")
    },
}
for _name, _order in ORDERS.items():
    _keys = [sa.desc(key) if highest else key for key, highest in _order]
    sa.Index(f"comask_labels_{_name}", LABELS.c.project, LABELS.c.state, *_keys)

# all that the ledger asks, so that it adds up narrow rows in order and reads no mask
LEDGER = sa.Index(
    "comask_labels_ledger",
    *(LABELS.c[name] for name in ("project", "checkpoint", "proposed_category", "category")),
    *(LABELS.c[name] for name in ("state", "origin", "kept")),
)

# What somebody can undo as one: a gesture, or those of a batch. "done" stands, "undone" can be
# done again, "gone" can't any more. A person's undone ones are all later than their standing ones.
ACTS = sa.Table(
    "comask_acts",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("actor", sa.ForeignKey(ACTORS.c.id), nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("batch", sa.String(64), nullable=False),
    sa.Column("standing", sa.String(8), nullable=False),
    sa.Index("comask_acts_standing", "actor", "standing", "id"),
)
# Only ever appended to. way: "do", "undo", "redo" of one image; "turn" heads an undo or a redo and
# has its key; "spend" is time alone. of: the entry that is undone or redone.
LOG = sa.Table(
    "comask_log",
    TABLES,
    sa.Column("seq", sa.Integer, primary_key=True),
    _project(),
    _image(primary_key=False, nullable=True),
    sa.Column("actor", sa.ForeignKey(ACTORS.c.id), nullable=False),
    sa.Column("act", sa.ForeignKey(ACTS.c.id)),
    sa.Column("of", sa.Integer),
    sa.Column("key", sa.String(64)),
    sa.Column("way", sa.String(8), nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("batch", sa.String(64), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),  # after it
    sa.Column("time", sa.Double, nullable=False),  # of time.time
    sa.Column("actions", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("touched", sa.Text, nullable=False),  # JSON: {"put": [uid], "drop": [uid]}
    sa.Column("payload", sa.LargeBinary, nullable=False),  # label_log knows what it means
    sa.UniqueConstraint("project", "key"),
    sa.Index("comask_log_image", "image", "seq"),
    sa.Index("comask_log_act", "act", "seq"),
)
EFFORT = sa.Table(
    "comask_effort",
    TABLES,
    _image(),
    sa.Column("uid", _UID, primary_key=True),  # "" where no label was touched
    _project(),
    sa.Column("checkpoint", sa.String(64)),  # None: neither a model's label nor drawn
    sa.Column("category", sa.Integer),
    sa.Column("actions", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Index("comask_effort_project", "project"),
)
NUMBERS = sa.Table(
    "comask_numbers",
    TABLES,
    _image(),
    sa.Column("uid", _UID, primary_key=True),
    _project(),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("project", "number"),
)
_READ = sa.select(LABELS.c.image, LABELS.c.uid, *(LABELS.c[name] for name in FIELDS)).where(
    LABELS.c.image.in_(sa.bindparam("images", expanding=True))
)
_DELETE = sa.delete(LABELS).where(
    LABELS.c.image == sa.bindparam("of"), LABELS.c.uid == sa.bindparam("name")
)
_INSERT = sa.insert(LABELS)


def to_record(label: Label) -> Record:
    """Lay a label flat."""
    return (
        label.category,
        label.state,
        label.origin,
        label.z,
        label.iscrowd,
        label.number,
        label.checkpoint,
        _float(label.score),
        _float(label.class_score),
        _float(label.mask_iou),
        _float(label.instability),
        _float(label.disagreement),
        _float(label.kept),
        label.proposed_category,
        json.dumps(dict(label.extra)) if label.extra else "{}",
        label.mask.counts,
        None if label.proposed is None else label.proposed.counts,
    )


def to_label(uid: str, record: Record, size: Size) -> Label:
    """Build a label from its record."""
    known = dict(zip(FIELDS, record, strict=True))
    counts, proposed, extra = known.pop("counts"), known.pop("proposed"), known.pop("extra")
    return Label(
        uid=uid,
        mask=Rle(size, counts),
        proposed=None if proposed is None else Rle(size, proposed),
        extra={} if extra == "{}" else json.loads(extra),
        **known,
    )


def state_of(record: Record) -> str:
    """Read a record's state."""
    return str(record[STATE])


def read_labels(connection: sa.Connection, images: Iterable[int]) -> dict[int, Records]:
    """Read all labels of some images: image -> uid -> record."""
    found: dict[int, Records] = {image: {} for image in images}
    asked = list(found)
    for start in range(0, len(asked), _AT_ONCE):
        some = {"images": asked[start : start + _AT_ONCE]}
        # all at once: fetching one by one takes three times as long
        for image, uid, *record in connection.execute(_READ, some).all():
            found[image][uid] = tuple(record)
    return found


def write_labels(
    connection: sa.Connection,
    project: int,
    rows: Mapping[int, int],
    changes: Mapping[int, Iterable[Change]],
) -> None:
    """Make changes: image -> what changes in it; ``rows`` are the images' own."""
    gone = [
        {"of": image, "name": uid}
        for image, some in changes.items()
        for uid, before, _ in some
        if before is not None
    ]
    here = [
        {
            "image": image,
            "uid": uid,
            "project": project,
            "row": rows[image],
            **dict(zip(FIELDS, after, strict=True)),
        }
        for image, some in changes.items()
        for uid, _, after in some
        if after is not None
    ]
    if gone:
        connection.execute(_DELETE, gone)
    if here:
        connection.execute(_INSERT, here)


def _float(value: float | None) -> float | None:
    return None if value is None else float(value) + 0.0  # no database keeps the sign of -0.0
