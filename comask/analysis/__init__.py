"""What each branch of each MSFEM saw and contributed."""

from comask.analysis.ablation import Ablated, Base, ablate, base_run
from comask.analysis.activation import Look, branch_names, components, look, reduced
from comask.analysis.cells import cell_at, cells_of_mask
from comask.analysis.contribution import Contribution, contributions, contributions_of
from comask.analysis.difference import Change, Difference, difference
from comask.analysis.effective_field import effective_fields, fields_of
from comask.analysis.field_average import AverageField, Site, averaged, set_fields
from comask.analysis.field_fit import Fit, fits
from comask.analysis.field_table import FieldRow, area_ratios
from comask.analysis.field_values import EffectiveField, Question
from comask.analysis.film import film_frames, write_gif, write_strip
from comask.analysis.registration import over_image
from comask.analysis.set_change import SetChange, set_change, set_changes
from comask.analysis.switches import Switches
from comask.analysis.theoretical_field import (
    TheoreticalSize,
    theoretical_box,
    theoretical_sizes,
)
from comask.analysis.trace import Making, Pasting, makings

__all__ = [
    "Ablated",
    "AverageField",
    "Base",
    "Change",
    "Contribution",
    "Difference",
    "EffectiveField",
    "FieldRow",
    "Fit",
    "Look",
    "Making",
    "Pasting",
    "Question",
    "SetChange",
    "Site",
    "Switches",
    "TheoreticalSize",
    "ablate",
    "area_ratios",
    "averaged",
    "base_run",
    "branch_names",
    "cell_at",
    "cells_of_mask",
    "components",
    "contributions",
    "contributions_of",
    "difference",
    "effective_fields",
    "fields_of",
    "film_frames",
    "fits",
    "look",
    "makings",
    "over_image",
    "reduced",
    "set_change",
    "set_changes",
    "set_fields",
    "theoretical_box",
    "theoretical_sizes",
    "write_gif",
    "write_strip",
]
