"""Files in: the labels of a stranger's file become labels of a project, as one batch."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.canvas.label_files_asked import ImportAsked
from app.services import Services
from app.services.label_sources import Source, open_source
from app.services.sheets import Project
from comask.annotation import formats, rle
from comask.annotation.formats import Arrived, Known
from comask.annotation.label_store import Base
from comask.annotation.labels import UNTOUCHED, Gesture, Label, Sheet
from comask.annotation.records import Annotation, ImageRecord, Size
from comask.errors import ConflictError, InputError

RESULTS = "results file"  # the checkpoint of findings that came in a file
_TRIES = 5  # at an image on which somebody else works


@dataclass(frozen=True)
class _Place:
    """An image that a file can speak of: its row and its name in the store."""

    row: int
    name: str


def take(services: Services, project: Project, path: Path, asked: ImportAsked) -> dict[str, Any]:
    """Bring a file's labels onto a project's images; raises InputError with one sentence."""
    source = open_source(project, services.images, services.sheets)
    work = _Work(services, project, source, asked)
    arrived = formats.read(path, work.known())
    return work.put(arrived)


class _Work:
    def __init__(
        self, services: Services, project: Project, source: Source, asked: ImportAsked
    ) -> None:
        self._store, self._project = services.labels, project.kept_as
        self._source, self._asked = source, asked
        self._classes = services.sheets.categories(project)
        self._images: dict[int, ImageRecord] = {}
        self._places: dict[int, _Place] = {}
        seen: set[str] = set()
        listed = zip(source.about().images, source.names(), strict=True)
        for row, (image, name) in enumerate(listed):
            if name not in seen:
                seen.add(name)
                self._images[image.id] = image
                self._places[image.id] = _Place(row, name)

    def known(self) -> Known:
        """Give the images and classes that the file can be about."""
        return Known(tuple(self._images.values()), self._classes, self._size, grow=True)

    def put(self, arrived: Arrived) -> dict[str, Any]:
        """Put what a file holds onto the sheets, image by image."""
        if tuple(arrived.dataset.categories) != tuple(self._classes):
            self._store.set_categories(self._project, arrived.dataset.categories)
        drawn: defaultdict[int, list[Annotation]] = defaultdict(list)
        for one in arrived.dataset.annotations:
            drawn[one.image_id].append(one)
        images = labels = 0
        for image in arrived.dataset.images:
            mine = _labels(drawn[image.id], proposed=arrived.proposed)
            added, changed = self._put(self._places[image.id], mine)
            images += changed
            labels += added
        there = len(arrived.dataset.annotations) - labels
        sentence = _sentence(images, labels, there, arrived)
        return {
            "images": images,
            "labels": labels,
            "skipped": arrived.skipped,
            "sentence": sentence,
        }

    def _size(self, image: ImageRecord) -> Size:
        return self._sheet(self._places[image.id]).size

    def _sheet(self, place: _Place) -> Sheet:
        kept = self._store.sheet(self._project, place.name)
        sheet = kept or self._source.base(place.row)
        if sheet is None:
            raise InputError(f"{place.name} can't be opened, so nothing can be laid on it")
        drawn = tuple(label for label in sheet.labels if rle.area(label.mask) > 0)
        return replace(sheet, labels=drawn)

    def _put(self, place: _Place, mine: Sequence[Label]) -> tuple[int, bool]:
        """Put labels onto one sheet; how many are new there, and whether anything was done."""
        digest = hashlib.sha256(f"{self._asked.key}|{place.name}".encode()).hexdigest()
        for attempt in range(_TRIES):
            sheet = self._sheet(place)
            put, drop = _changes(sheet, mine, replaces=self._asked.policy == "replace")
            if not put and not drop:
                return 0, False
            gesture = Gesture(
                key=digest,
                actor=self._asked.actor,
                kind="import",
                revision=sheet.revision,
                put=put,
                drop=drop,
                batch=self._asked.key,
            )
            try:
                self._store.apply(self._project, place.name, gesture, _begun(sheet))
            except ConflictError:
                if attempt == _TRIES - 1:
                    raise
                continue
            return len(put), True
        raise AssertionError("unreachable")


def _begun(sheet: Sheet) -> Base:
    return lambda: sheet


def _labels(drawn: Sequence[Annotation], *, proposed: bool) -> list[Label]:
    """Make labels, named by what they are: the same file again brings nothing new."""
    made = []
    seen: defaultdict[str, int] = defaultdict(int)
    for one in drawn:
        content = f"{one.category_id}|{one.rle.counts}|{one.iscrowd}"
        uid = f"i{hashlib.sha256(content.encode()).hexdigest()[:20]}"
        seen[uid] += 1
        label = Label(
            uid=uid if seen[uid] == 1 else f"{uid}-{seen[uid]}",
            category=one.category_id,
            mask=one.rle,
            state="accepted",
            origin="file",
            iscrowd=one.iscrowd,
            score=one.score,
            class_score=one.class_score,
            mask_iou=one.mask_iou,
        )
        if proposed:
            score = None if one.score is None else min(max(one.score, 0.0), 1.0)
            label = replace(label, state=UNTOUCHED, origin="model", checkpoint=RESULTS)
            label = replace(label, class_score=score)
        made.append(label)
    return made


def _changes(
    sheet: Sheet, mine: Sequence[Label], *, replaces: bool
) -> tuple[list[Label], list[str]]:
    """Find what is new to a sheet, and what goes; what people made or checked never does."""
    uids = {label.uid for label in mine}
    drop = [
        label.uid
        for label in sheet.labels
        if replaces and label.state == UNTOUCHED and label.uid not in uids
    ]
    stays = [label for label in sheet.labels if label.uid not in drop]
    there = {label.uid for label in stays}
    same = {(label.category, label.mask.counts) for label in stays if label.state != "rejected"}
    top = max((label.z for label in stays), default=0)
    put: list[Label] = []
    for label in mine:
        if label.uid not in there and (label.category, label.mask.counts) not in same:
            put.append(replace(label, z=top + len(put) + 1))
    return put, drop


def _sentence(images: int, labels: int, there: int, arrived: Arrived) -> str:
    said = f"{_count(labels, 'label')} on {_count(images, 'image')}"
    if there:
        said += f"; {there:,} were there already"
    if arrived.skipped:
        said += f"; {arrived.skipped:,} are left out"
    if arrived.sentences:
        said += f": {arrived.sentences[0]}"
    return f"{said}."


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
