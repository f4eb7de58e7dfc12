"""Correcting beats drawing: somebody who knows the truth does both, with real keys and strokes."""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from app.services import Services
from app.settings import CHECKOUT, Settings
from comask.annotation import coco, rle
from comask.annotation.records import Rle
from tests.browser import plans
from tests.browser.annotator import Annotator
from tests.browser.plans import Mask
from tests.browser.served import serve, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# the first ones of the validation images: nobody chose them
IMAGES = int(os.environ.get("COMASK_ORACLE_IMAGES", "4"))
FLOOR = 0.7  # class score that pre-labelling starts from
SHARE = 0.4  # of the actions of drawing
CHECKPOINT = CHECKOUT / "assets" / "checkpoints" / "comask-tiny-nuclei.safetensors"


@dataclass(frozen=True)
class World:
    """Two datasets of the same images without annotations, and what is in them."""

    address: str
    corrected: str
    drawn: str
    truth: list[list[Mask]]  # of each image, in order

    def of(self, dataset: str) -> dict[str, list[Mask]]:
        return {f"d{dataset}-{row}": masks for row, masks in enumerate(self.truth)}


@pytest.fixture
def world(tmp_path: Path, shared_data: Path) -> Iterator[World]:
    if not CHECKPOINT.is_file():
        pytest.skip("the bundled checkpoint is not here")
    told = coco.read(shared_data / "nuclei" / "instances_val.json")
    chosen = told.images[:IMAGES]
    folders = [tmp_path / name for name in ("corrected", "drawn")]
    for folder in folders:
        folder.mkdir()
        for place, image in enumerate(chosen):
            source = shared_data / "nuclei" / "val" / image.file_name
            shutil.copy(source, folder / f"{place}.png")
    masks = [
        [rle.decode(one.rle).astype(bool) for one in told.annotations if one.image_id == image.id]
        for image in chosen
    ]
    services = Services(Settings(workspace=tmp_path / "workspace", checkpoint=CHECKPOINT))
    with serve(services) as address:
        opened = [_opened(address, folder) for folder in folders]
        yield World(address, opened[0], opened[1], masks)


def test_correcting_takes_at_most_two_fifths_of_the_actions_of_drawing(
    world: World, page: Page
) -> None:
    for dataset in (world.corrected, world.drawn):
        said = {"project": dataset, "categories": [{"id": None, "name": "nucleus"}]}
        _post(world, "labels/categories", said)
    _prelabelled(world)

    by_hand = Annotator(page, world.of(world.drawn))
    _open(world, page, world.drawn)
    by_hand.add_missed()
    _right(world, page, world.drawn)

    correcting = Annotator(page, world.of(world.corrected))
    _open(world, page, world.corrected)
    correcting.correct()
    _open(world, page, world.corrected)
    correcting.add_missed()
    _right(world, page, world.corrected)

    objects = sum(map(len, world.truth))
    print(  # noqa: T201
        f"{objects} objects: drawn in {by_hand.actions} actions, corrected in "
        f"{correcting.actions} ({correcting.actions / by_hand.actions:.2f}); {correcting.how}"
    )
    assert correcting.actions <= SHARE * by_hand.actions
    for annotator, dataset in ((by_hand, world.drawn), (correcting, world.corrected)):
        assert _ledger(world, dataset) == pytest.approx(annotator.actions, rel=0.01)


def _open(world: World, page: Page, dataset: str) -> None:
    query = f"?tab=label&source=dataset&dataset={dataset}&mode=viewer&image=d{dataset}-0"
    page.goto(world.address + query)
    until(page, f"s.label.page && s.document === 'd{dataset}-0'")
    page.get_by_test_id("canvas").focus()


def _right(world: World, page: Page, dataset: str) -> None:
    """Hold what the server keeps to the truth: every object once, and nothing else."""
    page.wait_for_function("window.studio.state().label.saved")
    for key, wanted in world.of(dataset).items():
        sheet = httpx.get(f"{world.address}api/labels/{key}").json()
        kept = [
            rle.decode(Rle(tuple(one["rle"]["size"]), one["rle"]["counts"])).astype(bool)
            for one in sheet["instances"]
            if one["state"] in ("accepted", "edited", "new")
        ]
        assert len(kept) == len(wanted)
        for goal in wanted:
            assert max(plans.iou(goal, one) for one in kept) >= plans.ENOUGH


def _ledger(world: World, dataset: str) -> float:
    found = httpx.get(f"{world.address}api/labels/ledger", params={"project": dataset}).json()
    return float(found["actions"])


def _opened(address: str, folder: Path) -> str:
    said = httpx.post(f"{address}api/datasets", json={"folder": str(folder)}, timeout=60)
    said.raise_for_status()
    return str(said.json()["id"])


def _post(world: World, path: str, said: dict[str, Any]) -> dict[str, Any]:
    answer = httpx.post(f"{world.address}api/{path}", json=said, timeout=60)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _prelabelled(world: World) -> None:
    (known,) = httpx.get(
        f"{world.address}api/labels/images", params={"project": world.corrected}
    ).json()["categories"]
    said = {
        "project": world.corrected,
        "checkpoint": CHECKPOINT.stem,
        "scope": "all",
        "keys": [],
        "min_score": FLOOR,
        "mapping": {"nucleus": known["id"]},
        "policy": "add",
        "overlap": 0.5,
        "actor": "oracle",
        "key": "first-run",
    }
    task = _post(world, "prelabel", said)["task"]
    until_ = time.monotonic() + 300
    while time.monotonic() < until_:
        state = httpx.get(f"{world.address}api/prelabel/{task}").json()
        if state["stage"] != "running":
            assert state["stage"] == "finished", state
            return
        time.sleep(0.3)
    raise AssertionError("pre-labelling did not end")
