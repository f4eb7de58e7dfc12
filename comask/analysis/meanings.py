"""What maps mean, in sentences for people who never saw the paper."""

from comask.analysis.activation import Reduction

QUESTIONS = {
    "activation": "how strong each map is",
    "contribution": "how much of the fused map each branch makes up",
    "field": "which pixels decide what each branch gives",
}
_MAPS = {
    "lateral": "the backbone's stage, brought to the pyramid's channels",
    "1x": "the level itself with the coarser levels added: what the MSFEM takes in",
    "bias": "the constant that the fusing convolution adds, which no branch brought",
    "fused": "all branches together, after the fusing 1x1 convolution",
    "gated": "the fused map times the attention's weights",
    "output": "what the level hands on to proposals and heads",
}
_REDUCTIONS: dict[Reduction, str] = {
    "norm": "length of each cell's {channels} numbers",
    "mean": "mean of each cell's {channels} numbers",
    "max": "largest of each cell's {channels} numbers",
    "channel": "channel {channel} of {channels}, as it is",
    "pca": "what looks alike to the network has one colour",
}


def meaning_of(name: str) -> str:
    """Say what a map of a level is, by its name: "8x" and all others."""
    return _MAPS.get(name) or f"the branch that looks at the level {name[:-1]} times coarser"


def unit_of(how: Reduction, channels: int, channel: int = 0) -> str:
    """Say what the numbers of a map of many channels are."""
    return _REDUCTIONS[how].format(channels=channels, channel=channel)


def sentence(words: str) -> str:
    """Begin words with a capital and end them with a full stop."""
    return f"{words[:1].upper()}{words[1:]}{'' if words[-1:] in '.!?' else '.'}"


def percent(share: float, digits: int = 1) -> str:
    """Write a share, 0 .. 1 or beyond, for people."""
    return f"{100 * share:.{digits}f} %"
