"""Labels from a model: over a project, in a region, in a box by hand."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from app.actions import labels as label_actions
from app.canvas.label_payload import label_instances
from app.canvas.prelabel_asked import PrelabelAsked, RefitAsked, RegionAsked, RulesAsked, Scope
from app.services import CheckpointFile, Services, StoredImage
from app.services.sheets import Project
from comask.annotation import rle
from comask.annotation.labels import Gesture, Sheet
from comask.annotation.records import Category, Size
from comask.errors import CheckpointError, InputError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.predict import Seen
    from comask.run import Labelled, Model, Rules

SHOWN_FAILURES = 1_000

_AT_ONCE = 1_000  # rows of a project in one question


def categories_of(services: Services, file: CheckpointFile) -> tuple[Category, ...]:
    """List the classes that a checkpoint finds; raises CheckpointError."""
    return services.models.get(file, services.checkpoints.identity(file)).categories


def mapping(services: Services, project: Project, file: CheckpointFile) -> dict[str, Any]:
    """Say which of a project's classes each of a checkpoint's is, by name; None for none."""
    from comask.run import default_mapping  # brings torch

    found = categories_of(services, file)
    known = services.sheets.categories(project) or found
    return {
        "classes": [
            {"name": name, "category_id": number}
            for name, number in default_mapping(found, known).items()
        ],
        "categories": [{"id": one.id, "name": one.name} for one in known],
    }


def started(
    services: Services, project: Project, file: CheckpointFile, asked: PrelabelAsked
) -> str:
    """Begin to label images, or join the task that this key has begun; raises InputError."""
    from comask.run import Batch

    keys = _chosen(services, project, asked.scope, asked.keys)
    if not keys:
        raise InputError("There is no image to pre-label.")
    rules = _rules(services, project, file, asked.rules)
    batch = Batch(project.kept_as, asked.key, asked.actor)
    job = _Job(services, project, file, (batch, rules))
    return services.prelabels.start(project.name, asked.key, keys, job)


def described(services: Services, task: str) -> dict[str, Any] | None:
    """Say how far a task is; None for an unknown one."""
    state = services.prelabels.state(task)
    if state is None:
        return None
    told = asdict(state)
    failures = told.pop("failures")
    return told | {
        "task": task,
        "failed": [
            failure | {"file_name": _file_name(services, failure["key"])}
            for failure in failures[:SHOWN_FAILURES]
        ],
        "failed_count": len(failures),
    }


def region(
    services: Services, image: StoredImage, file: CheckpointFile, asked: RegionAsked
) -> dict[str, Any]:
    """Let the model look at a region by itself, and add what it finds; raises ConflictError."""
    from comask.run import Model, plan
    from comask.run.region import cut_out, placed, rerouted, whole_pixels

    project, name = services.sheets.project_of(image), services.sheets.name_of(image)
    rules = _rules(services, project, file, asked.rules)
    pixels = services.images.pixels(image)
    size = (pixels.shape[0], pixels.shape[1])
    corners = whole_pixels(asked.box, size)
    identity = services.checkpoints.identity(file)
    found = services.models.get(file, identity).predict(cut_out(pixels, corners))
    prediction = placed(found, corners, size)
    own = _model(services, project, identity)
    model = Model(own.checkpoint, {**own.settings, "region": list(corners)})
    sheet = services.sheets.sheet(image)
    made = plan(prediction, sheet, name, model, rules)
    put: tuple[str, ...] = ()
    repeated = False
    if made.put:
        put = tuple(one.uid for one in made.put)
        gesture = Gesture(
            key=asked.gesture,
            actor=asked.actor,
            kind="prelabel",
            revision=asked.revision,
            put=made.put,
            actions=1,
        )
        begun = _base(services, project, image, name)
        done = services.labels.apply(project.kept_as, name, gesture, lambda: begun(size))
        sheet, repeated = done.sheet, done.repeated
    undo, redo = services.labels.standing(project.kept_as, asked.actor)
    return {
        "revision": sheet.revision,
        "repeated": repeated,
        "instances": label_instances(one for one in sheet.labels if one.uid in put),
        "drop": [],
        "state": sheet.state,
        "undo": undo,
        "redo": redo,
        "levels_note": _levels_note(int(rerouted(prediction).sum()), len(prediction)),
    }


def region_conflict(
    services: Services, image: StoredImage, asked: RegionAsked, sentence: str
) -> dict[str, Any]:
    """Explain why a region was not labelled: somebody changed the image since it was fetched."""
    return {
        "detail": f"{sentence.rstrip('.')}.",
        "document": label_actions.document(services, image, asked.actor),
        "clashes": [],
        "by": [],
    }


def refit(
    services: Services, image: StoredImage, file: CheckpointFile, asked: RefitAsked
) -> dict[str, Any]:
    """Draw the object in a box; nothing is stored. Raises InputError where there is nothing."""
    from comask.run import default_mapping

    predictor = services.inspections.predictor(file)
    known = services.sheets.categories(services.sheets.project_of(image))
    ids = default_mapping(predictor.categories, known or predictor.categories)
    own = {one.id: ids[one.name] for one in predictor.categories}
    label = next((mine for mine, theirs in own.items() if theirs == asked.category), None)
    made = predictor.refit(
        _seen(services, file, image), asked.box, None if asked.category is None else label
    )
    area = rle.area(made.mask)
    if not area:
        raise InputError("The model finds nothing in this box; draw it nearer to the object.")
    category = own[made.category.id] if asked.category is None else asked.category
    return {
        "category_id": category,
        "class_score": made.class_score,
        "mask_iou": made.mask_iou,
        "score": made.score,
        "box": [round(float(value), 3) for value in made.box],
        "bbox": list(rle.bbox(made.mask)),
        "area": area,
        "rle": made.mask.to_coco(),
        "levels": list(made.levels),
    }


class _Job:
    """Label images of a project one by one, with what the Studio's own runs find."""

    def __init__(
        self,
        services: Services,
        project: Project,
        file: CheckpointFile,
        how: "tuple[Any, Rules]",
    ) -> None:
        self._services, self._project, self._file = services, project, file
        self._batch, self._rules = how
        self._run: str | None = None
        self._model = _model(services, project, services.checkpoints.identity(file))

    def begin(self, keys: Sequence[str]) -> None:
        """Have the model look at what it has not seen; a run that goes on does part of it."""
        services = self._services
        ready = services.predictions.ready(services.checkpoints.identity(self._file), keys)
        pending = [key for key in keys if key not in ready]
        owner = f"prelabel {self._batch.project} {self._batch.key}"
        self._run = services.runner.start(owner, self._file, pending, done=len(ready))

    def label(self, key: str) -> "Labelled | None":
        """Label an image; None while the model is still to come to it."""
        from comask.run import ToLabel, label_image  # brings torch

        services = self._services
        image = services.images.find(key)
        if image is None:
            raise InputError("This image was removed before it was labelled.")
        state = services.runner.state(self._run)  # before asking: it may end meanwhile
        prediction = services.prediction(self._file, key)
        if prediction is None:
            if complaint := services.complaint(self._file, key):
                if state is not None and state.stage == "failed":
                    raise CheckpointError(state.sentence)
                raise InputError(complaint)
            if state is None or state.stage != "running":
                raise InputError(f"The model did not come to {image.file_name}; try it again.")
            return None
        name = services.sheets.name_of(image)
        work = ToLabel(image.path, name, _base(services, self._project, image, name))
        how = (self._model, self._rules)
        return label_image(services.labels, self._batch, work, prediction, how)

    def seconds_left(self) -> float | None:
        """Say how long the model still takes."""
        state = self._services.runner.state(self._run)
        return None if state is None else state.seconds_left

    def end(self) -> None:
        """Let the model stop."""
        self._services.runner.stop(self._run)


