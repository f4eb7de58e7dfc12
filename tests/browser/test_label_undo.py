"""Whatever somebody did on the page Label, in 300 random gestures, is undone and done again."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from tests.browser.folders import folder_of_blobs
from tests.browser.served import Site, state, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

GESTURES = 300
RELOADS = 4

SINGLE = ("a", "x", "1", "2", "f", "d", "t", "Shift+T", ".", ",", "Backspace", "Enter", "m")
STROKES = {"b": 3, "e": 2, "o": 2, "s": 2, "l": 1, "p": 2}


class Hand:
    """Presses keys and buttons at random, the same ones every time."""

    def __init__(self, page: Page, seed: int) -> None:
        self.page, self.choose = page, random.Random(seed)

    def act(self) -> None:
        kind = self.choose.choices(("key", "stroke", "pick", "step"), (5, 4, 3, 1))[0]
        if kind == "key":
            self.page.keyboard.press(self.choose.choice(SINGLE))
        elif kind == "stroke":
            self._stroke(self.choose.choices(tuple(STROKES), tuple(STROKES.values()))[0])
        elif kind == "pick":
            self._pick()
        else:
            self.page.keyboard.press(self.choose.choice(("j", "k", "PageDown", "PageUp")))
        until(self.page, "true")

    def _stroke(self, tool: str) -> None:
        self.page.keyboard.press(tool)
        corners = [self._place() for _ in range(4)]
        if tool == "p":
            for corner in corners:
                self.page.mouse.click(*corner)
            self.page.keyboard.press("Enter")
        else:
            self.page.mouse.move(*corners[0])
            self.page.mouse.down()
            for corner in corners[1:]:
                self.page.mouse.move(*corner, steps=4)
            self.page.mouse.up()
        if tool == "l":
            self.page.keyboard.press(self.choose.choice(("Delete", "2", "m", ".")))
        self.page.keyboard.press("v")

    def _pick(self) -> None:
        shown = state(self.page)["shown"]
        if not shown:
            return
        place = self.page.evaluate(
            "(id) => window.studio.point(id)", self.choose.choice(sorted(shown))
        )
        if place is None:
            return
        held = self.choose.random() < 0.3
        if held:
            self.page.keyboard.down("Shift")
        self.page.mouse.click(place["x"], place["y"])
        if held:
            self.page.keyboard.up("Shift")

    def _place(self) -> tuple[float, float]:
        box = self.page.get_by_test_id("canvas").bounding_box()
        assert box is not None
        across, down = (self.choose.uniform(0.2, 0.8) for _ in range(2))
        return box["x"] + across * box["width"], box["y"] + down * box["height"]


def test_300_gestures_are_undone_and_done_again_over_reloads(
    site: Site, page: Page, tmp_path: Path
) -> None:
    folder = folder_of_blobs(tmp_path / "blobs")
    said = {"folder": str(folder), "annotations": None}
    dataset = httpx.post(f"{site.address}api/datasets", json=said).json()["id"]
    project = site.services.datasets.get(dataset)
    assert project is not None
    address = f"{site.address}?tab=label&source=dataset&dataset={dataset}&image=d{dataset}-0"

    def hashed() -> str:
        page.wait_for_function("window.studio.state().label.saved")
        assert project is not None
        return site.services.labels.state_hash(project.fingerprint)

    def opened() -> None:
        page.goto(address)
        until(page, "s.label.page && s.label.revision !== null")
        page.get_by_test_id("canvas").focus()

    opened()
    page.keyboard.press("1")  # nothing is picked: no gesture, but from here on somebody sits here
    before = hashed()
    hand = Hand(page, seed=11)
    for number in range(GESTURES):
        if number and number % (GESTURES // RELOADS) == 0:
            opened()
        if number == GESTURES // 2:
            _prelabel(site, dataset, state(page)["label"]["actor"])
            opened()
        hand.act()
    after = hashed()
    assert after != before

    def turned(key: str, way: str) -> int:
        """Undo, or do again, until nothing is left; says how many steps the store took."""
        known = _steps(tmp_path, way)
        _all_the_way(page, key, way)
        return _steps(tmp_path, way) - known

    steps = turned("u", "undo")
    assert steps > GESTURES / 4  # gestures that changed something; many keys find nothing to do
    assert hashed() == before

    opened()
    assert turned("Shift+U", "redo") == steps
    assert hashed() == after

    opened()
    assert turned("u", "undo") == steps
    assert hashed() == before


def _all_the_way(page: Page, key: str, way: str) -> None:
    """Press a key until nothing is left; one that comes while the page moves on does nothing."""
    until(page, "s.label.saved")
    for _ in range(3 * GESTURES):
        page.wait_for_function("window.studio.state().label.saved")
        until(page, "s.label.revision !== null")
        if state(page)["label"][way] is None:
            return
        page.keyboard.press(key)
    raise AssertionError(f"there is no end to {way}")


def _steps(folder: Path, way: str) -> int:
    with closing(sqlite3.connect(folder / "workspace" / "runs.sqlite")) as store:
        asked = "SELECT count(*) FROM comask_log WHERE way = 'turn' AND kind = ?"
        (count,) = store.execute(asked, (way,)).fetchone()
    return int(count)


def _prelabel(site: Site, dataset: str, actor: str) -> None:
    """Have a batch over all images in between, which its author undoes like anything else."""
    name = site.services.checkpoints.find(None)
    assert name is not None
    said: dict[str, Any] = {
        "project": dataset,
        "checkpoint": name.name,
        "scope": "all",
        "keys": [],
        "min_score": 0.05,
        "mapping": {"blob": 7, "speck": 90},
        "policy": "add",
        "overlap": 0.9,
        "actor": actor,
        "key": "in-between",
    }
    task = httpx.post(f"{site.address}api/prelabel", json=said, timeout=60)
    assert task.status_code == 200, task.text
    for _ in range(600):
        answer = httpx.get(f"{site.address}api/prelabel/{task.json()['task']}").json()
        if answer["stage"] != "running":
            assert answer["stage"] == "finished", answer
            assert not answer["failed"], answer
            return
    raise AssertionError("pre-labelling did not end")
