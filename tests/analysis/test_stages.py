"""The stages of a film and the way between them."""

import pytest

from comask.analysis.stages import SCALE, Moment, moments, stages_of, weight_colour


def test_halfway_between_two_moments() -> None:
    mixed = Moment(proposal=1, travel=0.5).toward(Moment(second=1, travel=1), 0.5)
    assert mixed == Moment(proposal=0.5, second=0.5, travel=0.75)


def test_six_stages_in_the_order_of_the_model() -> None:
    names = [stage.name for stage in stages_of()]
    assert names == ["proposal", "first", "votes", "box", "mask", "iou"]
    assert stages_of()[-1].moment.second > 0
    assert stages_of()[-1].moment.first == 0


def test_without_a_second_pass_no_stage_pretends_one() -> None:
    stages = stages_of(weighted=False, second=False)
    assert [stage.name for stage in stages] == ["proposal", "first", "votes", "box", "iou"]
    assert all(stage.moment.second == 0 for stage in stages)
    assert stages[-1].moment.first > 0  # the mask of pass 1 is what stays
    words = " ".join(stage.meaning for stage in stages)
    assert "no second pass" in words
    assert "weighs more" not in words
    assert "plain mean" in words


@pytest.mark.parametrize("between", [0, 3])
def test_moments_lead_from_stage_to_stage(between: int) -> None:
    stages = stages_of()
    laid = moments(stages, between)
    assert len(laid) == 6 + 5 * between
    assert [moment for moment, _, stands in laid if stands] == [stage.moment for stage in stages]
    way = [moment.travel for moment, number, _ in laid if number == 3]
    assert way == sorted(way)
    assert way[-1] == 1


def test_the_middle_of_a_way_is_halfway() -> None:
    laid = moments(stages_of(), 1)
    assert laid[5] == (stages_of()[2].moment.toward(stages_of()[3].moment, 0.5), 3, False)


def test_colours_of_weights_by_hand() -> None:
    assert [weight_colour(w) for w in (0, 0.5, 1)] == list(SCALE)
    assert weight_colour(0.25) == (149, 98, 182)  # halfway from (72, 104, 214) to (226, 92, 150)
    assert (weight_colour(-1), weight_colour(2)) == (SCALE[0], SCALE[2])
