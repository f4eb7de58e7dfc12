"""``comask inspect`` of one image and one checkpoint: maps, pictures and numbers in a folder."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from comask.cli import inspect_fields, inspect_instances, inspect_maps
from comask.cli.subject import Subject, load, steps
from comask.errors import InputError


@dataclass(frozen=True)
class Part:
    """One of what can be asked.

    steps  how many it takes, by the number of branches
    write  writes its files and says its numbers
    """

    steps: Callable[[int], int]
    write: Callable[[Subject], None]


def run(given: argparse.Namespace, path: Path, name: str, asked: tuple[str, ...]) -> int:
    """Write what was asked for; returns the exit code."""
    from comask.data import images

    pixels = images.load(path).pixels
    predictor = load(given, given.checkpoint[0])
    total = sum(PARTS[one].steps(predictor.info.config.neck.branches) for one in asked)
    with steps(total) as tick:
        subject = Subject(given, name, pixels, predictor, tick)
        _check(subject, asked)
        for one in asked:
            PARTS[one].write(subject)
    return 0


def _check(subject: Subject, asked: tuple[str, ...]) -> None:
    """Refuse what this image or checkpoint does not have, before anything is written."""
    given, channels = subject.given, subject.predictor.info.config.neck.channels
    if given.channel is not None and given.channel >= channels:
        raise InputError(f"--channel is one of 0 .. {channels - 1}, not {given.channel}")
    if "ablation" in asked:
        inspect_instances.switches_of(subject)
    if given.at is not None:
        inspect_fields.point_of(subject)
    if given.instance is not None:
        subject.row(given.instance)


PARTS = {
    "activation": Part(lambda branches: 4 * (branches + 4) + 1, inspect_maps.write_activation),
    "contribution": Part(
        lambda branches: 4 * (2 * branches + 3) + 1, inspect_maps.write_contribution
    ),
    "field": Part(lambda branches: 8 * (branches + 1) + 1, inspect_fields.write),
    "ablation": Part(lambda branches: 2, inspect_instances.write_ablation),
    "film": Part(lambda branches: 2, inspect_instances.write_film),
}
