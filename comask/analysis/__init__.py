"""What each branch of each MSFEM saw and contributed."""

from comask.analysis.activation import Look, components, look, reduced
from comask.analysis.contribution import Contribution, contributions, contributions_of
from comask.analysis.registration import over_image

__all__ = [
    "Contribution",
    "Look",
    "components",
    "contributions",
    "contributions_of",
    "look",
    "over_image",
    "reduced",
]