def settled_mapping(
    services: Services, project: Project, file: CheckpointFile
) -> tuple[tuple[Category, ...], dict[str, int | None]]:
    """Give a project's classes, set if need be, and which of them a checkpoint's are."""
    from comask.run import default_mapping, settle_categories

    found = categories_of(services, file)
    given = services.sheets.given_categories(project)
    known = settle_categories(services.labels, project.kept_as, given, found)
    return known, default_mapping(found, known)


def _rules(
    services: Services, project: Project, file: CheckpointFile, asked: RulesAsked
) -> "Rules":
    """Check a mapping against both sides; classes that it does not name are left out."""
    from comask.run import Rules

    known, _ = settled_mapping(services, project, file)
    ids = {one.id for one in known}
    own = {one.name for one in categories_of(services, file)}
    for name, number in asked.mapping.items():
        if name not in own:
            raise InputError(f"The checkpoint has no class {name:.80}.")
        if number is not None and number not in ids:
            raise InputError(f"The project has no class {number}, to which {name:.80} is to go.")
    return Rules(
        mapping=asked.mapping,
        min_score=asked.min_score,
        policy=asked.policy,
        overlap=asked.overlap,
    )


def model_of(services: Services, project: Project, file: CheckpointFile) -> "Model":
    """Say under which names a checkpoint's instances go in a project."""
    return _model(services, project, services.checkpoints.identity(file))


def _model(services: Services, project: Project, identity: str) -> "Model":
    from comask.run import Model

    return Model.of(services.predictions.run(identity, project.kept_as).row)


def _base(
    services: Services, project: Project, image: StoredImage, name: str
) -> Callable[[Size], Sheet]:
    """Say what an image's sheet begins with, without decoding it once more."""
    from comask.run import begin_sheet

    found = project.found
    if found is None:
        return lambda _size: services.sheets.begun(image).sheet
    return lambda size: begin_sheet(found, name, size)


def _chosen(services: Services, project: Project, scope: Scope, keys: Sequence[str]) -> list[str]:
    """List the keys of the images that are meant, each file once, in the project's order."""
    wanted = frozenset(keys)
    kept = services.labels.sheets(project.kept_as) if scope == "unlabelled" else {}
    found: dict[str, str] = {}  # name -> key
    for start in range(0, services.sheets.count(project), _AT_ONCE):
        for one in services.sheets.listed(project, start, _AT_ONCE):
            sheet = kept.get(one.name)
            labels = one.objects if sheet is None else sum(sheet.counts.values())
            if (scope == "selected" and one.key not in wanted) or (
                scope == "unlabelled" and labels
            ):
                continue
            found.setdefault(one.name, one.key)
    return list(found.values())


def _seen(services: Services, file: CheckpointFile, image: StoredImage) -> "Seen":
    """Look at an image once for many boxes."""
    from comask.predict import Seen

    key = ("refit", *services.inspections.held(file, image))
    known = services.inspections.kept(key)
    if isinstance(known, Seen):
        return known
    made = services.inspections.predictor(file).see(services.images.pixels(image))
    services.inspections.keep(key, made, made.bytes)
    return made


def _levels_note(moved: int, total: int) -> str:
    if not total:
        return ""
    if not moved:
        return "The model saw the region as an image of its own, on the same pyramid levels."
    count = "1 instance was" if moved == 1 else f"{moved} instances were"
    return (
        f"The model saw the region as an image of its own, so {count} read from another pyramid "
        f"level than in the whole image, of {total}."
    )


def _file_name(services: Services, key: str) -> str | None:
    try:
        image = services.images.find(key)
    except InputError:  # its dataset is not open any more
        return None
    return None if image is None else image.file_name
