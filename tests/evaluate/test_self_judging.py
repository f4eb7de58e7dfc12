"""A set judged against itself in parts says what it says as a whole."""

from dataclasses import replace

import pytest

from comask.annotation.records import Annotation, Category, Dataset, ImageRecord
from comask.evaluate import self_judging
from comask.evaluate.self_judging import CategoryLine, judge_itself
from tests.evaluate.worlds import SIDE, World

CLASSES = (Category(1, "cell"), Category(90, "nucleus"))


def whole() -> Dataset:
    """Draw four images: two cells; a cell and a nucleus; a crowd alone; nothing."""
    world = World()
    for place, category in ((0.0, 1), (50.0, 1), (0.0, 1), (50.0, 90)):
        world.add_truth((place, 0.0, place + 20.0, 20.0), category)
    world.add_truth((0.0, 0.0, 20.0, 20.0), crowd=True)
    images = (1, 1, 2, 2, 3)
    drawn = [
        replace(one, id=number, image_id=image)
        for number, (one, image) in enumerate(zip(world.truth, images, strict=True), start=1)
    ]
    records = tuple(ImageRecord(number, f"{number}.png", SIDE, SIDE) for number in (1, 2, 3, 4))
    return Dataset(records, tuple(drawn), CLASSES)


def judged(
    monkeypatch: pytest.MonkeyPatch, found: list[Annotation], at_once: int
) -> tuple[CategoryLine, ...]:
    monkeypatch.setattr(self_judging, "AT_ONCE", at_once)
    return judge_itself(whole(), found)


@pytest.mark.parametrize("at_once", [1, 2, 500])
def test_a_set_is_flawless_against_itself(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    found = [one for one in whole().annotations if not one.iscrowd]
    cell, nucleus = judged(monkeypatch, found, at_once)
    assert cell == CategoryLine(1, "cell", 3, 1, 3, 1.0)
    assert nucleus == CategoryLine(90, "nucleus", 1, 0, 1, 1.0)


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("flaw", ["one is lost", "an image is lost", "one is twice", "all are"])
def test_a_flaw_in_any_part_is_judged_as_in_the_whole(
    monkeypatch: pytest.MonkeyPatch, flaw: str, at_once: int
) -> None:
    found = [one for one in whole().annotations if not one.iscrowd]
    changed = {
        "one is lost": found[:1] + found[2:],
        "an image is lost": found[2:],
        "one is twice": [*found, replace(found[2], id=9)],
        "all are": [],
    }[flaw]
    parts, together = judged(monkeypatch, changed, at_once), judged(monkeypatch, changed, 500)
    assert parts == together
    if flaw == "an image is lost":  # of three cells one is found: 34 of the 101 recalls
        assert parts[0].ap == pytest.approx(34 / 101)
