"""Words for what is switched off: read, joined, said again, refused."""

import argparse

import pytest

from comask.cli.switch_words import Off, in_words, off, to_switches
from comask.errors import InputError

BRANCHES = ("1x", "8x", "4x", "2x")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("P3:8x", Off("8x", 3)),
        ("8x:p3", Off("8x", 3)),
        (" 2X ", Off("2x", None)),
        ("attention", Off("attention", None)),
        ("attention:P2", Off("attention", 2)),
        ("P5:Attention", Off("attention", 5)),
    ],
)
def test_a_word_names_a_part_and_maybe_a_level(text: str, read: Off) -> None:
    assert off(text) == read


@pytest.mark.parametrize(
    "text", ["", ":", "P3", "P6:8x", "P3:P4", "8x:4x", "P2:P3:8x", "x", "100x", "all", "P3:8x:"]
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="such as P3:8x, 2x or attention:P2"):
        off(text)


def test_words_become_switches() -> None:
    words = [off("P3:8x"), off("2x"), off("attention:P2")]
    made = to_switches(words, BRANCHES, reach="cascade", votes="plain", second_pass=False)
    assert made.branches_off == {(3, 1), (2, 3), (3, 3), (4, 3), (5, 3)}
    assert made.attention_off == {2}
    assert (made.reach, made.votes, made.second_pass) == ("cascade", "plain", False)
    told = in_words(words, "cascade", "plain", second=False)
    assert told == (
        "8x at P3, 2x at all levels, attention at P2, in the cascade too, votes weighed as plain, "
        "the second pass"
    )


def test_two_branches_have_no_8x() -> None:
    with pytest.raises(InputError, match="no branch 8x, only 1x, 2x"):
        to_switches([off("8x")], ("1x", "2x"))
    assert to_switches([off("2x:P4")], ("1x", "2x")).branches_off == {(4, 1)}
