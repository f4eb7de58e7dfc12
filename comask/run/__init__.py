"""A checkpoint over many images, kept in a store: once, for the page and the command line."""

from comask.run.files import Detector, Outcome, predict_files, to_annotations, to_results
from comask.run.packing import pack, unpack
from comask.run.stored import RUN_SCORE, Run, identify, run_settings, stamp

__all__ = [
    "RUN_SCORE",
    "Detector",
    "Outcome",
    "Run",
    "identify",
    "pack",
    "predict_files",
    "run_settings",
    "stamp",
    "to_annotations",
    "to_results",
    "unpack",
]
