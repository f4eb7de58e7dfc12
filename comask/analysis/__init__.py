"""What each branch of each MSFEM saw and contributed."""

from comask.analysis.contribution import Contribution, contributions
from comask.analysis.registration import over_image

__all__ = ["Contribution", "contributions", "over_image"]
