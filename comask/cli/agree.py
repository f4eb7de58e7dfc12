"""``comask agree``: may a checkpoint be run in bfloat16? The answer is kept beside it."""

import argparse
from pathlib import Path

from comask.cli.shared import add_view, check_writable, say
from comask.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a .safetensors file")
    parser.add_argument(
        "--annotations", required=True, type=Path, metavar="GT.json", help="the truth, a COCO file"
    )
    parser.add_argument(
        "--images", required=True, type=Path, metavar="DIR", help="the folder of its images"
    )
    add_view(parser)


def run(given: argparse.Namespace) -> int:
    """Measure, keep and tell; 1 where the precisions do not agree."""
    from comask.checkpoint import agreement
    from comask.evaluate.agreement import agree
    from comask.predict import PredictionSettings

    if not given.images.is_dir():
        raise InputError(f"there is no folder {given.images}")
    check_writable(agreement.place(given.checkpoint))
    settings = PredictionSettings(short_side=given.short_side, long_side=given.long_side)
    found = agree(
        given.checkpoint, given.annotations, given.images, device=given.device, settings=settings
    )
    path = agreement.write(given.checkpoint, found)
    for name, reached in (("float32", found.float32), ("bfloat16", found.bfloat16)):
        say(f"{name:<9} AP of masks {reached.segm:.4f}, of boxes {reached.bbox:.4f}")
    verdict = "it may be run in bfloat16" if found.holds else "bfloat16 is refused for it"
    say(
        f"{given.checkpoint.name}: at most {found.difference:.4f} apart on {found.images} images, "
        f"{agreement.LIMIT} are allowed: {verdict}; kept in {path}"
    )
    return 0 if found.holds else 1
