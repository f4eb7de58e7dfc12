"""The state of a training on disk: written whole or not at all, taken up only by its own recipe."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from comask.config import from_dict, to_dict
from comask.errors import CheckpointError, ConfigError
from comask.train.loop import Training
from comask.train.recipe import Recipe

SCHEMA = 1


def save(training: Training, recipe: Recipe, path: Path) -> None:
    """Write the state beside ``path`` and rename it over."""
    beside = path.with_suffix(".partial")
    content = {"schema": SCHEMA, "recipe": to_dict(recipe), **training.state()}
    with beside.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def restore(training: Training, recipe: Recipe, path: Path) -> None:
    """Take up a state that ``save`` wrote; another recipe is refused."""
    content = _read(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise CheckpointError(f"{path} is not a training state of this version")
    _compare(content.get("recipe"), recipe, path)
    try:
        training.restore(content)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} is a training state with parts missing") from error


def _read(path: Path) -> object:
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing: there is nothing to resume") from error
    except Exception as error:  # the unpickler raises whatever it stumbles over
        raise CheckpointError(f"{path} is not a training state that can be read") from error
    return content


def _compare(values: object, recipe: Recipe, path: Path) -> None:
    try:
        known = from_dict(Recipe, values, at="recipe")
    except ConfigError as error:
        raise CheckpointError(f"{path} is of another version: {error}") from error
    old, new = _flat(to_dict(known)), _flat(to_dict(recipe))
    changed = [f"{name} {old[name]}, not {new[name]}" for name in old if old[name] != new[name]]
    if changed:
        raise CheckpointError(
            f"{path} was trained with other settings, give the same to resume: "
            + "; ".join(changed[:3])
        )


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{name}.")
        else:
            flat[before + name] = value
    return flat
