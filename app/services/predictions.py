"""What the model found in images: a thin shelf over the store of runs, which outlives the server.

An image goes by its key here and by its name within its dataset in the store, so the page finds
what ``comask prelabel`` has left there, and the other way round.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from app.services.recent import Recent
from comask import __version__
from comask.annotation.claims import new_worker
from comask.annotation.store import Store
from comask.errors import ComaskError, StoreError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.predict import Prediction
    from comask.run import Run

Place = Callable[[str], tuple[str, str]]


class PredictionShelf:
    """Keep predictions under (checkpoint identity, image key)."""

    def __init__(
        self, store: Store, place: Place, in_memory: int, settings: Mapping[str, Any]
    ) -> None:
        """Take a store and how the model runs.

        Args:
            store: Where everything is kept.
            place: Tells the dataset of a key and the image's name within it.
            in_memory: Predictions that are held ready.
            settings: Those of the run, as ``comask.run.Run`` writes them.
        """
        self._store, self._place = store, place
        self._settings = dict(settings)
        self._worker = new_worker()
        self._recent: Recent[tuple[str, str], Prediction] = Recent(in_memory)

    def has(self, identity: str, key: str) -> bool:
        """Say whether an image needs no run any more."""
        return bool(self.ready(identity, [key]))

    def ready(self, identity: str, keys: Iterable[str]) -> frozenset[str]:
        """Find those of many images that need no run any more."""
        named: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for key in keys:
            dataset, name = self._place(key)
            named[dataset][name].append(key)  # a COCO file may name one file twice
        found: set[str] = set()
        for dataset, names in named.items():
            run = self.find_run(identity, dataset)
            if run is not None:
                for name in self._store.names(run, among=list(names)):
                    found.update(names[name])
        return frozenset(found)

    def names(self, identity: str, dataset: str) -> frozenset[str]:
        """Name the images of a dataset that need no run any more."""
        run = self.find_run(identity, dataset)
        return frozenset() if run is None else self._store.names(run)

    def get(self, identity: str, key: str) -> "Prediction | None":
        """Find a prediction; a damaged one is as good as none."""
        known = self._recent.get((identity, key))
        if known is not None:
            return known
        dataset, name = self._place(key)
        run = self.find_run(identity, dataset)
        kept = None if run is None else self._store.payload(run, name)
        if run is None or kept is None:
            return None
        from comask.run import unpack

        try:
            prediction = unpack(kept)
        except StoreError:
            self._store.forget(run, [name])
            return None
        self._recent.put((identity, key), prediction)
        return prediction

    def claim(self, identity: str, key: str) -> bool:
        """Take an image on; False where another process is at it, or has been.

        The claim ends with ``put`` or ``fail``, or is given up with ``release``.
        """
        dataset, name = self._place(key)
        run = self.run(identity, dataset).row.id
        known = self._store.outcome(run, name)
        if known is not None and known.state == "failed":
            self._store.forget(run, [name])
        return self._store.claim(run, name, self._worker)

    def release(self, identity: str, key: str) -> None:
        """Give up a claim on an image that nothing became of."""
        dataset, name = self._place(key)
        run = self.find_run(identity, dataset)
        if run is not None:
            self._store.release(run, name, self._worker)

    def put(self, identity: str, key: str, prediction: "Prediction", stamp: str = "") -> None:
        """Keep a prediction, and what its file was like."""
        dataset, name = self._place(key)
        self.run(identity, dataset).put(name, prediction, stamp)
        self._recent.put((identity, key), prediction)

    def fail(self, identity: str, key: str, sentence: str, stamp: str = "") -> None:
        """Keep why there is no prediction."""
        dataset, name = self._place(key)
        self.run(identity, dataset).fail(name, sentence, stamp)
        self._recent.drop((identity, key))

    def complaint(self, identity: str, key: str) -> str:
        """Say why there is no prediction, if the model or the file failed."""
        dataset, name = self._place(key)
        run = self.find_run(identity, dataset)
        outcome = None if run is None else self._store.outcome(run, name)
        return "" if outcome is None else outcome.reason

    def remove(self, key: str) -> None:
        """Forget an image with all checkpoints."""
        dataset, name = self._place(key)
        for run in self._store.runs(dataset):
            self._recent.drop((run.checkpoint, key))
        self._store.forget_everywhere(dataset, name)

    def run(self, identity: str, dataset: str) -> "Run":
        """Open the run of a checkpoint over a dataset."""
        from comask.run import Run  # brings torch

        row = self._store.start_or_resume(dataset, identity, __version__, self._settings)
        return Run(self._store, row)

    def find_run(self, identity: str, dataset: str) -> int | None:
        """Find the run of a checkpoint over a dataset, if it was ever begun."""
        found = self._store.find(dataset, identity, __version__, self._settings)
        return None if found is None else found.id


def failure_sentence(error: Exception) -> str:
    """Say why an image has no result."""
    if isinstance(error, ComaskError):
        return str(error)
    return f"The model failed on this image ({type(error).__name__}: {error})."[:300]
