"""Switches: what they say, what a stranger may say, and when two of them mean the same."""

from typing import Any

import pytest

from comask.analysis.switches import Switches
from comask.config import ModelConfig, NeckConfig
from comask.errors import InputError
from comask.model.refine import Refinement

FOUR = ModelConfig()
PLAIN = {
    "branches_off": [[2, 1], [5, 0]],
    "reach": "cascade",
    "attention_off": [3],
    "second_pass": False,
    "votes": "gated",
}
SAME = Switches(
    branches_off=frozenset({(5, 0), (2, 1)}),
    reach="cascade",
    attention_off=frozenset({3}),
    second_pass=False,
    votes="gated",
)


def test_plain_values_come_and_go() -> None:
    assert Switches.parse(PLAIN, FOUR) == SAME
    assert hash(Switches.parse(PLAIN)) == hash(SAME)
    assert SAME.to_plain() == PLAIN
    assert Switches.parse(Switches().to_plain()) == Switches.parse({}) == Switches()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([], "an object of names, got list"),
        (None, "got NoneType"),
        ({"branch": []}, "a switch is one of branches_off, reach, .*got 'branch'"),
        ({"branches_off": 3}, "branches_off is a list"),
        ({"branches_off": "23"}, "branches_off is a list"),
        ({"branches_off": [[2, 1]] * 21}, "a list of at most 20"),
        ({"branches_off": [2, 1]}, r"is \[level, branch\], got 2"),
        ({"branches_off": [[2, 1, 1]]}, r"is \[level, branch\]"),
        ({"branches_off": [[2, True]]}, "whole numbers, got True"),
        ({"branches_off": [[2, 1.0]]}, "whole numbers, got 1.0"),
        ({"branches_off": [["2", 1]]}, "whole numbers, got '2'"),
        ({"branches_off": [[2, 4]]}, "a branch is one of 0 .. 3, got 4"),
        ({"branches_off": [[2, -1]]}, "a branch is one of 0 .. 4, got -1"),
        ({"branches_off": [[2, 10**400]]}, "a branch is one of"),
        ({"branches_off": [[6, 1]]}, "a level is one of 2 .. 5, got 6"),
        ({"attention_off": [True]}, "whole numbers, got True"),
        ({"attention_off": [1]}, "a level is one of 2 .. 5, got 1"),
        ({"attention_off": [float("nan")]}, "whole numbers, got nan"),
        ({"attention_off": {"2": 1}}, "attention_off is a list"),
        ({"reach": "all"}, "reach is one of fusion, cascade, got 'all'"),
        ({"reach": None}, "reach is a word, got None"),
        ({"second_pass": 1}, "second_pass is true or false, got 1"),
        ({"second_pass": "off"}, "second_pass is true or false"),
        ({"votes": "mean"}, "votes is one of sigmoid, gated, plain, got 'mean'"),
        ({"votes": ["plain"]}, "votes is a word"),
        ({"votes": "x" * 1000}, "got 'xxxx.{0,60}$"),
    ],
)
def test_a_stranger_is_refused_in_one_sentence(values: Any, why: str) -> None:
    with pytest.raises(InputError, match=why):
        Switches.parse(values, FOUR)


def test_python_is_refused_as_strangers_are() -> None:
    for wrong in (
        {"branches_off": frozenset({(1, 0)})},
        {"branches_off": frozenset({(2, 5)})},
        {"attention_off": frozenset({6})},
        {"reach": "nowhere"},
        {"votes": "none"},
        {"second_pass": 0},
    ):
        with pytest.raises(InputError):
            Switches(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("branches", "branch"), [(1, 1), (2, 2), (4, 4)])
def test_a_branch_that_a_model_does_not_have_is_refused(branches: int, branch: int) -> None:
    config = ModelConfig(neck=NeckConfig(branches=branches))
    Switches.without_branch(branch - 1).settled(config)
    with pytest.raises(InputError, match=f"a branch is one of 0 .. {branches - 1}, got {branch}"):
        Switches.without_branch(branch).settled(config)


def test_what_is_as_it_would_be_anyway_is_no_switch() -> None:
    assert Switches(votes="sigmoid", second_pass=True).settled(FOUR) == Switches()
    without = ModelConfig(collaborative=False)
    assert Switches.without_collaboration().settled(without) == Switches()
    assert Switches(votes="sigmoid").settled(without) == Switches(votes="sigmoid")


@pytest.mark.parametrize(
    ("branch", "reach"), [(0, "fusion"), (1, "cascade"), (2, "cascade"), (3, "fusion")]
)
def test_only_a_branch_with_heirs_has_two_ways_to_be_off(branch: int, reach: str) -> None:
    assert Switches.without_branch(branch, reach="cascade").settled(FOUR).reach == reach


def test_switches_lie_over_the_checkpoint_s_own_way() -> None:
    own = Refinement()
    assert Switches().refinement(own) == own
    assert Switches(votes="gated").refinement(own) == Refinement("gated", second_pass=True)
    off = Switches.without_collaboration().refinement(own)
    assert off == Refinement("plain", second_pass=False)


def test_switches_know_where_something_is_off() -> None:
    assert SAME.levels == {2, 3, 5}
    assert [set(SAME.off_at(level)) for level in (2, 3, 4, 5)] == [{1}, set(), set(), {0}]
    assert Switches.without_branch(1).levels == Switches.without_attention().levels == {2, 3, 4, 5}
