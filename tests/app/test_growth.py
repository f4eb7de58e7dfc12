"""What pages ask must not grow faster than the dataset: statements and steps of SQLite, no seconds.

A step is ten instructions of SQLite's machine, so it goes with the rows that are visited.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from app.services import Services, pairs
from comask.annotation import coco
from comask.annotation.records import Annotation, Dataset, ImageRecord
from comask.run import Batch, Rules, ToLabel, begin_sheet, label_image
from comask.run.labelling import Model
from tests.app.planted import SQUARES, checkpoint
from tests.app.standins import encode, open_dataset, serve, studio
from tests.evaluate.worlds import CATEGORIES, SIDE, World, moved

FEW, MANY = 20, 160

CONSTANT = {  # these visit as many rows whatever the size of the dataset
    "an image's labels": "/labels/{key}?actor=ann",
    "an image's history": "/labels/{key}/history",
    "an image's instances": "/documents/{key}?wait=0",
}
LINEAR = {
    "the grid": "/grid?dataset={dataset}&limit=10",
    "the grid from the middle": "/grid?dataset={dataset}&limit=10&offset=5",
    "one class": "/grid?dataset={dataset}&limit=10&category=1",
    "a class above a score": "/grid?dataset={dataset}&limit=10&category=1&scores=0.5,1",
    "the worst first": "/grid?dataset={dataset}&limit=10&sort=errors",
    "the numbers of the set": "/metrics?dataset={dataset}",
    "the images to be labelled": "/labels/images?project={dataset}&limit=10",
    "the queue by file": "/labels/queue?project={dataset}&limit=10",
    "the queue by score": "/labels/queue?project={dataset}&order=score&limit=10",
    "the queue by instability": "/labels/queue?project={dataset}&order=instability&limit=10",
    "the ledger": "/labels/ledger?project={dataset}",
    "the piles": "/piles?project={dataset}&limit=10",
}


@dataclass
class Meter:
    """Counts what the databases of a Studio do."""

    statements: int = 0
    steps: int = 0
    watched: set[int] = field(default_factory=set)

    def watch(self, connection: sqlite3.Connection, *_: object) -> None:
        if id(connection) not in self.watched:
            self.watched.add(id(connection))
            connection.set_trace_callback(self._stated)
            connection.set_progress_handler(self._stepped, 10)

    def _stated(self, _statement: str) -> None:
        self.statements += 1

    def _stepped(self) -> int:
        self.steps += 1
        return 0

    def taken(self, work: Callable[[], object]) -> tuple[int, int]:
        """Count what some work takes: statements, steps."""
        before = self.statements, self.steps
        work()
        return self.statements - before[0], self.steps - before[1]


class Place:
    """A dataset of some images in a Studio, every one of them run over and pre-labelled."""

    def __init__(self, folder: Path, images: int) -> None:
        self.meter = Meter()
        self.services = services = studio(folder, samples=0)
        engine = services.store.database._engine
        sa.event.listen(engine, "checkout", self.meter.watch)
        self.dataset = _plant(services, folder, images)
        found = services.datasets.get(self.dataset)
        assert found is not None
        self.found = found
        self.meter.watch(found._base)
        self.client = serve(services)
        for row in range(images - 1):  # the last one is left
            self.label(row)

    def label(self, row: int) -> None:
        """Pre-label an image."""
        file, found = checkpoint(self.services, "first"), self.found
        run, name = self.services.run(file, found), f"{row:03}.png"
        prediction = run.prediction(name)
        assert prediction is not None
        work = ToLabel(found.path(row), name, lambda size: begin_sheet(found, name, size))
        how = (Model.of(run.row), Rules(mapping={"cell": 1, "nucleus": 90}, overlap=1.0))
        batch = Batch(found.fingerprint, "batch", "ann")
        assert label_image(self.services.labels, batch, work, prediction, how).added == 4

    def ask(self, address: str) -> Any:
        """Ask what a page asks."""
        key = self.services.datasets.key(self.dataset, 7)
        found = self.client.get("/api" + address.format(dataset=self.dataset, key=key))
        assert found.status_code == 200, found.text
        return found.json()

    def accept(self) -> None:
        """Accept an image's first proposal, and undo it."""
        key = self.services.datasets.key(self.dataset, 7)
        shown = self.ask("/labels/{key}?actor=ann")
        one = next(one for one in shown["instances"] if one["state"] == "proposed")
        put = {name: one[name] for name in ("id", "category_id", "rle", "z", "iscrowd")}
        gesture = {
            "key": f"accept {shown['revision']}",
            "actor": "ann",
            "kind": "accept",
            "revision": shown["revision"],
            "put": [put | {"state": "accepted"}],
            "drop": [],
            "state": None,
            "actions": 1,
            "seconds": 1.0,
        }
        assert self.client.post(f"/api/labels/{key}/ops", json=gesture).status_code == 200
        undo = {"project": self.dataset, "actor": "ann", "key": f"undo {shown['revision']}"}
        assert self.client.post("/api/labels/undo", json=undo).json()["count"] == 1


