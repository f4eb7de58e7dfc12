"""Pre-labelling: a checkpoint over many images, and what it found put into their sheets.

What the model finds comes from the store of runs, or goes there, so nothing is computed twice. One
image is one gesture, and a run's gestures are one batch: it is undone as a whole. The same batch
does an image only once, so a run that was killed is started again with the same words, and several
processes may work on one.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Gesture, Sheet
from comask.annotation.records import Size
from comask.annotation.store import OutcomeRow
from comask.errors import ComaskError, ConflictError, StoreError
from comask.predict import Prediction
from comask.run.files import Detector
from comask.run.labelling import Model, Plan, Rules, plan
from comask.run.stored import Run

Base = Callable[[Size], Sheet]  # an image's sheet before anybody came, by the image's size

KIND = "prelabel"

_TRIES = 20  # a sheet that somebody works on changes while we look


@dataclass(frozen=True)
class Batch:
    """Under which names labels are written.

    project  a dataset's fingerprint, "uploads" or "samples"
    key      names the whole run for ever: under the same one an image is done only once
    actor    who undoes it
    """

    project: str
    key: str
    actor: str

    def gesture(self, image: str) -> str:
        """Name what the run does to one image."""
        named = f"{self.project}|{self.key}|{image}"
        return f"{KIND}-{hashlib.sha256(named.encode()).hexdigest()[:32]}"


@dataclass(frozen=True)
class ToLabel:
    """An image file, its name in the store, and what its sheet begins with."""

    path: Path
    name: str
    base: Base


@dataclass(frozen=True)
class Labelled:
    """What became of one image; ``failure`` is one sentence where nothing did.

    added     labels that came by this call, dropped: that went
    there     labels of what this run finds that the sheet now has, whoever put them there
    left_out  instances of each class that has no category here
    hidden    instances that overlap too much with what is there
    """

    image: str
    added: int = 0
    dropped: int = 0
    there: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict, hash=False)
    hidden: int = 0
    failure: str = ""


class Labeller:
    """Puts what a run finds into sheets, image by image."""

    def __init__(
        self, run: Run, labels: LabelStore, images: Sequence[ToLabel], how: tuple[Batch, Rules]
    ) -> None:
        """Take a run, the store of labels, images of one dataset, and how they are labelled."""
        self._run, self._labels = run, labels
        self._images = {image.name: image for image in images}
        self._batch, self._rules = how
        self._model = Model.of(run.row)

    def label(self, row: OutcomeRow) -> Labelled:
        """Label the image of an outcome; whatever is wrong with it is its ``failure``."""
        name = row.name
        if row.state == "failed":
            return Labelled(name, failure=row.reason)
        try:
            prediction = self._run.latest(name)
            if prediction is None:
                prediction = self._run.prediction(name)
        except StoreError as error:
            self._run.store.forget(self._run.row.id, [name])  # damaged: the next run makes it anew
            return Labelled(name, failure=str(error))
        if prediction is None:
            return Labelled(name, failure=f"what was found in {name} is not kept any more")
        how = (self._model, self._rules)
        return label_image(self._labels, self._batch, self._images[name], prediction, how)


def prelabel(
    run: Run,
    detector: Detector,
    labels: LabelStore,
    images: Sequence[ToLabel],
    how: tuple[Batch, Rules],
    *,
    progress: bool = False,
) -> Iterator[Labelled]:
    """Run over images and label them, as they come; yields every image once.

    An image that can't be used does not end it. Several processes may do the same at once.

    Args:
        run: What is found is read from it, or computed and kept there.
        detector: One with the run's checkpoint and ``run_settings``.
        labels: The store of labels.
        images: Of one dataset, each once.
        how: Under which names labels are written, and which.
        progress: Whether to show it on stderr.
    """
    labeller = Labeller(run, labels, images, how)
    files = [(image.path, image.name) for image in images]
    for row in run.work(detector, files, progress=progress):
        yield labeller.label(row)


def label_image(
    labels: LabelStore,
    batch: Batch,
    image: ToLabel,
    prediction: Prediction,
    how: tuple[Model, Rules],
) -> Labelled:
    """Put what a model found into an image's sheet, as one gesture; none where nothing changes."""
    name = image.name
    begun: Sheet | None = None
    try:
        for _ in range(_TRIES):
            sheet = labels.sheet(batch.project, name)
            if sheet is None:
                sheet = begun = begun or image.base(prediction.size)
            made = plan(prediction, sheet, name, *how)
            try:
                return _applied(labels, batch, name, (sheet, made))
            except ConflictError:  # somebody was faster; look again
                continue
    except StoreError:  # that is no fault of the image
        raise
    except ComaskError as error:
        return Labelled(name, failure=_sentence(name, error))
    return Labelled(name, failure=f"{name} is being worked on; try it again later")


def _applied(labels: LabelStore, batch: Batch, name: str, what: tuple[Sheet, Plan]) -> Labelled:
    before, made = what
    sheet, repeated = before, True
    if made.put or made.drop:
        gesture = Gesture(
            key=batch.gesture(name),
            actor=batch.actor,
            kind=KIND,
            revision=before.revision,
            put=made.put,
            drop=made.drop,
            batch=batch.key,
        )
        applied = labels.apply(batch.project, name, gesture, lambda: before)
        sheet, repeated = applied.sheet, applied.repeated
    old, new = ({one.uid for one in one.labels} for one in (before, sheet))
    return Labelled(
        name,
        added=0 if repeated else len(new - old),
        dropped=0 if repeated else len(old - new),
        there=len(made.named & new),
        left_out=made.left_out,
        hidden=made.hidden,
    )


def _sentence(name: str, error: ComaskError) -> str:
    said = str(error)
    return said if name in said else f"{name}: {said}"
