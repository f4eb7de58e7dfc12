"""The stages of a film of how instances are made: their words, and what each of them shows.

A ``Moment`` says how much of each thing is seen, so a time between two stages is a mixture of them.
"""

from dataclasses import astuple, dataclass

RGB = tuple[int, int, int]

# a weight of 0, 0.5 and 1: blue, pink and yellow differ in lightness too, on dark and bright images
SCALE: tuple[RGB, RGB, RGB] = ((72, 104, 214), (226, 92, 150), (255, 236, 70))
FIELD, FAINT = 0.85, 0.45  # of a mask that is looked at, and of one that lies under votes


@dataclass(frozen=True)
class Moment:
    """How much of everything is seen, 0 .. 1.

    proposal  the box that it began with
    first     the mask of the first pass
    votes     the share of the votes that have come
    tint      how strongly they are drawn
    travel    how far the box has gone from proposal to refined box; it is drawn from 0 on
    second    the mask of the second pass
    iou       the predicted IoU
    """

    proposal: float = 0.0
    first: float = 0.0
    votes: float = 0.0
    tint: float = 0.0
    travel: float = 0.0
    second: float = 0.0
    iou: float = 0.0

    def toward(self, other: "Moment", share: float) -> "Moment":
        """Mix two moments: a share of 0 is this one, 1 the other."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Moment(*(mine + (theirs - mine) * share for mine, theirs in pairs))


@dataclass(frozen=True)
class Stage:
    """One stop of the film: a name for programs, a word and one sentence for people."""

    name: str
    word: str
    meaning: str
    moment: Moment


PROPOSAL = Stage(
    "proposal",
    "Proposal",
    "The network's first guess: a box that may hold an object.",
    Moment(proposal=1, tint=1),
)
FIRST = Stage(
    "first",
    "First mask",
    "Inside that box, it marks the pixels that it takes for the object.",
    Moment(proposal=1, first=FIELD, tint=1),
)
VOTES = Stage(
    "votes",
    "Votes",
    "Each of 7 by 7 cells (dots) votes for a box (lines). A cell on the object weighs more.",
    Moment(proposal=1, first=FAINT, votes=1, tint=1),
)
BOX = Stage(
    "box",
    "Refined box",
    "The mean of all votes, each counted by its weight, is the new box.",
    Moment(proposal=0.7, first=FAINT, votes=1, tint=0.3, travel=1),
)
SECOND = Stage(
    "mask",
    "Second mask",
    "The pixels are marked again, inside the new box: this is the result.",
    Moment(proposal=0.35, votes=1, travel=1, second=FIELD),
)
IOU = Stage(
    "iou",
    "Predicted IoU",
    "The network's own guess of how well this mask fits; 1.00 would be perfect.",
    Moment(votes=1, travel=1, second=FIELD, iou=1),
)

# without collaboration: plain votes, and no second look
_EQUAL_VOTES = "Each of 7 by 7 cells (dots) votes for a box (lines). All of them weigh the same."
_EQUAL_BOX = "The plain mean of all votes is the new box."
_LAST_MASK = " There is no second pass, so this is the result."
_ONLY_BOX = " The mask stays as it was."


def stages_of(*, weighted: bool = True, second: bool = True) -> tuple[Stage, ...]:
    """List the stages of how a checkpoint makes an instance, as it really does it.

    Args:
        weighted: whether votes weigh as much as the first mask says.
        second: whether there is a second pass; without it, the first mask is the result.
    """
    first = FIRST if second else _changed(FIRST, "Mask", FIRST.meaning + _LAST_MASK)
    votes = VOTES if weighted else _changed(VOTES, "Votes", _EQUAL_VOTES)
    box = BOX if weighted else _changed(BOX, "Mean box", _EQUAL_BOX)
    if second:
        return PROPOSAL, first, votes, box, SECOND, IOU
    box = _changed(box, box.word, box.meaning + _ONLY_BOX)
    last = Stage(IOU.name, IOU.word, IOU.meaning, Moment(votes=1, travel=1, first=FIELD, iou=1))
    return PROPOSAL, first, votes, box, last


def moments(stages: tuple[Stage, ...], between: int) -> list[tuple[Moment, int, bool]]:
    """Lay out a film: the moment, the stage that is told of, and whether it is the stage itself.

    ``between`` moments lead from each stage to the next, slow at both ends; they are told of as the
    one that they lead to.
    """
    laid: list[tuple[Moment, int, bool]] = []
    for number, stage in enumerate(stages):
        if number:
            before = stages[number - 1].moment
            shares = (step / (between + 1) for step in range(1, between + 1))
            laid.extend((before.toward(stage.moment, _eased(s)), number, False) for s in shares)
        laid.append((stage.moment, number, True))
    return laid


def weight_colour(weight: float) -> RGB:
    """Give the colour of a vote's weight, 0 .. 1."""
    place = min(max(weight, 0.0), 1.0) * 2
    low, high = (SCALE[0], SCALE[1]) if place <= 1 else (SCALE[1], SCALE[2])
    share = place if place <= 1 else place - 1
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
    return red, green, blue


def _eased(share: float) -> float:
    return share * share * (3 - 2 * share)


def _changed(stage: Stage, word: str, meaning: str) -> Stage:
    return Stage(stage.name, word, meaning, stage.moment)
