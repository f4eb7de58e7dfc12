"""What ``scale.py`` measures, stage by stage; each runs in a process of its own.

A stage yields what it measured: the median on the clock and of this process's CPU for what a page
asks again and again, the one time for what is done once.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scale_world
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app import api
from app.services import CheckpointFile, Services
from app.settings import Settings
from comask.annotation import coco, files, label_export
from comask.annotation.formats import Format, WriteSettings
from comask.annotation.index import DatasetIndex
from comask.annotation.label_export import ExportSettings
from comask.annotation.label_tables import LABELS, LOG, SHEETS
from comask.annotation.labels import Sheet
from comask.annotation.records import Category
from comask.data.label_folder import LabelFolder
from comask.evaluate import certificate
from comask.run import Batch, Rules, ToLabel, default_mapping, label_image
from comask.run.labelling import Model

PREFIX, ACTOR, BATCH = "/api", "ann", "batch"
ROUNDS = 7  # of a question that a page asks


@dataclass(frozen=True)
class Place:
    """Where everything is, how many images there are, and how many objects each has.

    made  images that are gone through one by one; what comes of the others is a copy
    """

    folder: Path
    images: int
    each: int
    store: str | None
    made: int

    @property
    def cache(self) -> Path:
        """Name the folder of the index; the Studio's own."""
        return self.folder / "workspace" / "datasets"


@dataclass(frozen=True)
class Line:
    """One measurement: seconds on the clock and of this process; ``asked``: a page waits for it."""

    what: str
    clock: float
    cpu: float
    asked: bool = False


class Stopwatch:
    """Add up what is timed, and not what lies between."""

    def __init__(self) -> None:
        self.clock = self.cpu = 0.0

    def __enter__(self) -> None:
        self._clock, self._cpu = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.clock += time.perf_counter() - self._clock
        self.cpu += time.process_time() - self._cpu

    def line(self, what: str) -> Line:
        """Say what was added up."""
        return Line(what, self.clock, self.cpu)


class StandIn:
    """A model that nobody asks: everything that it finds is in the store."""

    device = "cpu"
    categories: tuple[Category, ...] = scale_world.CATEGORIES


class Studio:
    """The routes of the Studio over the dataset, asked without a network."""

    def __init__(self, place: Place) -> None:
        assets = place.folder / "assets"
        (assets / "samples").mkdir(parents=True, exist_ok=True)
        (assets / "checkpoints").mkdir(exist_ok=True)
        (assets / "checkpoints" / "model.safetensors").write_bytes(b"a stand-in")
        settings = Settings(workspace=place.folder / "workspace", assets=assets, store=place.store)
        self.services = Services(settings, lambda _path: StandIn())  # type: ignore[arg-type]
        file = self.services.checkpoints.find(None)
        assert isinstance(file, CheckpointFile)
        self.file = file
        app = FastAPI()
        app.include_router(api.router(self.services))
        self._client = TestClient(app)
        file, pictures = place.folder / "instances.json", place.folder / "images"
        state = self.services.datasets.open(pictures, file)
        while state.state == "indexing":
            time.sleep(0.05)
            state = self.services.datasets.state(state.id) or state
        self.dataset = state.id
        found = self.services.datasets.get(state.id)
        assert found is not None, state.sentence
        self.found = found

    def key(self, row: int) -> str:
        """Name an image."""
        return self.services.datasets.key(self.dataset, row)

    def get(self, address: str) -> Any:
        """Ask a question."""
        found = self._client.get(PREFIX + address)
        assert found.status_code == 200, found.text
        return found.json()

    def post(self, address: str, content: dict[str, Any]) -> Any:
        """Do something."""
        found = self._client.post(PREFIX + address, json=content)
        assert found.status_code == 200, found.text
        return found.json()

    def close(self) -> None:
        """End it."""
        self.services.close()


def once(what: str, work: Callable[[], object]) -> Line:
    """Time what is done once."""
    watch = Stopwatch()
    with watch:
        work()
    return watch.line(what)


def often(what: str, works: list[Callable[[], object]]) -> Line:
    """Time what a page asks again and again; the medians, the first time apart."""
    works[0]()
    lines = [once(what, work) for work in works[1:] or works * ROUNDS]
    clock = statistics.median(line.clock for line in lines)
    return Line(what, clock, statistics.median(line.cpu for line in lines), asked=True)


# -- truth and runs -----------------------------------------------------------------------------


def index(place: Place) -> Iterator[Line]:
    """Make the index of the COCO file, and open it again."""
    given = (place.folder / "instances.json", place.folder / "images", place.cache)
    yield once("read the COCO file, build its index", lambda: DatasetIndex.open(*given))
    yield once("open the index again", lambda: DatasetIndex.open(*given))


def store(place: Place) -> Iterator[Line]:
    """Keep what the model found."""
    studio, watch = Studio(place), Stopwatch()
    run = studio.services.run(studio.file, studio.found)
    for row in range(place.made):
        made = scale_world.prediction(row, place.each)
        with watch:
            run.put(scale_world.name(row), made)
    yield watch.line("store a run of predictions")
    studio.close()


