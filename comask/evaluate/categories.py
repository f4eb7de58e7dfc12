"""Whose category is whose: a checkpoint's and a dataset's, by name."""

from collections import Counter
from collections.abc import Sequence

from comask.annotation.classes import plain
from comask.annotation.records import Category
from comask.errors import InputError

__all__ = ["match_categories", "plain"]


def match_categories(own: Sequence[Category], truth: Sequence[Category]) -> dict[int, int]:
    """Find the truth's id for each of a checkpoint's: {own id: truth id}, by name.

    What the truth does not know is left out, as COCO does; that nothing is known is refused.
    """
    ids = {plain(category.name): category.id for category in reversed(truth)}
    found = {c.id: ids[plain(c.name)] for c in own if plain(c.name) in ids}
    if not found:
        raise InputError(
            f"the checkpoint finds {_some(own)}, and the annotation file knows {_some(truth)}"
        )
    return found


def _some(categories: Sequence[Category]) -> str:
    counted = Counter(category.name for category in categories)
    names = ", ".join(list(counted)[:3])
    return f"{names} and {len(counted) - 3} more" if len(counted) > 3 else names or "no category"
