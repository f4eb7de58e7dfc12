"""A checkpoint over many images, kept in a store: once, for the page and the command line."""

from comask.run.batch import Base, Batch, Labelled, Labeller, ToLabel, label_image, prelabel
from comask.run.files import Detector, Outcome, predict_files, to_annotations, to_results
from comask.run.labelling import (
    Model,
    Plan,
    Rules,
    begin_sheet,
    default_mapping,
    plan,
    settle_categories,
)
from comask.run.packing import pack, unpack
from comask.run.stored import RUN_SCORE, Run, identify, run_settings, stamp

__all__ = [
    "RUN_SCORE",
    "Base",
    "Batch",
    "Detector",
    "Labelled",
    "Labeller",
    "Model",
    "Outcome",
    "Plan",
    "Rules",
    "Run",
    "ToLabel",
    "begin_sheet",
    "default_mapping",
    "identify",
    "label_image",
    "pack",
    "plan",
    "predict_files",
    "prelabel",
    "run_settings",
    "settle_categories",
    "stamp",
    "to_annotations",
    "to_results",
    "unpack",
]
