"""What can be switched off in a CoMask: branches, attentions, the second pass, the votes' weights.

A branch is named by its level, 2 .. 5, and its number in the MSFEM: 0 is the level itself ("1x"), 1
the deepest one, and so on to the shallowest.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from comask.config import ModelConfig
from comask.errors import InputError
from comask.model.neck import LEVELS
from comask.model.refine import VOTE_KINDS, Refinement, VoteKind

Reach = Literal["fusion", "cascade"]
REACHES: tuple[Reach, ...] = get_args(Reach)
MOST_BRANCHES = 5  # that an MSFEM can have


@dataclass(frozen=True, kw_only=True)
class Switches:
    """What is off; ``Switches()`` is a model as its checkpoint has it. Raises InputError.

    branches_off   (level, branch) each
    reach          "fusion": a branch that is off is left out where the branches are fused;
                   "cascade": those after it in the cascade see zeros in its place as well
    attention_off  levels that end with ReLU(fused map) in place of their attention
    second_pass    False: masks and mask IoU are those of pass 1, in the unrefined box; the box is
                   still what the votes say. None: as the checkpoint does it
    votes          what a vote counts for, see ``Refinement``. None: as the checkpoint does it
    """

    branches_off: frozenset[tuple[int, int]] = frozenset()
    reach: Reach = "fusion"
    attention_off: frozenset[int] = frozenset()
    second_pass: bool | None = None
    votes: VoteKind | None = None

    def __post_init__(self) -> None:
        if self.reach not in REACHES:
            raise InputError(f"reach is one of {', '.join(REACHES)}, got {self.reach!r:.40}")
        if self.votes is not None and self.votes not in VOTE_KINDS:
            raise InputError(f"votes is one of {', '.join(VOTE_KINDS)}, got {self.votes!r:.40}")
        if self.second_pass is not None and not isinstance(self.second_pass, bool):
            raise InputError(f"second_pass is true or false, got {self.second_pass!r:.40}")
        for level, branch in self.branches_off:
            _check_level(level)
            _check_branch(branch, MOST_BRANCHES)
        for level in self.attention_off:
            _check_level(level)

    @classmethod
    def without_branch(
        cls, branch: int, *, levels: Iterable[int] = LEVELS, reach: Reach = "fusion"
    ) -> "Switches":
        """Switch one branch off, at all levels or at some."""
        return cls(branches_off=frozenset((level, branch) for level in levels), reach=reach)

    @classmethod
    def without_attention(cls, levels: Iterable[int] = LEVELS) -> "Switches":
        """Switch the attention off, at all levels or at some."""
        return cls(attention_off=frozenset(levels))

    @classmethod
    def without_collaboration(cls) -> "Switches":
        """Switch collaborative refinement off, the paper's row "w/o CL"."""
        return cls(votes="plain", second_pass=False)

    @property
    def levels(self) -> frozenset[int]:
        """Name the levels that something is off at."""
        return self.attention_off | {level for level, _ in self.branches_off}

    def off_at(self, level: int) -> frozenset[int]:
        """Number the branches that are off at a level."""
        return frozenset(branch for at, branch in self.branches_off if at == level)

    def refinement(self, own: Refinement) -> Refinement:
        """Lay these switches over a checkpoint's own way of refining."""
        return Refinement(
            votes=own.votes if self.votes is None else self.votes,
            second_pass=own.second_pass if self.second_pass is None else self.second_pass,
        )

    def settled(self, config: ModelConfig) -> "Switches":
        """Say the same in the one way that stands for it; equal ones give equal results.

        What is as the checkpoint does it anyway becomes None, and the reach is "fusion" where
        nothing comes after. Raises InputError for a branch that the model does not have.
        """
        branches = config.neck.branches
        for _, branch in self.branches_off:
            _check_branch(branch, branches)
        own = Refinement.of(config)
        heard = any(0 < branch < branches - 1 for _, branch in self.branches_off)
        return replace(
            self,
            reach=self.reach if heard else "fusion",
            second_pass=None if self.second_pass == own.second_pass else self.second_pass,
            votes=None if self.votes == own.votes else self.votes,
        )

    def to_plain(self) -> dict[str, Any]:
        """Write them as JSON values, always in the same order."""
        return {
            "branches_off": [list(one) for one in sorted(self.branches_off)],
            "reach": self.reach,
            "attention_off": sorted(self.attention_off),
            "second_pass": self.second_pass,
            "votes": self.votes,
        }

    @classmethod
    def parse(cls, values: object, config: ModelConfig | None = None) -> "Switches":
        """Read JSON values of a stranger; what is left out is on. Raises InputError.

        Args:
            values: as ``to_plain`` writes them.
            config: of the model that they are for; None accepts branches of any model.
        """
        if not isinstance(values, Mapping):
            raise InputError(f"switches are an object of names, got {type(values).__name__}")
        for name in values:
            if name not in _NAMES:
                raise InputError(f"a switch is one of {', '.join(_NAMES)}, got {name!r:.40}")
        branches = _listed(values.get("branches_off"), "branches_off")
        read = cls(
            branches_off=frozenset(_pair(one) for one in branches),
            reach=_text(values.get("reach", "fusion"), "reach"),
            attention_off=frozenset(
                _number(one) for one in _listed(values.get("attention_off"), "attention_off")
            ),
            second_pass=values.get("second_pass"),
            votes=None if values.get("votes") is None else _text(values["votes"], "votes"),
        )
        if config is not None:
            read.settled(config)
        return read


_NAMES = tuple(one.name for one in fields(Switches))
_MOST = len(LEVELS) * MOST_BRANCHES  # entries of a list


def _check_level(level: object) -> None:
    if type(level) is not int or level not in LEVELS:  # a bool is an int to Python
        raise InputError(f"a level is one of 2 .. 5, got {level!r:.40}")


def _check_branch(branch: object, count: int) -> None:
    if type(branch) is not int or not 0 <= branch < count:
        raise InputError(f"a branch is one of 0 .. {count - 1}, got {branch!r:.40}")


def _listed(values: object, name: str) -> list[object]:
    if values is None:
        return []
    if not isinstance(values, list | tuple) or len(values) > _MOST:
        raise InputError(f"{name} is a list of at most {_MOST} entries, got {values!r:.40}")
    return list(values)


def _pair(value: object) -> tuple[int, int]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise InputError(f"a branch that is off is [level, branch], got {value!r:.40}")
    return _number(value[0]), _number(value[1])


def _number(value: object) -> int:
    if type(value) is not int:
        raise InputError(f"levels and branches are whole numbers, got {value!r:.40}")
    return value


def _text(value: object, name: str) -> Any:
    if not isinstance(value, str):
        raise InputError(f"{name} is a word, got {value!r:.40}")
    return value