def match(place: Place) -> Iterator[Line]:
    """Open Browse on a run that the command made: overlaps are computed once, and kept."""
    studio = Studio(place)
    address = f"/grid?dataset={studio.dataset}&limit=100"
    yield once("first page after a run by the command: every overlap", lambda: studio.get(address))
    studio.close()


def browse(place: Place) -> Iterator[Line]:
    """Ask what the page Browse asks."""
    yield once("open the Studio on the dataset", lambda: Studio(place).close())
    studio = Studio(place)
    grid = f"/grid?dataset={studio.dataset}&limit=100"
    yield once("Browse: first page of the grid, overlaps kept", lambda: studio.get(grid))
    questions = {
        "Browse: first page": "",
        "Browse: page in the middle": f"&offset={place.images // 2}",
        "Browse: one class": "&category=3",
        "Browse: a class above a score": "&category=3&scores=0.5,1",
        "Browse: images with duplicates": "&error=duplicate",
        "Browse: worst first": "&sort=errors",
        "Browse: lowest IoU first": "&sort=lowest_iou&iou=0.6",
    }
    for what, more in questions.items():
        yield often(what, [lambda more=more: studio.get(grid + more)])  # type: ignore[misc]
    sliders = [f"&score={0.3 + 0.01 * step:.2f}" for step in range(ROUNDS)]
    yield often(
        "Browse: grid at another score, worst first",
        [lambda more=more: studio.get(f"{grid}&sort=errors{more}") for more in sliders],  # type: ignore[misc]
    )
    metrics = f"/metrics?dataset={studio.dataset}"
    yield once("Browse: first numbers of the whole set", lambda: studio.get(metrics))
    sliders = [f"&score={0.3 + 0.013 * step:.3f}" for step in range(ROUNDS)]
    yield often(
        "Browse: numbers at another score",
        [lambda more=more: studio.get(metrics + more) for more in sliders],  # type: ignore[misc]
    )
    yield once(
        "Browse: curves of every class", lambda: studio.get(f"/curves?dataset={studio.dataset}")
    )
    keys = [studio.key(row * place.images // 20) for row in range(20)]
    yield often(
        "Browse: one image's instances",
        [lambda key=key: studio.get(f"/documents/{key}?wait=0") for key in keys],  # type: ignore[misc]
    )
    studio.close()


def results(place: Place) -> Iterator[Line]:
    """Write what the model found as a COCO file."""
    studio = Studio(place)
    address = f"/exports/all.json?dataset={studio.dataset}&min_score=0.5"
    yield once("download the run as COCO", lambda: studio.get(address))
    studio.close()


# -- labels -------------------------------------------------------------------------------------


def prelabel(place: Place) -> Iterator[Line]:
    """Turn what the run found into proposals on empty sheets, as of a folder without truth.

    Without a stored run, take what it would have found.
    """
    studio, watch = Studio(place), Stopwatch()
    services, found = studio.services, studio.found
    run = services.run(studio.file, found)
    batch = Batch(found.fingerprint, BATCH, ACTOR)
    mapping = default_mapping(scale_world.CATEGORIES, found.categories)
    how = (Model.of(run.row), Rules(mapping=mapping, overlap=1.0))
    for row in range(place.made):
        name = scale_world.name(row)
        with watch:
            made = run.prediction(name)
        made = made or scale_world.prediction(row, place.each)
        with watch:
            base = lambda size, row=row: Sheet(size, row=row)  # noqa: E731
            work = ToLabel(found.path(row), name, base)
            done = label_image(services.labels, batch, work, made, how)
        assert done.added, done.failure
    if place.made == place.images:
        yield watch.line("pre-label from the stored run")
    _copy(studio, place)
    studio.close()


def _copy(studio: Studio, place: Place) -> None:
    """Give the other images the labels of the first ones, as if they had been pre-labelled."""
    digits = "printf('%012d.jpg', substr(name, 1, 12) + {shift})"
    tables = {
        "comask_images (id, project, name)": f"id + {{shift}}, project, {digits}",
        "comask_sheets": "image + {shift}, project, row + {shift}, " + _columns(SHEETS, 3),
        "comask_labels": "image + {shift}, uid, project, row + {shift}, " + _columns(LABELS, 4),
        f"comask_log ({_columns(LOG, 1)})": "project, image + {shift}, actor, act, of, key ||"
        " '-{shift}', " + _columns(LOG, 7),
    }
    for shift in range(place.made, place.images, place.made):
        for table, columns in tables.items():
            name = table.split()[0]
            own = "id" if name == "comask_images" else "image"
            query = f"INSERT INTO {table} SELECT {columns} FROM {name} WHERE {own} <= {{most}}"
            most = min(place.made, place.images - shift)
            text = query.format(shift=shift, most=most)
            studio.services.store.database.in_transaction(
                lambda connection, text=text: connection.exec_driver_sql(text)
            )


def _columns(table: sa.Table, first: int) -> str:
    return ", ".join(f'"{name}"' for name in table.c.keys()[first:])


def label(place: Place) -> Iterator[Line]:
    """Ask what the page Label asks, and do what its people do."""
    studio = Studio(place)
    project = f"project={studio.dataset}"
    middle = place.images // 2
    yield once("Label: first list of images", lambda: studio.get(f"/labels/images?{project}"))
    for what, more in (("first images", ""), ("images in the middle", f"&offset={middle}")):
        address = f"/labels/images?{project}{more}"
        yield often(f"Label: {what}", [lambda address=address: studio.get(address)])  # type: ignore[misc]
    for order in ("file", "score", "instability", "disagreement"):
        address = f"/labels/queue?{project}&order={order}&states=proposed,edited"
        yield often(f"Label: next by {order}", [lambda address=address: studio.get(address)])  # type: ignore[misc]
    address += f"&offset={middle * place.each}"
    yield often("Label: queue from its middle", [lambda: studio.get(address)])
    keys = [studio.key(row * place.images // 20) for row in range(20)]
    yield often(
        "Label: one image's labels",
        [lambda key=key: studio.get(f"/labels/{key}?actor={ACTOR}") for key in keys],  # type: ignore[misc]
    )
    yield often("Label: one gesture", [lambda key=key: _accept(studio, key) for key in keys])  # type: ignore[misc]
    yield often("Label: ledger", [lambda: studio.get(f"/labels/ledger?{project}")])
    yield often("Label: an image's history", [lambda: studio.get(f"/labels/{keys[0]}/history")])
    yield often(
        "Label: undo of a gesture",
        [lambda at=at: _turn(studio, "undo", f"u{at}") for at in range(20)],  # type: ignore[misc]
    )
    yield once("Label: undo of the whole batch", lambda: _turn(studio, "undo", "batch undo"))
    yield once("Label: the batch again", lambda: _turn(studio, "redo", "batch redo"))
    studio.close()


def piles(place: Place) -> Iterator[Line]:
    """Set the model beside the labels."""
    studio = Studio(place)
    address = f"/piles?project={studio.dataset}&bar=0.5"
    yield once("Label: piles, first", lambda: studio.get(address))
    yield once("Label: piles, again", lambda: studio.get(address))
    studio.close()


def _accept(studio: Studio, key: str) -> None:
    shown = studio.get(f"/labels/{key}?actor={ACTOR}")
    one = next(one for one in shown["instances"] if one["state"] == "proposed")
    put = {name: one[name] for name in ("id", "category_id", "rle", "z", "iscrowd")}
    gesture = {
        "key": f"accept {key}",
        "actor": ACTOR,
        "kind": "accept",
        "revision": shown["revision"],
        "put": [put | {"state": "accepted"}],
        "drop": [],
        "state": None,
        "actions": 1,
        "seconds": 1.0,
    }
    studio.post(f"/labels/{key}/ops", gesture)


def _turn(studio: Studio, way: str, key: str) -> None:
    asked = {"project": studio.dataset, "actor": ACTOR, "key": key}
    done = studio.post(f"/labels/{way}", asked)
    assert done["kind"] is not None


# -- exports ------------------------------------------------------------------------------------


def export(place: Place, kind: Format) -> Iterator[Line]:
    """Write all labels, proposals too, and certify the file."""
    studio, watch = Studio(place), Stopwatch()
    folder = LabelFolder(studio.found)
    path = place.folder / ("export.json" if kind == "coco" else f"export-{kind}.zip")
    with watch:
        meant = label_export.export(
            studio.services.labels,
            studio.found.fingerprint,
            folder.about(),
            folder.base,
            ExportSettings(include="all"),
        )
    if kind == "coco":
        yield watch.line("export: gather all labels")
    settings = WriteSettings(kind)
    write = Stopwatch()
    with write:
        written = certificate.formats.write(path, meant.dataset, settings)
    yield write.line(f"export: write {kind}")
    check = Stopwatch()
    with check:
        found = certificate.certify(path, meant, written, folder.measure)
    assert found.passed
    yield check.line(f"export: certify {kind}")
    studio.close()


def read(place: Place) -> Iterator[Line]:
    """Read the exported COCO file again."""
    path = place.folder / "export.json"
    yield once("read the export whole", lambda: coco.parse(files.load(path), path.name))


STAGES: dict[str, Callable[[Place], Iterator[Line]]] = {
    "index": index,
    "store": store,
    "match": match,
    "browse": browse,
    "results": results,
    "prelabel": prelabel,
    "label": label,
    "piles": piles,
    "coco": lambda place: export(place, "coco"),
    "read": read,
    "labelme": lambda place: export(place, "labelme"),
    "yolo": lambda place: export(place, "yolo"),
}


def said(lines: Iterator[Line]) -> str:
    """Write measurements for the process that asked."""
    return json.dumps([vars(line) for line in lines])
