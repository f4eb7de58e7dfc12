"""One image's labels: show them, change them, undo; the store has the last word on every change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.actions.documents import picture, with_grey
from app.canvas.label_asked import EffortAsked, GestureAsked, PutAsked, RevertAsked
from app.canvas.label_payload import LabelDocument, label_document, label_instances
from app.services import Services, StoredImage
from app.services.sheets import Begun, Project
from comask.annotation.label_store import Base
from comask.annotation.labels import Gesture, Label, Sheet, State
from comask.annotation.records import Size
from comask.errors import ComaskError, ConflictError, InputError


@dataclass(frozen=True)
class _Seen:
    """An image's sheet, kept or not, and whether it can be drawn on.

    size  of the upright picture, as far as it can be read
    """

    sheet: Sheet
    size: Size
    note: str
    editable: bool


def document(services: Services, image: StoredImage, actor: str | None) -> LabelDocument:
    """Build the document of an image's labels; what is wrong with the image is its note."""
    project = services.sheets.project_of(image)
    seen = _seen(services, project, image)
    undo, redo = _standing(services, project, actor)
    return label_document(
        with_grey(services, image, picture(image, seen.size)),
        seen.sheet,
        services.sheets.categories(project),
        {
            "project": project.name,
            "state": seen.sheet.state,
            "undo": undo,
            "redo": redo,
            "note": seen.note,
        },
        editable=seen.editable,
    )


def applied(services: Services, image: StoredImage, asked: GestureAsked) -> dict[str, Any]:
    """Do what somebody did; raises InputError and then nothing of it is done, or ConflictError."""
    project, name = services.sheets.project_of(image), services.sheets.name_of(image)
    before, begun = _before(services, project, image)
    _refuse_unknown_classes(services, project, asked.put)
    known = {one.uid: one for one in before.labels}
    gesture = Gesture(
        key=asked.key,
        actor=asked.actor,
        kind=asked.kind,
        revision=asked.revision,
        put=[_put(one, known.get(one.uid), before.size) for one in asked.put],
        drop=asked.drop,
        state=asked.state,
        actions=asked.actions,
        seconds=asked.seconds,
    )
    done = services.labels.apply(project.kept_as, name, gesture, _base(begun))
    named = {one.uid for one in asked.put}
    there = {one.uid for one in done.sheet.labels}
    undo, redo = _standing(services, project, asked.actor)
    return {
        "revision": done.sheet.revision,
        "repeated": done.repeated,
        "instances": label_instances(one for one in done.sheet.labels if one.uid in named),
        "drop": [uid for uid in asked.drop if uid not in there],
        "state": done.sheet.state,
        "undo": undo,
        "redo": redo,
    }


def conflict(
    services: Services, image: StoredImage, asked: GestureAsked, error: ConflictError
) -> dict[str, Any]:
    """Explain why a gesture was not done: the labels as they are now, and who changed which."""
    named = {one.uid for one in asked.put} | set(asked.drop)
    return {
        "detail": f"{str(error).rstrip('.')}.",
        "document": document(services, image, asked.actor),
        "clashes": sorted(named & error.touched),
        "by": sorted(error.actors),
    }


def reverted(
    services: Services, project: Project, asked: RevertAsked, *, redo: bool
) -> dict[str, Any]:
    """Undo, or do again; ``kind`` is None where there was nothing. Raises ConflictError."""
    turn = services.labels.redo if redo else services.labels.undo
    made = turn(project.kept_as, asked.actor, asked.key)
    later, sooner = _standing(services, project, asked.actor)
    standing = {"undo": later, "redo": sooner}
    if made is None:
        return {"kind": None, "images": [], "count": 0, "skipped": 0, **standing}
    keys = services.sheets.keys(project, [(name, one.row) for name, one in made.images.items()])
    return {
        "kind": made.kind,
        "images": [keys[name] for name in made.images if name in keys],
        "count": made.count,
        "skipped": made.skipped,
        **standing,
    }


