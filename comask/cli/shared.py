"""What commands share: settings of a predictor, numbers in their ranges, and how they speak."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from comask.errors import InputError

if TYPE_CHECKING:
    from comask.predict import Engine, PredictionSettings, Predictor

OWN = "the checkpoint's own by default"


def add_score(parser: argparse.ArgumentParser) -> None:
    """Describe the threshold."""
    parser.add_argument(
        "--min-score", type=share, metavar="S", help=f"class score to be above, 0 .. 1; {OWN}"
    )


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Describe the other settings of a predictor, and where it runs."""
    parser.add_argument(
        "--max-instances", type=whole(1, 100_000), metavar="N", help=f"an image; {OWN}"
    )
    add_view(parser)
    parser.add_argument(
        "--runtime",
        choices=("torch", "openvino"),
        default="torch",
        help="what runs the network; openvino is an extra of its own and finds the same",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="of the network; bfloat16 is for checkpoints that `comask agree` has found fit for it",
    )


def add_view(parser: argparse.ArgumentParser) -> None:
    """Describe at which size an image is seen, and where the model runs."""
    parser.add_argument(
        "--short-side",
        type=whole(1, 16_384),
        metavar="PX",
        help=f"the shorter side is resized to this; {OWN}",
    )
    parser.add_argument(
        "--long-side",
        type=whole(1, 32_768),
        metavar="PX",
        help=f"unless the longer one would pass this; {OWN}",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, ...")


def read_settings(given: argparse.Namespace) -> "PredictionSettings":
    """Take what ``add_score`` and ``add_settings`` described."""
    from comask.predict import PredictionSettings

    return PredictionSettings(
        min_score=given.min_score,
        max_instances=given.max_instances,
        short_side=given.short_side,
        long_side=given.long_side,
        # commands that look inside know one precision only
        bfloat16=True if getattr(given, "precision", "") == "bfloat16" else None,
    )


def open_predictor(given: argparse.Namespace, settings: "PredictionSettings") -> "Predictor":
    """Load the checkpoint that was given onto the device that was given."""
    from comask.predict import Predictor

    engine: Engine = getattr(given, "runtime", "torch")  # and one of these
    return Predictor.from_checkpoint(
        given.checkpoint, device=given.device, settings=settings, engine=engine
    )


def check_writable(path: Path) -> None:
    """Refuse before hours of work what could not be written after them."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; a file to write is needed")
    if not path.absolute().parent.is_dir():
        raise InputError(f"there is no folder {path.absolute().parent} to write {path.name} into")


def whole(low: int, high: int) -> Callable[[str], int]:
    """Make a reader of whole numbers in a range."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text[:20]) <= high):
            raise argparse.ArgumentTypeError(f"a whole number in {low} .. {high}, not {text!r:.40}")
        return int(text)

    return read


def share(text: str) -> float:
    """Read a number in 0 .. 1."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"a number in 0 .. 1, not {text!r:.40}")
    return number


def say(text: str) -> None:
    """Write a line to stdout."""
    sys.stdout.write(text + "\n")


def warn(text: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(f"comask: {' '.join(text.splitlines())}\n")


def refuse(text: str, code: int = 2) -> int:
    """Say why a command ends; returns its exit code."""
    warn(text)
    return code


def report_skipped(failures: Sequence[str], total: int) -> int:
    """Say which images could not be used, a sentence each; returns the exit code."""
    if failures:
        warn(f"{len(failures)} of {total} images were skipped:")
    for failure in failures:
        warn(failure)
    return 1 if failures else 0


def refuse_none(paths: Sequence[Path], found: Sequence[tuple[Path, str]]) -> None:
    """Refuse paths where no image is."""
    from comask.data import images

    if not any(path.exists() for path, _ in found):
        named = ", ".join(images.printable(path) for path in paths[:3])
        raise InputError(f"there are no images at {named}{', …' * (len(paths) > 3)}")
