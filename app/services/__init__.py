"""What lives as long as the server: images, checkpoints, the model, its results, its runs."""

import gc
import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from app.services.checkpoints import CheckpointFile, CheckpointShelf, Detector, Models, OpenDetector
from app.services.datasets import DatasetShelf
from app.services.files import prepare_folder
from app.services.images import ImageStore, StoredImage
from app.services.inspections import Inspections
from app.services.pairs import PairShelf
from app.services.predictions import PredictionShelf, failure_sentence
from app.services.prelabels import Prelabels
from app.services.purposes import Purposes
from app.services.runner import ElsewhereError, Runner, RunState
from app.services.sheets import Sheets
from app.settings import Settings
from comask.annotation.label_store import LabelStore
from comask.annotation.store import Store
from comask.errors import CheckpointError, ComaskError, ImageError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.annotation.index import DatasetIndex
    from comask.predict import Prediction
    from comask.run import Run

__all__ = ["CheckpointFile", "RunState", "Services", "StoredImage"]

STORE = "runs.sqlite"  # in the workspace

_LOG = logging.getLogger(__name__)


class Services:
    """Everything that pages and routes share; built once, in ``main``."""

    def __init__(self, settings: Settings, open_detector: OpenDetector | None = None) -> None:
        """Prepare the workspace; raises ConfigError when it can't be written to.

        Args:
            settings: Where everything is.
            open_detector: Stands in for the library's model, in tests.
        """
        self.settings = settings
        workspace = prepare_folder(settings.workspace)
        opener = open_detector or self._open_predictor
        samples = settings.assets / "samples"
        self.datasets = DatasetShelf(workspace, _roots(settings, workspace))
        self.images = ImageStore(workspace, samples, settings.limits, self.datasets)
        self.checkpoints = CheckpointShelf(settings, opener)
        self.purposes = Purposes(self.checkpoints)
        self.models = Models(opener)
        self.store = Store.open(settings.store or workspace / STORE)
        self.labels = LabelStore(self.store)
        self.sheets = Sheets(self.labels, self.images, self.datasets)
        self.predictions = PredictionShelf(
            self.store,
            self.kept_as,
            settings.limits.predictions,
            {"min_score": settings.min_score},
        )
        self.pairs = PairShelf(self.store, self.predictions.find_run)
        self.runner = Runner(self._predict, self.pairs.renew)
        self.inspections = Inspections(self.checkpoints, self.models, self.images, settings.limits)
        self.prelabels = Prelabels()

    def prediction(self, file: CheckpointFile, key: str) -> "Prediction | None":
        """Find what the model made of an image, if it was run over it."""
        return self.predictions.get(self.checkpoints.identity(file), key)

    def ready(self, file: CheckpointFile, images: tuple[StoredImage, ...]) -> frozenset[str]:
        """Name the images that the model was run over."""
        return self.predictions.ready(self.checkpoints.identity(file), [i.key for i in images])

    def rows_done(self, file: CheckpointFile, dataset: str) -> frozenset[int]:
        """List the rows of a dataset that the model was run over."""
        found = self.datasets.get(dataset)
        if found is None:
            return frozenset()
        names = self.predictions.names(self.checkpoints.identity(file), found.fingerprint)
        return frozenset(found.rows_named(names)) if names else frozenset()

    def complaint(self, file: CheckpointFile, key: str) -> str:
        """Say why an image has no result with a checkpoint, by this run or an earlier one."""
        if self.runner.awaits(file, key):
            return ""
        now = self.runner.complaint(file, key)
        return now or self.predictions.complaint(self.checkpoints.identity(file), key)

    def run(self, file: CheckpointFile, found: "DatasetIndex") -> "Run":
        """Open what is kept of a checkpoint over a dataset."""
        return self.predictions.run(self.checkpoints.identity(file), found.fingerprint)

    def device(self, file: CheckpointFile) -> str | None:
        """Say where a checkpoint's model runs, once it is open."""
        return self.models.device(self.checkpoints.identity(file))

    def refusal(self, file: CheckpointFile) -> str:
        """Say why a checkpoint could not be opened, if it could not."""
        return self.models.refusal(self.checkpoints.identity(file))

    def start_run(self, owner: str, file: CheckpointFile, images: tuple[StoredImage, ...]) -> str:
        """Queue those images that have no result yet."""
        ready = self.ready(file, images)
        pending = [image.key for image in images if image.key not in ready]
        return self.runner.start(owner, file, pending, done=len(images) - len(pending))

    def remove_image(self, image: StoredImage) -> None:
        """Take an upload out, with everything that was found in it."""
        self.runner.leave_out(image.key)
        self.images.remove(image.key)
        self.predictions.remove(image.key)

    def warm_up(self) -> None:
        """Open the first model beside the page, so that neither waits for the other.

        Where Python's garbage collector was switched off while libraries are imported, it is on
        again afterwards, and leaves the objects alone that stay as long as the process.
        """
        threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start()

    def close(self) -> None:
        """Stop the runs and all other work."""
        self.inspections.tasks.close()
        self.prelabels.close()
        self.runner.close()
        self.images.close()
        self.datasets.close()
        self.store.close()

    def _warm_up(self) -> None:
        try:
            file = self.checkpoints.find(None)
            if file is not None:
                self.models.get(file, self.checkpoints.identity(file))
        except (ComaskError, OSError) as error:  # the page says it when somebody opens it
            _LOG.warning("%s", error)
        finally:
            if not gc.isenabled():
                gc.freeze()
                gc.enable()

    def _predict(self, file: CheckpointFile, key: str) -> float | None:
        """Run the model over one image; returns the seconds it took, None if it was run before."""
        image = self.images.find(key)
        if image is None:
            raise ImageError("This image was removed before the model saw it.")
        identity = self.checkpoints.identity(file)
        if self.predictions.has(identity, key):
            return None
        detector = self.models.get(file, identity)
        if not self.predictions.claim(identity, key):
            raise ElsewhereError
        seen = self._stamp(image)
        start = time.perf_counter()
        try:
            pixels = self.images.pixels(image)
            self._decode_ahead()
            prediction = detector.predict(pixels, candidates=True)
        except CheckpointError:
            self.predictions.release(identity, key)
            raise
        except Exception as error:
            self.predictions.fail(identity, key, failure_sentence(error), seen)
            raise
        seconds = time.perf_counter() - start
        self.predictions.put(identity, key, prediction, seen)
        self._prepare_pairs(identity, key, prediction)
        return seconds

    def _decode_ahead(self) -> None:
        following = self.runner.following()
        if following is not None:
            self.images.decode_ahead(following)

    def _prepare_pairs(self, identity: str, key: str, prediction: "Prediction") -> None:
        place = self.datasets.place(key)
        found = None if place is None else self.datasets.get(place[0])
        if place is None or found is None or not found.has_truth:
            return
        try:
            self.pairs.prepare(found, identity, place[1], prediction)
        except (ComaskError, OSError) as error:  # whoever asks for the numbers is told
            _LOG.warning("%s", error)

    def _stamp(self, image: StoredImage) -> str:
        """Say what a dataset's file is like; an upload's key says it already."""
        if image.source != "dataset":
            return ""
        from comask.run import stamp

        return stamp(image.path)

    def kept_as(self, key: str) -> tuple[str, str]:
        """Tell the project of an image and its name there, as the store knows them.

        The project is a dataset's fingerprint, "uploads" or "samples".
        """
        place = self.datasets.place(key)
        if place is None:
            image = self.images.find(key)
            return (image.source if image else "uploads"), key
        found = self.datasets.get(place[0])
        if found is None or place[1] >= len(found):
            return "unknown", key
        return found.fingerprint, found.image(place[1]).file_name

    def _open_predictor(self, path: Path) -> Detector:
        from comask.predict import PredictionSettings, Predictor  # brings torch

        settings = PredictionSettings(min_score=self.settings.min_score)
        return Predictor.from_checkpoint(path, device=self.settings.device, settings=settings)


def _roots(settings: Settings, workspace: Path) -> tuple[Path, ...] | None:
    """List the folders that datasets may be opened from; None where only this machine asks."""
    if settings.is_local:
        return None
    return (*settings.data, settings.assets / "samples", workspace / "samples")
