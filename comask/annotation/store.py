"""The store of runs: what a checkpoint found in images, kept once for everybody who asks.

SQLAlchemy over a SQLite file (in WAL mode, so that reading never waits) or any other URL, for
example a PostgreSQL that a team shares. A run is one dataset seen by one checkpoint under one set
of settings; an outcome is what became of one image of it, written in one transaction: a process
that is killed loses no more than the image it was at. What a payload means is ``comask.run``'s
affair; here it is bytes.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.sql.schema import SchemaItem

from comask.annotation import claims
from comask.annotation.database import Database, connect
from comask.errors import InputError

SCHEMA = 1
LONGEST_NAME = 2_000  # bytes of an image's name; databases index no longer ones
MAX_PAYLOAD = 2**30  # bytes

State = Literal["done", "failed"]

_AT_ONCE = 500  # names in one question

_TABLES = sa.MetaData()
_RUNS = sa.Table(
    "comask_runs",
    _TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String(64), nullable=False, unique=True),  # of all that follows
    sa.Column("dataset", sa.String(200), nullable=False, index=True),
    sa.Column("checkpoint", sa.String(64), nullable=False),
    sa.Column("version", sa.String(40), nullable=False),
    sa.Column("settings", sa.Text, nullable=False),  # JSON
    sa.Column("created", sa.Double, nullable=False),
)


def _of_image(*columns: sa.Column[Any]) -> list[SchemaItem]:
    run = sa.ForeignKey(_RUNS.c.id, ondelete="CASCADE")
    return [
        sa.Column("run", sa.Integer, run, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(LONGEST_NAME), primary_key=True),
        *columns,
    ]


_OUTCOMES = sa.Table(
    "comask_outcomes",
    _TABLES,
    *_of_image(
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("instances", sa.Integer, nullable=False),
        sa.Column("stamp", sa.String(200), nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),  # last: lists don't read past it
    ),
)
_CLAIMS = sa.Table(
    "comask_claims",
    _TABLES,
    *_of_image(
        sa.Column("worker", sa.String(200), nullable=False),
        sa.Column("since", sa.Double, nullable=False),
    ),
)
_PAIRS = sa.Table(
    "comask_pairs",
    _TABLES,
    *_of_image(
        sa.Column("truth", sa.String(64), primary_key=True),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    ),
)
_LISTED = tuple(column for column in _OUTCOMES.c if column.name not in ("run", "payload"))


@dataclass(frozen=True)
class RunRow:
    """One run.

    dataset     a dataset's fingerprint, or the list of images that it goes over
    checkpoint  the file's identity: the start of its SHA-256
    version     of the library
    settings    JSON values; what is not named is the checkpoint's own
    created     seconds of ``time.time``
    """

    id: int
    dataset: str
    checkpoint: str
    version: str
    settings: Mapping[str, Any]
    created: float


@dataclass(frozen=True)
class OutcomeRow:
    """What became of one image.

    reason         one sentence where it failed
    width, height  of the upright image, 0 where it failed
    stamp          what the file was like, to see whether it has changed; may be empty
    """

    name: str
    state: State
    reason: str = ""
    width: int = 0
    height: int = 0
    instances: int = 0
    stamp: str = ""


class Store:
    """An open store; several threads and processes may use one at once."""

    def __init__(self, engine: sa.Engine, name: str) -> None:
        """Take an engine; makes the tables where they are not there."""
        self.database = Database(engine, name)
        self.name = name
        self.database.prepare(_TABLES, "schema", SCHEMA)

    @classmethod
    def open(cls, target: str | Path) -> "Store":
        """Open a SQLite file by its path, or any database by its URL; raises StoreError."""
        engine, name = connect(target)
        try:
            return cls(engine, name)
        except BaseException:
            engine.dispose()
            raise

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- runs -----------------------------------------------------------------------------------

    def start_or_resume(
        self, dataset: str, checkpoint: str, version: str, settings: Mapping[str, Any]
    ) -> RunRow:
        """Find the one run of these four, or begin it."""
        known = self.find(dataset, checkpoint, version, settings)
        if known is not None:
            return known
        about, key = _about_run(dataset, checkpoint, version, settings)

        def begin(connection: sa.Connection) -> RunRow:
            found = connection.execute(sa.select(_RUNS).where(_RUNS.c.key == key)).first()
            if found is None:
                values = {"key": key, "created": time.time(), **about}
                connection.execute(sa.insert(_RUNS).values(values))
                found = connection.execute(sa.select(_RUNS).where(_RUNS.c.key == key)).one()
            return _run_row(found)

        return self.database.write(begin)

    def find(
        self, dataset: str, checkpoint: str, version: str, settings: Mapping[str, Any]
    ) -> RunRow | None:
        """Find the one run of these four, if there is one."""
        _, key = _about_run(dataset, checkpoint, version, settings)
        rows = self.database.read(sa.select(_RUNS).where(_RUNS.c.key == key))
        return _run_row(rows[0]) if rows else None

    def runs(self, dataset: str | None = None) -> tuple[RunRow, ...]:
        """List the runs, of one dataset or of all, the oldest first."""
        query = sa.select(_RUNS).order_by(_RUNS.c.id)
        if dataset is not None:
            query = query.where(_RUNS.c.dataset == dataset)
        return tuple(map(_run_row, self.database.read(query)))

    # -- outcomes -------------------------------------------------------------------------------

    def outcomes(self, run: int) -> dict[str, OutcomeRow]:
        """Tell what became of every image that the run has seen, by name."""
        query = sa.select(*_LISTED).where(_OUTCOMES.c.run == run)
        return {row.name: OutcomeRow(**dict(row._mapping)) for row in self.database.read(query)}

    def outcome(self, run: int, name: str) -> OutcomeRow | None:
        """Tell what became of one image; None where the run has not seen it."""
        rows = self.database.read(sa.select(*_LISTED).where(_is(_OUTCOMES, run, name)))
        return OutcomeRow(**dict(rows[0]._mapping)) if rows else None

    def names(
        self, run: int, state: State = "done", among: Sequence[str] | None = None
    ) -> frozenset[str]:
        """Name the images that are done, or those that failed: of all, or among some."""
        query = sa.select(_OUTCOMES.c.name)
        query = query.where(_OUTCOMES.c.run == run, _OUTCOMES.c.state == state)
        if among is None:
            return frozenset(row.name for row in self.database.read(query))
        parts = (query.where(_OUTCOMES.c.name.in_(some)) for some in _parts(among, _AT_ONCE))
        return frozenset(row.name for part in parts for row in self.database.read(part))

    def put(self, run: int, outcome: OutcomeRow, payload: bytes = b"") -> None:
        """Keep what became of an image, in place of what was known; a claim on it ends."""
        check_name(outcome.name)
        if len(payload) > MAX_PAYLOAD:
            raise InputError(f"{outcome.name}: {len(payload):,} bytes are too many to keep")
        values = {"run": run, "payload": payload, **vars(outcome)}

        def replace(connection: sa.Connection) -> None:
            for table in (_PAIRS, _CLAIMS, _OUTCOMES):
                connection.execute(sa.delete(table).where(_is(table, run, outcome.name)))
            connection.execute(sa.insert(_OUTCOMES).values(values))

        self.database.write(replace)

    def payload(self, run: int, name: str) -> bytes | None:
        """Give back the bytes of an image that is done."""
        return dict(self.payloads(run, [name])).get(name)

    def payloads(self, run: int, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Give back the bytes of those images that are done, in the order of their names.

        Only a few are in memory at a time.
        """
        query = sa.select(_OUTCOMES.c.name, _OUTCOMES.c.payload)
        query = query.where(_OUTCOMES.c.run == run, _OUTCOMES.c.state == "done")
        for some in _parts(names, 16):
            rows = self.database.read(query.where(_OUTCOMES.c.name.in_(some)))
            found = {row.name: bytes(row.payload) for row in rows}
            yield from ((name, found[name]) for name in some if name in found)

    def forget(self, run: int, names: Iterable[str]) -> None:
        """Drop what became of some images, as if the run had not come to them."""
        self._forget([run], list(names))

    def forget_everywhere(self, dataset: str, name: str) -> None:
        """Drop an image of a dataset from every run."""
        self._forget([row.id for row in self.runs(dataset)], [name])

    # -- who works on what ----------------------------------------------------------------------

    def claim(self, run: int, name: str, worker: str) -> bool:
        """Take on an image for a worker; False where it is done, failed, or somebody else's."""
        check_name(name)

        def take(connection: sa.Connection) -> bool:
            held = connection.execute(sa.select(_CLAIMS).where(_is(_CLAIMS, run, name))).first()
            mine = {"run": run, "name": name, "worker": worker, "since": time.time()}
            if held is None:
                connection.execute(sa.insert(_CLAIMS).values(mine))
            elif held.worker != worker:
                if not claims.is_void(held.worker, held.since):
                    return False
                one = sa.and_(_is(_CLAIMS, run, name), _CLAIMS.c.worker == held.worker)
                if connection.execute(sa.update(_CLAIMS).where(one).values(mine)).rowcount != 1:
                    return False
            # asked last: from here on nobody else puts this one
            known = sa.select(_OUTCOMES.c.state).where(_is(_OUTCOMES, run, name))
            if connection.execute(known).first() is None:
                return True
            connection.execute(sa.delete(_CLAIMS).where(_is(_CLAIMS, run, name)))
            return False

        return self.database.write(take)

    def release(self, run: int, name: str, worker: str) -> None:
        """Give up a claim without an outcome."""
        mine = sa.and_(_is(_CLAIMS, run, name), _CLAIMS.c.worker == worker)
        self.database.write(lambda connection: connection.execute(sa.delete(_CLAIMS).where(mine)))

    # -- what was worked out from outcomes ------------------------------------------------------

    def pairs(self, run: int, truth: Mapping[str, str]) -> dict[str, bytes]:
        """Give back kept pairs: {image name: fingerprint of its truth} -> {image name: bytes}."""
        found = {}
        for some in _parts(list(truth), _AT_ONCE):
            query = sa.select(_PAIRS.c.name, _PAIRS.c.truth, _PAIRS.c.payload)
            for row in self.database.read(
                query.where(_PAIRS.c.run == run, _PAIRS.c.name.in_(some))
            ):
                if row.truth == truth[row.name]:
                    found[row.name] = bytes(row.payload)
        return found

    def put_pairs(self, run: int, name: str, truth: str, payload: bytes) -> None:
        """Keep an image's pairs until its outcome is put anew; those of an older truth go."""
        self.put_many_pairs(run, {name: (truth, payload)})

    def put_many_pairs(self, run: int, found: Mapping[str, tuple[str, bytes]]) -> None:
        """Keep pairs of several images in one transaction: name -> fingerprint of its truth, pairs.

        The disk is waited for once.
        """
        rows = [
            {"run": run, "name": name, "truth": truth, "payload": payload}
            for name, (truth, payload) in found.items()
        ]

        def replace(connection: sa.Connection) -> None:
            for some in _parts(list(found), _AT_ONCE):
                old = sa.and_(_PAIRS.c.run == run, _PAIRS.c.name.in_(some))
                connection.execute(sa.delete(_PAIRS).where(old))
            connection.execute(sa.insert(_PAIRS), rows)

        self.database.write(replace)

    # -- how --------------------------------------------------------------------------------------

    def _forget(self, runs: Sequence[int], names: Sequence[str]) -> None:
        def drop(connection: sa.Connection) -> None:
            for some in _parts(names, _AT_ONCE):
                for table in (_PAIRS, _OUTCOMES):
                    mine = sa.and_(table.c.run.in_(runs), table.c.name.in_(some))
                    connection.execute(sa.delete(table).where(mine))

        self.database.write(drop)


def _about_run(
    dataset: str, checkpoint: str, version: str, settings: Mapping[str, Any]
) -> tuple[dict[str, str], str]:
    """Write what makes a run the one it is, and the key that stands for all of it."""
    text = json.dumps(dict(settings), sort_keys=True, allow_nan=False)
    about = {"dataset": dataset, "checkpoint": checkpoint, "version": version, "settings": text}
    return about, hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _is(table: sa.Table, run: int, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.run == run, table.c.name == name)


def _run_row(row: sa.Row[Any]) -> RunRow:
    settings = json.loads(row.settings)
    return RunRow(row.id, row.dataset, row.checkpoint, row.version, settings, row.created)


def check_name(name: str) -> None:
    """Refuse a name that no image can be kept under; raises InputError."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        size = -1
    if not 0 < size <= LONGEST_NAME or "\0" in name:
        raise InputError(
            f"{name!r:.60} is no name that a store can keep an image under: it must be text of "
            f"1 .. {LONGEST_NAME} bytes"
        )


def _parts(names: Sequence[str], size: int) -> Iterator[list[str]]:
    return (list(names[start : start + size]) for start in range(0, len(names), size))
