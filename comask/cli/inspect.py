"""``comask inspect``: what every branch of every MSFEM contributed to one image, as files."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comask.annotation import files
from comask.cli.shared import add_view, open_predictor, read_settings, say
from comask.errors import InputError

if TYPE_CHECKING:
    from comask.analysis import Contribution
    from comask.data.images import LoadedImage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("image", type=Path, metavar="IMAGE", help="one image file")
    parser.add_argument("--checkpoint", required=True, type=Path, help="a .safetensors file")
    parser.add_argument(
        "--output", required=True, type=Path, metavar="DIR", help="folder for maps and numbers"
    )
    add_view(parser)
    parser.set_defaults(min_score=None, max_instances=None)  # no instance is asked for


def run(given: argparse.Namespace) -> int:
    """Write the maps of P2 .. P5 as arrays and pictures, and their numbers as JSON."""
    if given.output.exists() and not given.output.is_dir():
        raise InputError(f"{given.output} is a file; a folder for the maps is needed")
    from comask.analysis import contributions
    from comask.data import images

    image = images.load(given.image)
    predictor = open_predictor(given, read_settings(given))
    found = contributions(predictor, image.pixels)
    given.output.mkdir(parents=True, exist_ok=True)
    for one in found:
        _write_maps(given.output, image, one)
    content = {"schema": 1, "file_name": given.image.name, "levels": [_plain(one) for one in found]}
    files.replace_file(given.output / "contributions.json", files.dump_json(content))
    for one in found:
        shares = "  ".join(f"{name} {100 * value:6.1f} %" for name, value in one.shares().items())
        say(f"P{one.level}  {shares}  unexplained {100 * one.unexplained:.5f} %")
    return 0


def _write_maps(folder: Path, image: "LoadedImage", one: "Contribution") -> None:
    import numpy as np
    from PIL import Image

    from comask.analysis import over_image
    from comask.analysis.drawing import draw

    limits = float(one.share.min()), float(one.share.max())
    for name, share in zip(one.branches, one.share, strict=True):
        np.save(folder / f"P{one.level}-{name}.npy", share)
        laid = over_image(share, one.stride, one.scale, one.size)
        Image.fromarray(draw(image.pixels, laid, limits)).save(folder / f"P{one.level}-{name}.png")


def _plain(one: "Contribution") -> dict[str, Any]:
    return {
        "level": f"P{one.level}",
        "stride": one.stride,
        "scale": one.scale,
        "cells": list(one.fused.shape),
        "limits": [float(one.share.min()), float(one.share.max())],
        "shares": one.shares(),
        "unexplained": one.unexplained,
    }
