"""Labels of a whole project: what is to be reviewed, which images, which classes, what it took."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.canvas.label_asked import CategoryAsked, numbered
from app.services import Services, StoredImage
from app.services.sheets import Listed, Project
from comask.annotation.label_store import Order, SheetRow
from comask.annotation.labels import STATES, State
from comask.annotation.records import Category
from comask.errors import InputError

_LOGGED = ("when", "actor", "kind", "put", "drop", "actions", "seconds")


def queue(
    services: Services,
    project: Project,
    order: Order,
    states: Sequence[State],
    page: tuple[int, int],
) -> dict[str, Any]:
    """List labels to be reviewed: ``page`` is the offset and how many at most.

    Those of images that are not there any more are left out, and not counted.
    """
    total, rows = services.labels.queue(project.kept_as, order, states, *page)
    keys = services.sheets.keys(project, [(row.image, row.row) for row in rows])
    return {
        "total": max(total - _gone(services, project, states), 0),
        "rows": [
            {
                "key": keys[row.image],
                "id": row.uid,
                "category_id": row.category,
                "state": row.state,
                "class_score": row.class_score,
                "instability": row.instability,
                "disagreement": row.disagreement,
            }
            for row in rows
            if row.image in keys
        ],
    }


def images(services: Services, project: Project, page: tuple[int, int]) -> dict[str, Any]:
    """List a project's images in its own order, those that nobody touched too.

    Such a one counts as many accepted labels as its annotation file has objects, crowds apart.
    """
    tally = services.labels.tally(project.kept_as)
    reach = services.sheets.reach(project, tally.sheets)
    odd = services.labels.sheets(project.kept_as, [*reach.gone, *reach.again])
    more = {name: reach.again.get(name, 0) - 1 for name in odd}  # rows: one less for each gone
    gone = [odd[name] for name in reach.gone if name in odd]
    counts = {
        state: count - sum(one.counts.get(state, 0) for one in gone)
        for state, count in tally.counts.items()
    }
    counts["accepted"] += reach.objects
    shown = services.sheets.listed(project, *page)
    kept = services.labels.sheets(project.kept_as, [one.name for one in shown])
    return {
        "images": services.sheets.count(project),
        "touched": tally.sheets + sum(more.values()),
        "done": tally.done + sum(more[name] for name, one in odd.items() if one.state == "done"),
        "counts": counts,
        "categories": listed(services.sheets.categories(project)),
        "rows": [_row(one, kept.get(one.name)) for one in shown],
    }


def history(services: Services, image: StoredImage, limit: int) -> dict[str, Any]:
    """List what was done to an image, the latest first."""
    project = services.sheets.project_of(image)
    rows = services.labels.history(project.kept_as, services.sheets.name_of(image), limit)
    return {"rows": [{name: row.get(name) for name in _LOGGED} for row in rows]}


def set_categories(
    services: Services, project: Project, asked: Sequence[CategoryAsked]
) -> dict[str, Any]:
    """Set a project's classes; raises InputError where one goes that an object has.

    Those of the annotation file stay: objects that nobody touched yet are of them.
    """
    made = numbered(asked, services.sheets.categories(project))
    ids = {one.id for one in made}
    gone = [one for one in services.sheets.given_categories(project) if one.id not in ids]
    if gone:
        raise InputError(f"{gone[0].name} is a class of the annotation file, so it can't go")
    services.labels.set_categories(project.kept_as, made)
    return {"categories": listed(services.sheets.categories(project))}


def listed(categories: Sequence[Category]) -> list[dict[str, Any]]:
    """Write classes for the page."""
    return [
        {"id": one.id, "name": one.name, "supercategory": one.supercategory} for one in categories
    ]


def ledger(services: Services, project: Project) -> dict[str, Any]:
    """Say what became of every checkpoint's proposals, class by class, and what it took.

    The totals hold the work that touched no label too.
    """
    actions, seconds = services.labels.totals(project.kept_as)
    names = _checkpoint_names(services)
    classes = {one.id: one.name for one in services.sheets.categories(project)}
    return {
        "rows": [
            {
                "checkpoint": row.checkpoint,
                "checkpoint_name": names.get(row.checkpoint, row.checkpoint),
                "category_id": row.category,
                "category": classes.get(row.category, ""),
                "accepted": row.accepted,
                "nudged": row.nudged,
                "redrawn": row.redrawn,
                "rejected": row.rejected,
                "waiting": row.waiting,
                "drawn": row.drawn,
                "actions": row.actions,
                "seconds": row.seconds,
            }
            for row in services.labels.effort(project.kept_as)
        ],
        "actions": actions,
        "seconds": seconds,
    }


def _row(image: Listed, kept: SheetRow | None) -> dict[str, Any]:
    counts: Mapping[State, int] = {"accepted": image.objects} if kept is None else kept.counts
    return {
        "key": image.key,
        "file_name": image.file_name,
        "state": "open" if kept is None else kept.state,
        "revision": 0 if kept is None else kept.revision,
        "counts": {state: counts.get(state, 0) for state in STATES},
    }


def _gone(services: Services, project: Project, states: Sequence[State]) -> int:
    """Count labels of images that are not there any more, so that nobody can open them."""
    reach = services.sheets.reach(project, services.labels.tally(project.kept_as).sheets)
    gone = services.labels.sheets(project.kept_as, reach.gone) if reach.gone else {}
    return sum(one.counts.get(state, 0) for one in gone.values() for state in states)


def _checkpoint_names(services: Services) -> dict[str, str]:
    names = {}
    for file in services.checkpoints.listed():
        try:
            names[services.checkpoints.identity(file)] = file.name
        except OSError:  # it went away just now
            continue
    return names
