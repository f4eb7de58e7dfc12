"""Planted misses: the right cause and the right culprit, every time."""

from collections.abc import Callable

import numpy as np
import pytest

from comask.annotation.records import Category
from comask.errors import InputError
from comask.evaluate import autopsy
from comask.evaluate.autopsy import Autopsy
from comask.structures import Fate
from tests.evaluate.worlds import IDS, Corners, World, draw, iou, moved

SEEDS = range(30)
Planted = dict[str, object]


def crowded(random: np.random.Generator, category: int) -> tuple[World, Corners, int]:
    """Plant found objects around a place that is free, and noise that passes no line."""
    world = World()
    places = random.permutation(16).tolist()
    for place in places[: random.integers(2, 6)]:
        box = cell(random, place)
        world.add_truth(box, int(random.choice([1, 90])))
        kind = world.truth[-1].category_id
        first = world.add_instance(
            moved(box, 0.02), float(random.uniform(0.6, 0.99)), category=kind
        )
        world.add_candidate(moved(box, 0.1), 0.55, Fate.SUPPRESSED, category=kind, by=first)
    free = cell(random, places[-1])
    row = world.add_truth(free, category)
    world.truth.insert(0, world.truth.pop(row)) if random.random() < 0.5 else None
    far = cell(random, places[-2])
    world.add_candidate(far, 0.3, Fate.BELOW, category=category)
    return world, free, category


