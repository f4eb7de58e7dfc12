"""``comask inspect``: what the page Inspect shows, as files.

One image and one checkpoint: maps, pictures and numbers of what is asked. More of either: one table
of how large the receptive fields are.
"""

import argparse
import math
from pathlib import Path

from comask.cli.shared import add_score, add_settings, refuse_none, whole
from comask.cli.switch_words import off
from comask.errors import InputError

WHAT = ("activation", "contribution", "field", "ablation", "film")
USUAL = WHAT[:3]
REDUCTIONS = ("norm", "mean", "max", "pca", "channel")
# which of WHAT a flag belongs to; of several images or checkpoints, only those of a field do
FLAGS = {
    "reduction": ("activation",),
    "channel": ("activation",),
    "scale": ("activation", "contribution"),
    "at": ("field",),
    "instance": ("field", "film"),
    "path": ("field",),
    "norm": ("field",),
    "frame": ("field",),
    "without": ("ablation",),
    "reach": ("ablation",),
    "votes": ("ablation",),
    "no_second_pass": ("ablation",),
}
SWITCHES = ("without", "votes", "no_second_pass")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument(
        "images", nargs="+", type=Path, metavar="IMAGE", help="image files, or folders of them"
    )
    parser.add_argument(
        "--checkpoint",
        required=True,
        action="append",
        type=Path,
        help="a .safetensors file; given several times, the checkpoints are compared",
    )
    parser.add_argument(
        "--output", required=True, type=Path, metavar="DIR", help="folder for maps and numbers"
    )
    parser.add_argument(
        "--what",
        type=_what,
        metavar="A,B,...",
        help=f"of {', '.join(WHAT)}; by default {','.join(USUAL)}, and ablation if something is "
        "switched off. Of several images or checkpoints, one table of their fields",
    )
    _add_map_flags(parser.add_argument_group("activation and contribution"))
    _add_field_flags(parser.add_argument_group("receptive field"))
    _add_switches(parser.add_argument_group("ablation"))
    add_score(parser)
    add_settings(parser)


def run(given: argparse.Namespace) -> int:
    """Write what was asked for; returns the exit code."""
    if given.output.exists() and not given.output.is_dir():
        raise InputError(f"{given.output} is a file; a folder for the maps is needed")
    from comask.data import images

    found = images.list_images(given.images)
    if len(found) > 1 or given.images[0].is_dir():
        refuse_none(given.images, found)
    if len(found) > 1 or len(given.checkpoint) > 1:
        _check_table(given, len(found))
        from comask.cli import inspect_table

        return inspect_table.run(given)
    asked = given.what or _usual(given)
    _check_flags(given, asked)
    from comask.cli import inspect_image

    return inspect_image.run(given, *found[0], asked)


def _add_map_flags(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--reduction",
        choices=REDUCTIONS,
        help="how many channels become one number; by default norm",
    )
    group.add_argument(
        "--channel", type=whole(0, 100_000), metavar="N", help="which one, for --reduction channel"
    )
    group.add_argument(
        "--scale",
        choices=("map", "level", "all"),
        help="what shares the scale of colours: nothing, the maps of a level, or all; by default "
        "level",
    )


def _add_field_flags(group: "argparse._ArgumentGroup") -> None:
    whose = group.add_mutually_exclusive_group()
    whose.add_argument(
        "--at",
        type=_point,
        metavar="X,Y",
        help="of this place, image pixels; by default the middle",
    )
    whose.add_argument(
        "--instance",
        type=whole(1, 1_000_000),
        metavar="N",
        help="of the N-th instance that `comask predict` writes; also whose film",
    )
    group.add_argument(
        "--path",
        choices=("own", "cascade"),
        help="through the branch alone, or the deeper ones too; by default own, of a table cascade",
    )
    group.add_argument(
        "--norm", choices=("frozen", "live"), help="whether norm statistics move; by default frozen"
    )
    group.add_argument(
        "--frame",
        choices=("level", "image"),
        help="to the level's cells, or to the image; by default image",
    )


def _add_switches(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--without",
        type=off,
        action="append",
        metavar="PART",
        help="switch off a branch at a level (P3:8x) or at all (2x), or an attention "
        "(attention:P2, attention); may be given several times",
    )
    group.add_argument(
        "--reach",
        choices=("fusion", "cascade"),
        help="whether the branches that a branch feeds see zeros in its place (cascade) or not "
        "(fusion, the default)",
    )
    group.add_argument(
        "--votes", choices=("sigmoid", "gated", "plain"), help="what the 49 votes count for"
    )
    group.add_argument(
        "--no-second-pass", action="store_true", default=None, help="masks are those of pass 1"
    )


def _usual(given: argparse.Namespace) -> tuple[str, ...]:
    switched = any(getattr(given, name) is not None for name in SWITCHES)
    return (*USUAL, "ablation") if switched else USUAL


def _check_flags(given: argparse.Namespace, asked: tuple[str, ...]) -> None:
    """Refuse flags that would change nothing, and questions that lack something."""
    for name, belongs in FLAGS.items():
        if getattr(given, name) is not None and not set(belongs) & set(asked):
            raise InputError(f"--{_spelled(name)} needs --what {' or '.join(belongs)}")
    if given.channel is not None and given.reduction != "channel":
        raise InputError("--channel needs --reduction channel")
    if given.reach is not None and not given.without:
        raise InputError("--reach needs a branch that is switched off with --without")
    if "ablation" in asked and all(getattr(given, name) is None for name in SWITCHES):
        spelled = ", ".join(f"--{_spelled(name)}" for name in SWITCHES[:-1])
        raise InputError(
            f"an ablation needs something to switch off: {spelled} or --{_spelled(SWITCHES[-1])}"
        )


def _check_table(given: argparse.Namespace, count: int) -> None:
    """Refuse what only one image and one checkpoint have."""
    if given.what not in (None, ("field",)):
        raise InputError(
            "of several images or checkpoints there is a table of their fields (--what field); "
            "maps are drawn of one image and one checkpoint"
        )
    for name, belongs in FLAGS.items():
        if getattr(given, name) is not None and ("field" not in belongs or name == "instance"):
            raise InputError(f"--{_spelled(name)} is for one image and one checkpoint")
    if given.at is not None and count > 1:
        raise InputError("--at is a place of one image; of several, the middle is taken")


def _spelled(name: str) -> str:
    return name.replace("_", "-")


def _what(text: str) -> tuple[str, ...]:
    words = [word.strip() for word in text.split(",")]
    wrong = [word for word in words if word not in WHAT]
    if wrong:
        raise argparse.ArgumentTypeError(f"of {', '.join(WHAT)}, not {wrong[0]!r:.40}")
    return tuple(word for word in WHAT if word in words)


def _point(text: str) -> tuple[float, float]:
    try:
        x, y = (float(word) for word in text.split(","))
    except ValueError:
        x = y = math.nan
    if not (abs(x) < 1e9 and abs(y) < 1e9):
        raise argparse.ArgumentTypeError(f"two numbers, X,Y, not {text!r:.40}")
    return x, y
