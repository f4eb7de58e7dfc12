"""What each branch of each MSFEM saw and contributed."""

from comask.analysis.ablation import Ablated, Base, ablate, base_run
from comask.analysis.activation import Look, branch_names, components, look, reduced
from comask.analysis.contribution import Contribution, contributions, contributions_of
from comask.analysis.difference import Change, Difference, difference
from comask.analysis.registration import over_image
from comask.analysis.set_change import SetChange, set_change, set_changes
from comask.analysis.switches import Switches

__all__ = [
    "Ablated",
    "Base",
    "Change",
    "Contribution",
    "Difference",
    "Look",
    "SetChange",
    "Switches",
    "ablate",
    "base_run",
    "branch_names",
    "components",
    "contributions",
    "contributions_of",
    "difference",
    "look",
    "over_image",
    "reduced",
    "set_change",
    "set_changes",
]
