"""The COCO folders that people opened: read in the background, remembered, served by rows.

A dataset's id is the start of its fingerprint; an image of it is named ``d<id>-<row>``. Paths are
only ever made from ids and rows that are known, and stay below the dataset's own folder.
"""

import json
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from app.services.images import StoredImage
from comask.annotation import files, indexing, layout
from comask.annotation.index import DatasetIndex, fingerprint
from comask.annotation.indexing import Progress
from comask.annotation.layout import Layout
from comask.annotation.records import Dataset
from comask.errors import ComaskError, InputError

ID_LENGTH = 12
KEPT = 20  # datasets that are remembered; the indices of older ones are removed
PATIENCE = 1.0  # seconds that opening is waited for: most datasets take less
SCHEMA = 1

_KEY = re.compile(rf"d([0-9a-f]{{{ID_LENGTH}}})-(0|[1-9]\d{{0,8}})", re.ASCII)
_READING = "Reading {}"


@dataclass(frozen=True)
class DatasetState:
    """How far a dataset is: ``done`` of ``total`` are bytes, or images; 0 where nobody knows."""

    id: str
    name: str
    state: Literal["indexing", "ready", "failed"]
    done: int = 0
    total: int = 0
    sentence: str = ""


@dataclass(frozen=True)
class RecentDataset:
    """A dataset that was opened: what it is called, where it is, how much is in it, and when."""

    id: str
    name: str
    folder: str
    annotations_file: str | None
    images: int
    annotations: int
    opened: float


class DatasetShelf:
    """Open, remember and look into datasets; several threads may ask at once."""

    def __init__(self, workspace: Path, roots: Sequence[Path] | None) -> None:
        """Take the workspace and the folders that may be opened from; None: all of them."""
        self._cache = workspace / "datasets"
        self._roots = None if roots is None else [Path(os.path.realpath(root)) for root in roots]
        self._lock = threading.Lock()
        self._reading = threading.Lock()  # one at a time
        self._open: dict[str, DatasetIndex] = {}
        self._states: dict[str, DatasetState] = {}
        self._closing = False
        self._threads: list[threading.Thread] = []
        self._cache.mkdir(parents=True, exist_ok=True)
        self._recent = _read_recent(self._cache / "recent.json")

    # -- opening --------------------------------------------------------------------------------

    def open(self, folder: Path, annotations: Path | None = None) -> DatasetState:
        """Open a folder, or come back to it; raises InputError where there is nothing to open."""
        self._refuse_outside(folder if annotations is None else folder / annotations, folder)
        found = layout.find(folder, annotations)
        self._refuse_outside(*(p for p in (found.annotations, found.images) if p is not None))
        return self._begin(found, _name_of(found, folder))

    def prepare(
        self, name: str, found: Layout, fetch: Callable[[Progress], None], word: str
    ) -> DatasetState:
        """Open what has to be fetched first; ``word`` says what is going on."""
        return self._begin(found, name, fetch, word)

    def state(self, dataset: str) -> DatasetState | None:
        """Say how far a dataset is; one that is remembered is opened by asking."""
        with self._lock:
            known = self._states.get(dataset)
        if known is not None:
            return known
        remembered = next((one for one in self._recent if one.id == dataset), None)
        if remembered is None:
            return None
        try:
            file = remembered.annotations_file
            found = Layout(None if file is None else Path(file), Path(remembered.folder), "")
            self._refuse_outside(*(p for p in (found.annotations, found.images) if p is not None))
            return self._begin(found, remembered.name)
        except InputError as error:
            return DatasetState(dataset, remembered.name, "failed", sentence=str(error))

    def get(self, dataset: str) -> DatasetIndex | None:
        """Look into a dataset; None while it is read, and for one that nobody opened."""
        if dataset not in self._open:
            self.state(dataset)
        with self._lock:
            return self._open.get(dataset)

    def recent(self) -> tuple[RecentDataset, ...]:
        """List the datasets that were opened, the latest first."""
        with self._lock:
            return self._recent

    def close(self, timeout: float = 5.0) -> None:
        """Stop reading."""
        self._closing = True
        for thread in list(self._threads):
            thread.join(timeout)
        for dataset in self._open.values():
            dataset.close()

    # -- images ---------------------------------------------------------------------------------

    def image(self, key: str) -> StoredImage | None:
        """Find an image by its key; raises InputError where its file must not be opened."""
        found = self._row(key)
        if found is None:
            return None
        dataset, row = found
        path = dataset.path(row)
        return StoredImage(key, dataset.image(row).file_name, "dataset", path, _version(path))

    def truth(self, key: str) -> Dataset | None:
        """Read what is drawn on an image; None where the dataset has no truth."""
        found = self._row(key)
        if found is None:
            return None
        dataset, row = found
        drawn = dataset.annotations(row) if dataset.has_truth else ()
        return Dataset((dataset.image(row),), drawn, dataset.categories, {}, ())

    @staticmethod
    def key(dataset: str, row: int) -> str:
        """Name an image of a dataset."""
        return f"d{dataset}-{row}"

    def image_id(self, key: str) -> int | None:
        """Find an image's id in its COCO file."""
        found = self._row(key)
        return None if found is None else found[0].image(found[1]).id

    def place(self, key: str) -> tuple[str, int] | None:
        """Take a key apart: the dataset's id and the row."""
        match = _KEY.fullmatch(key)
        return None if match is None else (match[1], int(match[2]))

    def _row(self, key: str) -> tuple[DatasetIndex, int] | None:
        place = self.place(key)
        if place is None:
            return None
        dataset = self.get(place[0])
        if dataset is None:
            state = self.state(place[0])
            if state is not None:
                raise InputError(state.sentence or f"{state.name} is still being read.")
            return None
        return (dataset, place[1]) if place[1] < len(dataset) else None

    # -- in the background ----------------------------------------------------------------------

    def _begin(
        self,
        found: Layout,
        name: str,
        fetch: Callable[[Progress], None] | None = None,
        word: str = "",
    ) -> DatasetState:
        dataset = fingerprint(found.annotations, found.images)[:ID_LENGTH]
        word = word or _READING.format((found.annotations or found.images).name)
        with self._lock:
            known = self._states.get(dataset)
            if known is not None and known.state == "indexing":
                return known
            begun = DatasetState(dataset, name, "indexing", sentence=f"{word}.")
            self._states[dataset] = begun
            thread = threading.Thread(
                target=self._read, args=(begun, found, fetch, word), name="dataset", daemon=True
            )
            self._threads = [t for t in self._threads if t.is_alive()] + [thread]
        thread.start()
        thread.join(PATIENCE)
        return self._states[dataset]

    def _read(
        self,
        begun: DatasetState,
        found: Layout,
        fetch: Callable[[Progress], None] | None,
        word: str,
    ) -> None:
        def progress(done: int, total: int) -> None:
            if self._closing:
                raise InputError("The Studio was closed while the dataset was read.")
            share = f": {100 * done // total} %" if total else ""
            self._say(replace(begun, done=done, total=total, sentence=f"{word}{share}."))

        try:
            with self._reading:
                if fetch is not None:
                    fetch(progress)
                opened = DatasetIndex.open(found.annotations, found.images, self._cache, progress)
        except (ComaskError, OSError) as error:
            self._say(replace(begun, state="failed", sentence=_sentence(error)))
            return
        except Exception as error:
            kind = type(error).__name__
            self._say(
                replace(begun, state="failed", sentence=f"The dataset can't be read ({kind}).")
            )
            raise
        with self._lock:
            self._open[begun.id] = opened  # whoever holds the former one may go on with it
        self._remember(begun, found, opened)
        self._say(replace(begun, state="ready", sentence=_summary(found, opened)))

    def _say(self, state: DatasetState) -> None:
        with self._lock:
            self._states[state.id] = state

    def _remember(self, state: DatasetState, found: Layout, opened: DatasetIndex) -> None:
        file = found.annotations
        entry = RecentDataset(
            id=state.id,
            name=state.name,
            folder=str(found.images),
            annotations_file=None if file is None else str(file),
            images=len(opened),
            annotations=opened.annotation_count,
            opened=time.time(),
        )
        with self._lock:
            rest = [one for one in self._recent if one.id != state.id]
            self._recent = (entry, *rest[: KEPT - 1])
            content = {"schema": SCHEMA, "recent": [asdict(one) for one in self._recent]}
            files.replace_file(self._cache / "recent.json", json.dumps(content).encode())
            for forgotten in rest[KEPT - 1 :]:
                if forgotten.id not in self._open:
                    for place in self._cache.glob(f"{forgotten.id}*.sqlite"):
                        place.unlink(missing_ok=True)

    def _refuse_outside(self, *places: Path) -> None:
        if self._roots is None:
            return
        for place in places:
            real = Path(os.path.realpath(place))
            if not any(real.is_relative_to(root) for root in self._roots):
                raise InputError(
                    "This Studio is open to other machines, so it only opens folders below those "
                    "that launch.py was given with --data."
                )