def worked(services: Services, image: StoredImage, asked: EffortAsked) -> None:
    """Note work down that changed nothing; it counts in the project's totals."""
    project, name = services.sheets.project_of(image), services.sheets.name_of(image)
    services.labels.spend(
        project.kept_as, name, asked.actor, asked.key, asked.actions, asked.seconds
    )


def _seen(services: Services, project: Project, image: StoredImage) -> _Seen:
    """Look at an image and its labels.

    Labels of another size than the picture now has are kept, but shown they would lie.
    """
    kept = services.labels.sheet(project.kept_as, services.sheets.name_of(image))
    try:
        if kept is None:
            begun = services.sheets.begun(image)
            return _Seen(begun.sheet, begun.sheet.size, begun.note, True)
        size = services.images.size(image)
    except (ComaskError, OSError) as error:
        note = f"{str(error).rstrip('.')}."
        if kept is not None:
            return _Seen(kept, kept.size, note, True)
        return _Seen(Sheet((0, 0)), _size(services, image), note, False)
    if size != kept.size:
        hidden = Sheet(size, (), kept.revision, kept.state, kept.row)
        return _Seen(hidden, size, f"{_resized(image, size, kept.size)}.", False)
    return _Seen(kept, size, "", True)


def _before(services: Services, project: Project, image: StoredImage) -> tuple[Sheet, Begun | None]:
    """Find the sheet that is to be changed, and what it begins with if it is not kept yet.

    The latter is read here: no transaction waits for a picture.
    """
    kept = services.labels.sheet(project.kept_as, services.sheets.name_of(image))
    if kept is None:
        begun = services.sheets.begun(image)
        return begun.sheet, begun
    try:
        size = services.images.size(image)
    except (ComaskError, OSError):  # the labels do not need the picture
        size = kept.size
    if size != kept.size:
        raise InputError(_resized(image, size, kept.size))
    return kept, None


def _base(begun: Begun | None) -> Base:
    def base() -> Sheet:
        if begun is None:
            raise InputError("the labels of this image went away just now; open it again")
        return begun.sheet

    return base


def _put(asked: PutAsked, known: Label | None, size: Size) -> Label:
    if asked.mask.size != size:
        (high, wide), (height, width) = asked.mask.size, size
        raise InputError(
            f"the mask of {asked.uid} is {wide} x {high} pixels, the image {width} x {height}"
        )
    return Label(
        uid=asked.uid,
        category=asked.category,
        mask=asked.mask,
        state=_state(asked, known),
        origin="person" if known is None else known.origin,
        z=asked.z,
        iscrowd=asked.iscrowd,
    )


def _state(asked: PutAsked, known: Label | None) -> State:
    """Decide the state of a label that is put.

    What a person drew is new, or rejected, until somebody sends it back to be reviewed; what a
    model or a file said is never new.
    """
    if known is None:
        return "new"
    if known.origin == "person":
        judged = asked.state == "rejected" or known.state in ("proposed", "accepted", "edited")
        return asked.state if judged else "new"
    if asked.state == "new":
        raise InputError(f"{asked.uid} is no label that a person drew, so it can't be new")
    return asked.state


def _refuse_unknown_classes(services: Services, project: Project, put: Sequence[PutAsked]) -> None:
    known = {one.id for one in services.sheets.categories(project)}
    for one in put:
        if one.category not in known:
            raise InputError(f"{one.uid} has the class {one.category}, which the project lacks")


def _standing(
    services: Services, project: Project, actor: str | None
) -> tuple[str | None, str | None]:
    return (None, None) if actor is None else services.labels.standing(project.kept_as, actor)


def _size(services: Services, image: StoredImage) -> Size:
    try:
        return services.images.size(image)
    except (ComaskError, OSError):
        return 0, 0


def _resized(image: StoredImage, size: Size, labelled: Size) -> str:
    return (
        f"{image.file_name} is {size[1]} x {size[0]} pixels now, and its labels were made on "
        f"{labelled[1]} x {labelled[0]}; they are kept and come back with the former file"
    )
