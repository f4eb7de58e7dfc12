"""Labels that ``comask prelabel`` puts into the store, for people to correct in the Studio."""

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from comask.annotation.classes import plain
from comask.annotation.index import DatasetIndex
from comask.annotation.labels import Sheet
from comask.annotation.records import Category, Size
from comask.cli.shared import share
from comask.cli.sources import Source
from comask.errors import InputError

if TYPE_CHECKING:  # brings torch
    from comask.run import Base, Labelled, Labeller, Rules, Run

OVERLAP = 0.5  # ``comask.run.labelling.OVERLAP``, which brings torch
ACTOR = "comask prelabel"
LONGEST = 64  # characters of an actor or a batch

_OWN = ("map", "policy", "overlap", "actor", "batch")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the part of the command line that is about labels."""
    group = parser.add_argument_group(
        "labels",
        "With --labels, what is found is also put into the store as proposals that people correct "
        "in a Studio started with the same --store. What people did is never changed, and the same "
        "command does an image only once.",
    )
    group.add_argument("--labels", action="store_true", help="put labels into the store")
    group.add_argument(
        "--map",
        action="append",
        metavar="CLASS=CATEGORY",
        help="which of the dataset's classes one of the checkpoint's is, by name; nothing after "
        "the = leaves it out; may be repeated (by default classes of the same name)",
    )
    group.add_argument(
        "--policy",
        choices=("add", "replace"),
        help="add: proposals of earlier runs stay, the default; replace: those that nobody "
        "touched go first",
    )
    group.add_argument(
        "--overlap",
        type=share,
        metavar="IOU",
        help=f"what overlaps with a label by so much is not added, by default {OVERLAP}",
    )
    group.add_argument(
        "--actor", metavar="NAME", help=f"who undoes it, by default {ACTOR!r}; 1 .. {LONGEST}"
    )
    group.add_argument(
        "--batch",
        metavar="NAME",
        help="a name for this run: under another one, what was undone is put there again",
    )


def check(given: argparse.Namespace, source: Source) -> None:
    """Refuse what makes no sense before anything is opened."""
    if not given.labels:
        idle = [name for name in _OWN if getattr(given, name) is not None]
        if idle:
            raise InputError(f"--{idle[0]} is about labels; give --labels as well")
        return
    if source.index is None:
        raise InputError(
            "labels belong to a dataset: give one folder, or --annotations and --images together"
        )
    for name in ("actor", "batch"):
        value = getattr(given, name)
        if value is not None and not (0 < len(value) <= LONGEST and value.isprintable()):
            raise InputError(f"--{name} must be a text of 1 to {LONGEST} characters")


def begin(
    given: argparse.Namespace, source: Source, run: "Run", found: Sequence[Category]
) -> "Labeller":
    """Set up labelling; the classes of a project that has none become the checkpoint's."""
    from comask.annotation.label_store import LabelStore
    from comask.run import Batch, Labeller, Rules, ToLabel, settle_categories

    assert source.index is not None, "it was checked"
    labels = LabelStore(run.store)
    known = settle_categories(labels, source.dataset, source.index.categories, found)
    rules = Rules(
        mapping=read_mapping(given.map or (), found, known),
        min_score=given.min_score,
        policy=given.policy or "add",
        overlap=OVERLAP if given.overlap is None else given.overlap,
    )
    batch = Batch(source.dataset, batch_key(run, rules, given), given.actor or ACTOR)
    images = {name: ToLabel(path, name, _base(source.index, name)) for path, name in source.files}
    return Labeller(run, labels, list(images.values()), (batch, rules))


def read_mapping(
    words: Iterable[str], found: Sequence[Category], known: Sequence[Category]
) -> dict[str, int | None]:
    """Lay CLASS=CATEGORY words over the mapping by names; raises InputError for unknown ones."""
    from comask.run import default_mapping

    mapping = default_mapping(found, known)
    own = {plain(one.name): one.name for one in reversed(found)}
    ids = {plain(one.name): one.id for one in reversed(known)}
    for word in words:
        name, equals, category = word.partition("=")
        if not equals or plain(name) not in own:
            raise InputError(
                f"--map takes CLASS=CATEGORY with a class of the checkpoint, which finds "
                f"{_some(found)}, not {word!r:.80}"
            )
        if category and plain(category) not in ids:
            raise InputError(
                f"--map: the dataset has no class {category!r:.80}, it has {_some(known)}"
            )
        mapping[own[plain(name)]] = ids[plain(category)] if category else None
    return mapping


def batch_key(run: "Run", rules: "Rules", given: argparse.Namespace) -> str:
    """Name a run by all that makes it what it is: the same command has the same name."""
    about = {
        "run": [run.row.dataset, run.row.checkpoint, run.row.version, dict(run.row.settings)],
        "mapping": dict(rules.mapping),
        "rules": [rules.min_score, rules.policy, rules.overlap],
        "names": [given.actor or ACTOR, given.batch or ""],
    }
    text = json.dumps(about, sort_keys=True, allow_nan=False)
    return f"cli-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def told(made: Iterable["Labelled"], store: str) -> str:
    """Say in a sentence or two what became of all images."""
    labels = images = hidden = 0
    left_out: Counter[str] = Counter()
    for one in made:
        labels, images, hidden = labels + one.there, images + bool(one.there), hidden + one.hidden
        left_out.update(one.left_out)
    said = f"{labels} of these are labels in {store}, on {images} images"
    parts = []
    if left_out:
        named = ", ".join(f"{count} x {name}" for name, count in sorted(left_out.items()))
        parts.append(f"{left_out.total()} have no class in the dataset ({named})")
    if hidden:
        parts.append(f"{hidden} overlap with what is there")
    return f"{said}; {'; '.join(parts)}" if parts else said


def _base(index: DatasetIndex, name: str) -> "Base":
    from comask.run import begin_sheet

    def begin(size: Size) -> Sheet:
        return begin_sheet(index, name, size)

    return begin


def _some(categories: Sequence[Category]) -> str:
    names: Mapping[str, None] = dict.fromkeys(one.name for one in categories)
    shown = ", ".join(list(names)[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "none"
