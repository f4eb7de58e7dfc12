"""Somebody at the page Label who knows the truth; every press is counted.

Turning the wheel and moving the pointer are free, as they are in the page's own ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from playwright.sync_api import Page

from comask.annotation import rle
from comask.annotation.records import Rle
from tests.browser import plans
from tests.browser.plans import Mask, Place
from tests.browser.served import state, until

NEAR = 10.0  # screen pixels an image pixel from which on corners are clicked, or they would meet
MOST_TRIES = 6  # strokes at one label before it is drawn anew


@dataclass
class Annotator:
    """Presses keys and buttons on a page, and knows what is to be drawn: image key -> masks."""

    page: Page
    truth: dict[str, list[Mask]]
    actions: int = 0
    how: dict[str, int] = field(default_factory=dict)  # how labels came right

    # -- hands ----------------------------------------------------------------------------------

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)
        self.actions += 1

    def click(self, place: Place) -> None:
        self.page.mouse.click(*self.screen(place))
        self.actions += 1

    def drag(self, start: Place, end: Place) -> None:
        self.page.mouse.move(*self.screen(start))
        self.page.mouse.down()
        self.page.mouse.move(*self.screen(end), steps=3)
        self.page.mouse.up()
        self.actions += 1

    # -- eyes -----------------------------------------------------------------------------------

    @property
    def label(self) -> dict[str, Any]:
        found: dict[str, Any] = state(self.page)["label"]
        return found

    @property
    def image(self) -> str:
        found: str = state(self.page)["document"]
        return found

    def mask(self, uid: str) -> Mask:
        drawn = self.page.evaluate("(id) => window.studio.mask(id)", uid)
        height, width = drawn["size"]
        return rle.decode(Rle((height, width), drawn["counts"])).astype(bool)

    def screen(self, place: Place) -> Place:
        said = state(self.page)
        box = self.page.get_by_test_id("canvas").bounding_box()
        assert box is not None
        x = box["x"] + said["pan"][0] + place[0] * said["zoom"]
        y = box["y"] + said["pan"][1] + place[1] * said["zoom"]
        return x, y

    def come_near(self, places: Sequence[Place]) -> None:
        """Move the image and turn the wheel until some places are in sight and large."""
        low, high = np.min(places, axis=0) - 3, np.max(places, axis=0) + 3
        for _ in range(40):
            said = state(self.page)
            box = self.page.get_by_test_id("canvas").bounding_box()
            assert box is not None
            centre = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            left, top = self.screen((low[0], low[1]))
            right, bottom = self.screen((high[0], high[1]))
            inside = (
                left >= box["x"] + 40
                and top >= box["y"] + 40
                and right <= box["x"] + box["width"] - 40
                and bottom <= box["y"] + box["height"] - 40
            )
            share = max((right - left) / box["width"], (bottom - top) / box["height"])
            if inside and (said["zoom"] >= NEAR or share > 0.5):
                return
            x, y = centre[0] - (left + right) / 2, centre[1] - (top + bottom) / 2
            if max(abs(x) / box["width"], abs(y) / box["height"]) > 1.5:  # far away
                self.page.mouse.move(*centre)
                self.page.mouse.wheel(0, 400)
                self.settle()
                continue
            if not inside:
                self.page.mouse.move(*centre)
                self.page.mouse.down(button="middle")
                reach = (0.45 * box["width"], 0.45 * box["height"])  # the pointer stays in sight
                across, down = np.clip((x, y), np.negative(reach), reach).tolist()
                self.page.mouse.move(centre[0] + across, centre[1] + down)
                self.page.mouse.up(button="middle")
            if share > 0.8 or said["zoom"] < NEAR:
                self.page.mouse.move(*centre)
                self.page.mouse.wheel(0, 200 if share > 0.8 else -200)
            self.settle()
        raise AssertionError(f"{low} to {high} can't be brought near: {state(self.page)}")

    def settle(self) -> None:
        until(self.page, "true")

    # -- drawing --------------------------------------------------------------------------------

    def take(self, tool: str, key: str) -> None:
        if self.label["tool"] != tool:
            self.press(key)

    def draw(self, mask: Mask) -> None:
        """Draw something from nothing, corner by corner."""
        corners = plans.polygon(mask)
        self.take("polygon", "p")
        self.come_near(corners)
        before = set(self.label["states"])
        for corner in self._begun_far_from_the_picked(corners):
            self.click(corner)
        self.press("Enter")
        self.page.wait_for_function(
            "(n) => Object.keys(window.studio.state().label.states).length > n", arg=len(before)
        )
        self.how["drawn"] = self.how.get("drawn", 0) + 1

    def _begun_far_from_the_picked(self, corners: list[Place]) -> list[Place]:
        """Begin where no handle of the picked label is in the way."""
        picked = self.label["picked"]
        if picked is None:
            return corners
        y, x = np.nonzero(self.mask(picked))
        gaps = [float(np.hypot(x - at[0], y - at[1]).min()) for at in corners]
        first = int(np.argmax(gaps))
        return corners[first:] + corners[:first]

    # -- correcting -----------------------------------------------------------------------------

    def correct(self) -> None:
        """Go through the queue of all images: accept, mend or reject what is proposed."""
        matched: dict[str, dict[str, Mask]] = {}
        self.press("j")
        while True:
            self.page.wait_for_function(
                "(() => { const s = window.studio.state().label;"
                " return s.picked !== null || s.queue.total === 0; })()"
            )
            self.settle()
            key, uid = self.image, self.label["picked"]
            if self.label["queue"]["total"] == 0 or uid is None:
                break
            if key not in matched:
                matched[key] = self._match(key)
                if self._grow_all(matched[key]):
                    continue
            goal = matched[key].get(uid)
            if self.label["states"][uid] != "proposed":
                self.press("j")
            elif goal is None:
                self.press("x")
                self._changed(uid, key)
            elif plans.iou(self.mask(uid), goal) >= plans.ENOUGH:
                self.how["right"] = self.how.get("right", 0) + 1
                self.press("a")
                self._changed(uid, key)
            elif not self._mend(uid, goal):
                self.press("x")  # it is drawn anew with those that are missing
                self._changed(uid, key)

    def add_missed(self) -> None:
        """Draw what no label shows, image by image; the page is at the first one."""
        self.page.get_by_test_id("label-images").get_by_role("option").first.wait_for()
        for place, (key, wanted) in enumerate(self.truth.items()):
            if place:
                self.press("PageDown")
                self.page.wait_for_function(
                    "(key) => window.studio.state().document === key", arg=key
                )
            until(self.page, f"s.document === {key!r}")
            kept = ("accepted", "edited", "new")
            shown = [self.mask(uid) for uid, its in self.label["states"].items() if its in kept]
            for goal in wanted:
                if max((plans.iou(goal, one) for one in shown), default=0.0) < plans.ENOUGH:
                    self.draw(goal)

    def _grow_all(self, goals: dict[str, Mask]) -> bool:
        """Make every label of the image larger or smaller, where most are off to one side."""
        pairs = [(self.mask(uid), goal) for uid, goal in goals.items()]

        def right(by: int) -> int:
            grown = [(plans.grown(mask, by) if by else mask, goal) for mask, goal in pairs]
            return sum(plans.iou(mask, goal) >= plans.ENOUGH for mask, goal in grown)

        best = max((0, 1, -1, 2, -2, 3), key=lambda by: right(by) - (abs(by) + 2) * bool(by))
        if best:
            self.press("Control+a")
            self._grow(self.label["picked"], best)
            self.press("j")  # a pick of its own ends the choice
        return bool(best)

    def _grow(self, uid: str, by: int) -> None:
        for _ in range(abs(by)):
            before = self.mask(uid)
            self.press("." if by > 0 else ",")
            self._stroked(uid, before)

    def _mend(self, uid: str, goal: Mask) -> bool:
        """Bring the picked label to the truth in a few actions; says whether that went well."""
        now = self.mask(uid)
        by = next((k for k in (1, -1, 2, -2, 3) if _grows_to(now, k, goal)), 0)
        radius = self._radius()
        plan = plans.strokes(now, goal, [radius])
        if by and (plan is None or abs(by) <= len(plan)):
            self._grow(uid, by)
        else:
            longer = plan is None or len(plan) >= len(plans.polygon(goal)) + 2
            if longer or not self._stroke_by_stroke(uid, goal, radius):
                return False
        self.how["mended"] = self.how.get("mended", 0) + 1
        self.press("j")
        return True

    def _stroke_by_stroke(self, uid: str, goal: Mask, radius: float) -> bool:
        for _ in range(MOST_TRIES):
            now = self.mask(uid)
            plan = plans.strokes(now, goal, [radius])
            if plan == []:
                return True
            if plan is None:
                break
            first = plan[0]
            self.take(first.tool, "b" if first.tool == "brush" else "e")
            self.come_near([first.start, first.end])
            self.drag(first.start, first.end)
            self._stroked(uid, now)
        return plans.iou(self.mask(uid), goal) >= plans.ENOUGH

    def _radius(self) -> float:
        """Take a brush that fits what is in the image, once for each image."""
        areas = [mask.sum() for mask in self.truth[self.image]]
        wanted = max(1.5, 0.7 * float(np.sqrt(np.median(areas) / np.pi)))
        while self.label["radius"] > 1.3 * wanted:
            self.press("[")
        while self.label["radius"] < wanted / 1.3:
            self.press("]")
        return float(self.label["radius"])

    def _stroked(self, uid: str, before: Mask) -> None:
        for _ in range(40):
            self.settle()
            if (self.mask(uid) != before).any():
                return
            self.page.wait_for_timeout(25)
        raise AssertionError("a stroke changed nothing")

    def _changed(self, uid: str, key: str) -> None:
        self.page.wait_for_function(
            "([uid, key]) => { const s = window.studio.state();"
            " return s.document !== key || s.label.picked !== uid; }",
            arg=[uid, key],
        )

    def _match(self, key: str) -> dict[str, Mask]:
        """Say which proposal means which object: one to one, the best overlaps first."""
        label = self.label
        found = {uid: self.mask(uid) for uid, its in label["states"].items() if its == "proposed"}
        pairs = sorted(
            (
                (plans.iou(mask, goal), uid, place)
                for uid, mask in found.items()
                for place, goal in enumerate(self.truth[key])
                if (mask & goal).any()
            ),
            reverse=True,
        )
        goals: dict[str, Mask] = {}
        taken: set[int] = set()
        for overlap, uid, place in pairs:
            if overlap >= 0.3 and uid not in goals and place not in taken:
                goals[uid] = self.truth[key][place]
                taken.add(place)
        return goals


def _grows_to(mask: Mask, by: int, goal: Mask) -> bool:
    return plans.iou(plans.grown(mask, by), goal) >= plans.ENOUGH