def cell(random: np.random.Generator, place: int) -> Corners:
    width, height = random.integers(30, 50, 2).tolist()
    x, y = 100 * (place % 4) + 5, 100 * (place // 4) + 5
    return float(x), float(y), float(x + width), float(y + height)


def no_proposal(world: World, box: Corners, category: int) -> Planted:
    world.add_candidate(moved(box, 0.6), 0.9, Fate.BELOW, category=category)
    return {"score": None, "instance": None}


def class_score(world: World, box: Corners, category: int) -> Planted:
    other = 91 - category
    world.add_candidate(moved(box, 0.05), 0.4, Fate.KEPT, category=category)
    world.candidates[-1][3] = Fate.BELOW
    world.add_candidate(moved(box, 0.1), 0.2, Fate.BELOW, category=category)
    world.add_candidate(moved(box, 0.1), 0.45, Fate.BELOW, category=other)
    return {"score": pytest.approx(0.4), "proposal": moved(box, 0.05)}


def low_instance(world: World, box: Corners, category: int) -> Planted:
    world.add_instance(box, 0.31, category=category)
    return {"score": pytest.approx(0.31)}


def suppressed(world: World, box: Corners, category: int) -> Planted:
    rival = moved(box, 0.4)  # overlaps by 0.43, its own object's proposal
    world.add_truth(rival, category)
    by = world.add_instance(rival, 0.985, category=category)
    world.add_candidate(box, 0.97, Fate.SUPPRESSED, category=category, by=by)
    world.add_candidate(moved(box, -0.02), 0.6, Fate.SUPPRESSED, category=category, by=by)
    return {"suppressed_by": by, "proposal": box, "box": rival, "iou": iou(box, rival)}


def suppressed_by_a_close_neighbour(world: World, box: Corners, category: int) -> Planted:
    rival = moved(box, 0.25)  # overlaps by about 0.6, so it is not about nothing
    world.add_truth(rival, category)
    by = world.add_instance(rival, 0.985, category=category, proposal=moved(box, 0.2))
    world.add_candidate(moved(box, -0.05), 0.97, Fate.SUPPRESSED, category=category, by=by)
    return {"suppressed_by": by, "proposal": moved(box, -0.05)}


def limit(world: World, box: Corners, category: int) -> Planted:
    world.add_candidate(moved(box, 0.05), 0.56, Fate.CUT, category=category)
    world.add_candidate(
        moved(box, 0.08), 0.52, Fate.SUPPRESSED, category=category, by=len(world.candidates) - 1
    )
    return {"score": pytest.approx(0.56)}


def refinement(world: World, box: Corners, category: int) -> Planted:
    away = moved(box, 0.6)
    world.add_instance(away, 0.7, category=category, proposal=moved(box, 0.05))
    return {"proposal": moved(box, 0.05), "box": away, "iou": iou(away, box)}


def refinement_onto_another(world: World, box: Corners, category: int) -> Planted:
    near = moved(box, 0.7)
    world.add_truth(near, category)
    world.add_instance(near, 0.95, category=category, proposal=moved(box, 0.1))
    return {"proposal": moved(box, 0.1), "box": near}


def mask(world: World, box: Corners, category: int) -> Planted:
    x1, y1, x2, y2 = box
    part = draw((x1, y1, x1 + round(0.4 * (x2 - x1)), y2))
    world.add_instance(box, 0.8, category=category, mask=part)
    return {"box": box}


def taken(world: World, box: Corners, category: int) -> Planted:
    twin = (box[0], box[1], box[2], box[3] - 4)
    world.add_truth(twin, category)
    world.add_instance(twin, 0.9, category=category)
    return {"box": twin, "iou": pytest.approx(iou(twin, box))}


CAUSES: dict[str, list[Callable[[World, Corners, int], Planted]]] = {
    "no_proposal": [no_proposal],
    "class_score": [class_score, low_instance],
    "suppressed": [suppressed, suppressed_by_a_close_neighbour],
    "limit": [limit],
    "refinement": [refinement, refinement_onto_another],
    "mask": [mask],
    "taken": [taken],
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("cause", "plant"), [(cause, plant) for cause, plants in CAUSES.items() for plant in plants]
)
def test_a_planted_cause_is_found(
    cause: str, plant: Callable[[World, Corners, int], Planted], seed: int
) -> None:
    random = np.random.default_rng(seed)
    world, box, category = crowded(random, int(random.choice([1, 90])))
    planted = plant(world, box, category)
    prediction = world.prediction()
    row = next(row for row, one in enumerate(world.truth) if one.rle == draw(box))
    told = autopsy.explain(world.judge(prediction), row, world.truth, prediction, IDS)
    assert told.cause == cause, told.sentence
    assert told.sentence.endswith(".")
    if "suppressed_by" in planted:
        assert prediction.candidates is not None
        assert told.suppressor == prediction.candidates.by[planted.pop("suppressed_by")]
        assert f"Suppressed by p{told.suppressor + 1}:" in told.sentence
    for name, value in planted.items():
        expected = pytest.approx(value) if name in ("iou", "box", "proposal") else value
        assert getattr(told, name) == expected


def explained(world: World, *, limit: int | None = 100, iou: float = 0.5) -> Autopsy:
    prediction = world.prediction()
    judgement = world.judge(prediction, limit=limit, iou=iou)
    return autopsy.explain(judgement, 0, world.truth, prediction, IDS)


def test_sentences_carry_their_numbers() -> None:
    world = World()
    world.add_truth((0.0, 0.0, 40.0, 40.0))
    world.add_candidate((0.0, 0.0, 40.0, 10.0), 0.9, Fate.BELOW)
    assert explained(world).sentence == (
        "No proposal overlaps it by 0.50 or more: the nearest of 1 reaches 0.25."
    )
    world.add_candidate((0.0, 0.0, 40.0, 32.0), 0.497, Fate.BELOW)
    world.proposals.append(world.proposals[-1])
    world.candidates.append([1, 1, 0.83, Fate.BELOW, -1, 0.0])  # the same proposal, as a nucleus
    assert explained(world).sentence == (
        "Of the 2 proposals on it the best has a class score of 0.4970 for cell, not above the "
        "line of 0.50; it looks more like nucleus (0.83)."
    )
    world.add_instance((0.0, 0.0, 40.0, 20.0), 0.7, proposal=(0.0, 0.0, 40.0, 36.0))
    assert explained(world, iou=0.75).sentence == (
        "Refinement moved the box away: the proposal of p1 overlaps the object by 0.90, the "
        "refined box by 0.50, and 0.75 is needed."
    )


def test_an_instance_beyond_what_counts_is_the_limits_fault() -> None:
    world = World()
    world.add_truth((0.0, 0.0, 40.0, 40.0))
    world.add_truth((100.0, 0.0, 140.0, 40.0))
    world.add_instance((0.0, 0.0, 40.0, 40.0), 0.6)
    world.add_instance((100.0, 0.0, 140.0, 40.0), 0.9)
    told = explained(world, limit=1)
    assert (told.cause, told.instance) == ("limit", 1)


def test_a_suppressor_that_the_limit_cut_has_no_number() -> None:
    world = World()
    world.add_truth((0.0, 0.0, 40.0, 40.0))
    world.add_truth((16.0, 0.0, 56.0, 40.0))
    by = world.add_candidate((16.0, 0.0, 56.0, 40.0), 0.8, Fate.CUT)
    world.add_candidate((0.0, 0.0, 40.0, 40.0), 0.7, Fate.SUPPRESSED, by=by)
    told = explained(world)
    assert (told.cause, told.suppressor) == ("suppressed", None)
    assert told.box == (16.0, 0.0, 56.0, 40.0)


def test_a_category_that_the_checkpoint_does_not_know() -> None:
    world = World()
    world.add_truth((0.0, 0.0, 40.0, 40.0))
    world.add_candidate((0.0, 0.0, 40.0, 40.0), 0.9, Fate.BELOW)
    prediction = world.prediction()
    told = autopsy.explain(world.judge(prediction), 0, world.truth, prediction, {90: 90})
    assert told.cause == "class_score"
    assert "does not know" in told.sentence
    assert Category(1, "cell") in prediction.categories


def test_an_image_without_proposals() -> None:
    world = World()
    world.add_truth((0.0, 0.0, 40.0, 40.0))
    told = explained(world)
    assert (told.cause, told.proposal) == ("no_proposal", None)


def test_what_was_found_and_what_has_no_candidates_is_refused() -> None:
    world = World()
    world.add_truth((0.0, 0.0, 40.0, 40.0))
    world.add_instance((0.0, 0.0, 40.0, 40.0), 0.9)
    with pytest.raises(InputError, match="missed"):
        explained(world)
    crowd = World()
    crowd.add_truth((0.0, 0.0, 40.0, 40.0), crowd=True)
    with pytest.raises(InputError, match="crowd"):
        explained(crowd)
