"""The checkpoints that can be chosen, and the model of the one that is.

People and pages know a checkpoint by its name; files are found by looking the name up in the
listing, never by joining it to a folder.
"""

import hashlib
import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from app.services.files import beside
from app.settings import Settings
from comask.annotation.records import Category
from comask.errors import CheckpointError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.predict import Prediction

SUFFIX = ".safetensors"
OPEN_MODELS = 2  # two tabs may compare two checkpoints without loading them in turns

_FOLDER = "checkpoints"


class Detector(Protocol):
    """What finds instances: the library's Predictor, or a test's stand-in."""

    @property
    def device(self) -> object:
        """Say where it runs."""

    @property
    def categories(self) -> tuple[Category, ...]:
        """List the classes that it finds."""

    def predict(self, image: Any, /, *, candidates: bool = False) -> "Prediction":
        """Find the instances of an upright RGB image: (H, W, 3) uint8 -> Prediction."""


OpenDetector = Callable[[Path], Detector]


@dataclass(frozen=True)
class CheckpointFile:
    """One file that can be chosen, and where it comes from."""

    name: str
    path: Path
    origin: Literal["given", "bundled", "workspace"]


class CheckpointShelf:
    """List, add and tell apart checkpoint files."""

    def __init__(self, settings: Settings, open_detector: OpenDetector) -> None:
        self._given = settings.checkpoint
        self._bundled = settings.assets / _FOLDER
        self._workspace = settings.workspace / _FOLDER
        self._most_bytes = settings.limits.checkpoint_bytes
        self._open = open_detector
        self._identities: dict[tuple[Path, int, int], str] = {}
        self._lock = threading.Lock()
        self._workspace.mkdir(parents=True, exist_ok=True)

    def listed(self) -> tuple[CheckpointFile, ...]:
        """List the given file, then the bundled ones, then the workspace's, by name."""
        found: list[CheckpointFile] = []
        if self._given is not None and self._given.is_file():
            found.append(CheckpointFile(self._given.stem, self._given, "given"))
        for folder, origin in ((self._bundled, "bundled"), (self._workspace, "workspace")):
            for path in sorted(folder.glob(f"[!.]*{SUFFIX}")):
                if self._given is None or path.resolve() != self._given.resolve():
                    found.append(CheckpointFile(path.stem, path, origin))  # type: ignore[arg-type]
        return _told_apart(found)

    def find(self, name: str | None) -> CheckpointFile | None:
        """Look a name up; without a name, take the one to start with."""
        listed = self.listed()
        if name is None:
            return listed[0] if listed else None
        return next((file for file in listed if file.name == name), None)

    def add(self, upload: Path, file_name: str) -> CheckpointFile:
        """Copy an uploaded file into the workspace if it holds a CoMask; raises CheckpointError."""
        name = _clean_name(file_name)
        if not file_name.lower().endswith(SUFFIX):
            raise CheckpointError(
                f"{name} is not a {SUFFIX} file; the authors' .pth files become one with "
                f"`comask convert IN.pth OUT{SUFFIX}`."
            )
        if upload.stat().st_size > self._most_bytes:
            raise CheckpointError(
                f"{name} is larger than {self._most_bytes // 1_000_000:,} MB; put it into "
                f"{self._workspace} by hand if it really is a CoMask."
            )
        place = self._untaken(name, upload)
        if not place.exists():
            with beside(place) as temporary:
                shutil.copyfile(upload, temporary)
                _opened(self._open, temporary, f"{name}{SUFFIX}")
        return next(file for file in self.listed() if file.path == place)

    def identity(self, file: CheckpointFile) -> str:
        """Name a checkpoint by its content; it is read once for as long as it does not change."""
        status = file.path.stat()
        stamp = file.path, status.st_size, status.st_mtime_ns
        with self._lock:
            if stamp not in self._identities:
                with file.path.open("rb") as stream:
                    digest = hashlib.file_digest(stream, "sha256").hexdigest()
                self._identities[stamp] = digest[:16]
            return self._identities[stamp]

    def _untaken(self, name: str, upload: Path) -> Path:
        """Find a place that is free, or that holds this very file already."""
        place, number = self._workspace / f"{name}{SUFFIX}", 2
        while place.exists() and not _same_content(place, upload):
            place = self._workspace / f"{name}-{number}{SUFFIX}"
            number += 1
        return place


class Models:
    """The models in memory: opened when first needed, used by one caller at a time."""

    def __init__(self, open_detector: OpenDetector) -> None:
        self._open = open_detector
        self._lock = threading.Lock()
        self._models: dict[str, Detector] = {}
        self._devices: dict[str, str] = {}
        self._refusals: dict[str, str] = {}
        self.opening: str | None = None  # the name of the checkpoint that is being read

    def get(self, file: CheckpointFile, identity: str) -> Detector:
        """Take an open model or open it; raises CheckpointError, and the others stay open."""
        with self._lock:
            if identity not in self._models:
                self._add(file, identity)
                while len(self._models) > OPEN_MODELS:
                    del self._models[next(iter(self._models))]
            return self._models[identity]

    def device(self, identity: str) -> str | None:
        """Say where a model that was opened runs, in a word."""
        return self._devices.get(identity)

    def refusal(self, identity: str) -> str:
        """Say why a model could not be opened, if it could not."""
        return self._refusals.get(identity, "")

    def _add(self, file: CheckpointFile, identity: str) -> None:
        self.opening = file.name
        try:
            model = _opened(self._open, file.path, file.path.name)
        except CheckpointError as error:
            self._refusals[identity] = str(error)
            raise
        finally:
            self.opening = None
        self._refusals.pop(identity, None)
        self._models[identity] = model
        self._devices[identity] = str(model.device)


def _opened(open_detector: OpenDetector, path: Path, name: str) -> Detector:
    """Open a file; a refusal calls it by the name that people know it by."""
    try:
        return open_detector(path)
    except CheckpointError as error:
        raise CheckpointError(str(error).replace(str(path), name)) from error
    except OSError as error:
        raise CheckpointError(f"{name} can't be read: {error.strerror}.") from error


def _clean_name(file_name: str) -> str:
    stem = re.split(r"[/\\]", file_name)[-1]
    stem = stem[: -len(SUFFIX)] if stem.lower().endswith(SUFFIX) else stem
    return re.sub(r"[^\w.+-]+", "-", stem).strip("-.")[:100] or "checkpoint"


def _same_content(left: Path, right: Path) -> bool:
    if left.stat().st_size != right.stat().st_size:
        return False
    with left.open("rb") as one, right.open("rb") as other:
        digests = {hashlib.file_digest(file, "sha256").digest() for file in (one, other)}
    return len(digests) == 1


def _told_apart(files: list[CheckpointFile]) -> tuple[CheckpointFile, ...]:
    counts = Counter(file.name for file in files)
    return tuple(
        file
        if counts[file.name] == 1
        else CheckpointFile(f"{file.name} ({file.origin})", file.path, file.origin)
        for file in files
    )
