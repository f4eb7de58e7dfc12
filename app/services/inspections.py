"""The network opened for a look inside: what one image left in it is held while people look."""

import threading
from collections.abc import Hashable
from typing import TYPE_CHECKING

from app.services.checkpoints import CheckpointFile, CheckpointShelf, Models
from app.services.images import ImageStore, Pixels, StoredImage
from app.services.recent import Recent
from app.services.tasks import Tasks
from app.settings import Limits
from comask.errors import ComaskError, InputError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.analysis import Look
    from comask.analysis.ablation import Base
    from comask.predict import Predictor

Held = tuple[str, str]  # checkpoint identity, image key with the version of its file


class Inspections:
    """Looks into open models; several threads may ask at once."""

    def __init__(
        self, checkpoints: CheckpointShelf, models: Models, images: ImageStore, limits: Limits
    ) -> None:
        self._checkpoints, self._models, self._images = checkpoints, models, images
        self._looks: Recent[Held, Look] = Recent(limits.looks_bytes)
        self._bases: Recent[Held, Base] = Recent(limits.looks_bytes)
        self._found: Recent[Hashable, object] = Recent(limits.answers_bytes)
        self._lock = threading.Lock()
        self.tasks = Tasks(limits.answers_bytes)

    def predictor(self, file: CheckpointFile) -> "Predictor":
        """Open a checkpoint's model; raises CheckpointError, or InputError for a stand-in."""
        from comask.predict import Predictor  # brings torch

        model = self._models.get(file, self._checkpoints.identity(file))
        if not isinstance(model, Predictor):
            raise InputError("This model can't be looked into.")
        return model

    def held(self, file: CheckpointFile, image: StoredImage) -> Held:
        """Name a checkpoint and an image by their contents."""
        return self._checkpoints.identity(file), f"{image.key} {image.version}"

    def pixels(self, key: str) -> Pixels | None:
        """Decode an image of a set; None where it is missing or can't be read.

        One bad image ends no work over many.
        """
        try:
            image = self._images.find(key)
            return None if image is None else self._images.pixels(image)
        except ComaskError:
            return None

    def look(self, file: CheckpointFile, image: StoredImage) -> "Look":
        """Look at every map of an image, or give back the look of a moment ago."""
        from comask.analysis import look  # brings torch

        key = self.held(file, image)
        with self._lock:  # two questions about one image need one look
            known = self._looks.get(key)
            if known is None:
                known = look(self.predictor(file), self._images.pixels(image))
                self._looks.put(key, known, known.bytes)
        return known

    def base(self, file: CheckpointFile, image: StoredImage) -> "Base":
        """Run the model and keep what switches leave as it is, or give back what was kept."""
        from comask.analysis.ablation import base_run  # brings torch

        key = self.held(file, image)
        with self._lock:
            known = self._bases.get(key)
            if known is None:
                known = base_run(self.predictor(file), self._images.pixels(image))
                self._bases.put(key, known, known.bytes)
        return known

    def keep(self, key: Hashable, value: object, bytes_held: int) -> None:
        """Remember what took long to find."""
        self._found.put(key, value, bytes_held)

    def kept(self, key: Hashable) -> object | None:
        """Give back what was remembered."""
        return self._found.get(key)
