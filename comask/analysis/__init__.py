"""What each branch of each MSFEM saw and contributed."""

from comask.analysis.ablation import Ablated, Base, ablate, base_run
from comask.analysis.activation import Look, branch_names, components, look, reduced
from comask.analysis.contribution import Contribution, contributions, contributions_of
from comask.analysis.difference import Change, Difference, difference
from comask.analysis.film import film_frames, write_gif, write_strip
from comask.analysis.registration import over_image
from comask.analysis.set_change import SetChange, set_change, set_changes
from comask.analysis.switches import Switches
from comask.analysis.trace import Making, Pasting, makings

__all__ = [
    "Ablated",
    "Base",
    "Change",
    "Contribution",
    "Difference",
    "Look",
    "Making",
    "Pasting",
    "SetChange",
    "Switches",
    "ablate",
    "base_run",
    "branch_names",
    "components",
    "contributions",
    "contributions_of",
    "difference",
    "film_frames",
    "look",
    "makings",
    "over_image",
    "reduced",
    "set_change",
    "set_changes",
    "write_gif",
    "write_strip",
]
