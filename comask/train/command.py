"""``comask train``: its arguments, and what they make of the presets.

Every setting of the model, the preprocessing and the training has a dotted name, for example
``train.steps`` or ``model.neck.branches``: ``--set NAME=VALUE`` gives one, ``--settings FILE`` many
(a JSON object of the same nesting). What is not given keeps the preset's value; ``--set`` goes over
the file.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from comask.config import PRESETS, PreprocessingConfig, TrainConfig, from_dict, to_dict
from comask.data.coco_folders import CocoFolder, common_categories
from comask.errors import ConfigError, InputError
from comask.predict import choose_device
from comask.train.initial import initialise
from comask.train.recipe import Folders, Pace, Recipe
from comask.train.run import train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument(
        "--annotations",
        type=Path,
        action="append",
        required=True,
        help="COCO file to learn from; may be repeated, with --images. A file that lists fewer "
        "categories than the others is annotated for those alone",
    )
    parser.add_argument(
        "--images", type=Path, action="append", required=True, help="folder of its images"
    )
    parser.add_argument("--val-annotations", type=Path, help="COCO file to judge by")
    parser.add_argument("--val-images", type=Path, help="folder of its images")
    parser.add_argument("--output", type=Path, required=True, help="folder for all that is written")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    parser.add_argument(
        "--init", default="imagenet", help="imagenet, none, or a file of weights (default imagenet)"
    )
    parser.add_argument("--settings", type=Path, help="JSON file of settings, nested")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="one setting by its dotted name, for example train.steps=2000; may be repeated",
    )  # fmt: skip
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1, help="processes that decode images")
    parser.add_argument("--save-every", type=int, default=200, help="steps between saved states")
    parser.add_argument("--judge-every", type=int, default=1000, help="steps between judgements")
    parser.add_argument(
        "--about", default="", metavar="WORDS",
        help="what the checkpoint is for, in a few words; the Studio's list says them",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on where the output folder is")


def run(given: argparse.Namespace) -> int:
    """Train as the command line says; returns the exit code."""
    if (given.val_annotations is None) != (given.val_images is None):
        raise InputError("--val-annotations and --val-images are given together or not at all")
    for name, least in (("save_every", 1), ("judge_every", 1), ("workers", 0)):
        if getattr(given, name) < least:
            raise InputError(f"--{name.replace('_', '-')} must be {least} or more")
    first, *more = read_sources(given)
    recipe = read_recipe(given)
    folders = Folders(
        annotations=first.annotations,
        images=first.images,
        more=tuple(more),
        output=given.output,
        val_annotations=given.val_annotations,
        val_images=given.val_images,
    )
    pace = Pace(
        device=choose_device(given.device),
        workers=given.workers,
        save_every=given.save_every,
        judge_every=given.judge_every,
        resume=given.resume,
        about=given.about,
    )
    best = train(recipe, folders, pace, lambda model: initialise(model, given.init))
    if os.environ.get("RANK", "0") == "0":  # torchrun's other processes have nothing to say
        sys.stdout.write(f"{best}\n")
    return 0


def read_sources(given: argparse.Namespace) -> list[CocoFolder]:
    """Pair the annotation files with their image folders, in the order they are given."""
    files, folders = given.annotations, given.images
    if len(files) != len(folders):
        raise InputError(
            f"--annotations and --images are given in pairs, got {len(files)} and {len(folders)}"
        )
    return [CocoFolder(*pair) for pair in zip(files, folders, strict=True)]


def read_recipe(given: argparse.Namespace) -> Recipe:
    """Lay the given settings over the preset; the number of classes is the annotation files'."""
    sources = read_sources(given)
    named = " and ".join(str(source.annotations) for source in sources)
    categories = common_categories(sources)
    if not categories:
        raise InputError(f"{named} has no categories to learn")
    preset = replace(PRESETS[given.preset](), num_classes=len(categories))
    recipe = Recipe(model=preset, preprocessing=PreprocessingConfig(), train=TrainConfig())
    values = to_dict(recipe)
    if given.settings:
        _lay(values, _read_settings(given.settings), "settings")
    for text in given.set:
        _lay(values, _nested(text), "--set")
    recipe = from_dict(Recipe, values, at="settings")
    if recipe.model.num_classes != len(categories):
        raise ConfigError(
            f"model.num_classes is what {named} has, {len(categories)}, "
            f"not {recipe.model.num_classes}"
        )
    return recipe


def _read_settings(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a JSON object of settings")
    return values


def _nested(text: str) -> Mapping[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--set takes NAME=VALUE, got {text!r:.80}")
    try:
        read: Any = json.loads(value, parse_constant=_no_number)
    except ValueError:
        read = value  # a word needs no quotes
    for part in reversed(name.split(".")):
        read = {part: read}
    nested: Mapping[str, Any] = read
    return nested


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _lay(values: dict[str, Any], given: Mapping[str, Any], at: str) -> None:
    """Write given settings over the known ones, in place; an unknown name is refused."""
    for name, value in given.items():
        if name not in values:
            known: Iterable[str] = sorted(values)
            raise ConfigError(f"{at}: {name} is no setting; there are {', '.join(known)}")
        if isinstance(values[name], dict) and isinstance(value, Mapping):
            _lay(values[name], value, f"{at}: {name}")
        else:
            values[name] = value