def _plant(services: Services, folder: Path, images: int) -> str:
    """Write a dataset of equal images with three objects each, and put what is found in each."""
    world = World()
    for box in SQUARES:
        world.add_truth(box)
        world.add_instance(moved(box, 0.1), 0.9 - box[0] / 1000)
    world.add_instance((300.0, 300.0, 350.0, 350.0), 0.4)
    prediction = world.prediction()
    home = folder / "set"
    (home / "images").mkdir(parents=True)
    (home / "one.png").write_bytes(encode(np.zeros((SIDE, SIDE, 3), np.uint8)))
    records, annotations = [], list[Annotation]()
    for row in range(images):
        os.link(home / "one.png", home / "images" / f"{row:03}.png")
        records.append(ImageRecord(row + 1, f"{row:03}.png", SIDE, SIDE))
        for one in world.truth:
            annotations.append(coco.annotate(len(annotations) + 1, row + 1, 1, one.rle))
    dataset = Dataset(tuple(records), tuple(annotations), CATEGORIES)
    coco.write(home / "instances.json", dataset)
    opened = open_dataset(services, home / "images", home / "instances.json")
    identity = services.checkpoints.identity(checkpoint(services, "first"))
    for row in range(images):
        services.predictions.put(identity, services.datasets.key(opened, row), prediction)
    return opened


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Place]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "FRESH", 0.0)  # what is new is asked for every time, not by the clock
        patch.setattr(pairs, "PATIENCE", 0.0)
        made = [Place(tmp_path_factory.mktemp(f"set{count}"), count) for count in (FEW, MANY)]
        yield made[0], made[1]
        for place in made:
            place.services.close()


def compared(
    places: tuple[Place, Place], work: Callable[[Place], object]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Count what the same work takes in a small and in a large dataset, once both are warm."""
    for place in places:
        work(place)
    few, many = (place.meter.taken(lambda place=place: work(place)) for place in places)
    assert few[0] > 0, "nothing was counted"
    return few, many


@pytest.mark.parametrize("name", CONSTANT)
def test_what_is_about_one_place_visits_as_many_rows_in_any_dataset(
    places: tuple[Place, Place], name: str
) -> None:
    few, many = compared(places, lambda place: place.ask(CONSTANT[name]))
    assert many[0] == few[0]
    assert many[1] <= 1.1 * few[1] + 20


@pytest.mark.parametrize("name", LINEAR)
def test_what_is_about_all_images_grows_with_their_number_at_most(
    places: tuple[Place, Place], name: str
) -> None:
    few, many = compared(places, lambda place: place.ask(LINEAR[name]))
    assert many[0] == few[0]
    assert many[1] <= MANY / FEW * few[1] + 20


def test_a_gesture_and_its_undo_take_as_much_in_any_dataset(places: tuple[Place, Place]) -> None:
    few, many = compared(places, Place.accept)
    assert many[0] == few[0]
    assert many[1] <= 1.1 * few[1] + 20


def test_pre_labelling_one_more_image_takes_as_much_in_any_dataset(
    places: tuple[Place, Place],
) -> None:
    few, many = (
        place.meter.taken(lambda place=place, row=count - 1: place.label(row))
        for place, count in zip(places, (FEW, MANY), strict=True)
    )
    assert many[0] == few[0]
    assert many[1] <= 1.1 * few[1] + 20


def test_nothing_is_sorted_or_scanned_where_an_index_has_the_order(
    places: tuple[Place, Place],
) -> None:
    few, _ = places
    query = (
        "EXPLAIN QUERY PLAN SELECT checkpoint, proposed_category, category, state, origin, count(*)"
        " FROM comask_labels WHERE project = 1"
        " GROUP BY checkpoint, proposed_category, category, state, origin"
    )
    plan = few.services.store.database.look(
        lambda connection: [row[3] for row in connection.exec_driver_sql(query)]
    )
    assert plan == ["SEARCH comask_labels USING COVERING INDEX comask_labels_ledger (project=?)"]