def _name_of(found: Layout, folder: Path) -> str:
    if found.annotations is None:
        return folder.name or str(folder)
    stem = found.annotations.stem
    home = found.annotations.parent
    home = home.parent if home.name == "annotations" else home
    split = stem.removeprefix("instances").removeprefix("_").removesuffix(".coco")
    return f"{home.name} {split}" if split and split != "annotations" else home.name


def _summary(found: Layout, opened: DatasetIndex) -> str:
    parts = [found.sentence] if found.sentence else []
    if missing := len(opened.missing):
        parts.append(f"{missing:,} of {len(opened):,} images are missing.")
    if opened.fault_count:
        first = opened.faults[0].sentence
        parts.append(f"{opened.fault_count:,} records are left out; the first: {first}.")
    return " ".join(parts)


def _version(path: Path) -> str:
    try:
        return indexing.stamp(path.stat())
    except OSError:
        return ""


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, ComaskError):
        return f"The dataset can't be read: {error.strerror or error}."
    return f"{str(error).rstrip('.')}."


def _read_recent(place: Path) -> tuple[RecentDataset, ...]:
    """Read what is remembered; a damaged file is as good as none."""
    try:
        content = json.loads(place.read_bytes())
        if content["schema"] != SCHEMA:
            return ()
        found = tuple(RecentDataset(**one) for one in content["recent"])
        return tuple(one for one in found if re.fullmatch(rf"[0-9a-f]{{{ID_LENGTH}}}", one.id))
    except (OSError, ValueError, KeyError, TypeError):
        return ()
