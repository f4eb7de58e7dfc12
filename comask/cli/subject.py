"""What ``comask inspect`` looks at: one image, one checkpoint, and what both have in common."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comask.annotation import files
from comask.cli.shared import open_predictor, read_settings
from comask.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from comask.analysis import Base, Look
    from comask.predict import Prediction, Predictor

SCHEMA = 1
PATIENCE = 2.0  # seconds of work without a bar
PNG_EFFORT = 2  # 0 .. 9: more takes three times as long and saves a fifth


@dataclass(frozen=True, eq=False)
class Subject:
    """One image under one checkpoint, and the folder that is written.

    tick  is told of each step that is done
    """

    given: argparse.Namespace
    name: str
    pixels: "NDArray[np.uint8]"
    predictor: "Predictor"
    tick: Callable[[], object]

    @cached_property
    def look(self) -> "Look":
        """Every map of every level."""
        from comask.analysis import look

        return look(self.predictor, self.pixels)

    @cached_property
    def base(self) -> "Base":
        """The instances, and what is needed to find them otherwise."""
        from comask.analysis import base_run

        return base_run(self.predictor, self.pixels)

    @property
    def branches(self) -> tuple[str, ...]:
        """Name the branches of the checkpoint."""
        from comask.analysis import branch_names

        return branch_names(self.predictor.info.config.neck.branches)

    @property
    def folder(self) -> Path:
        """The folder that was asked for."""
        folder: Path = self.given.output
        return folder

    def row(self, number: int) -> int:
        """Find the instance that ``comask predict`` numbers so; raises InputError for none."""
        from comask.annotation import rle

        found: Prediction = self.base.prediction
        rows = [row for row, mask in enumerate(found.masks) if rle.area(mask)]
        if number > len(rows):
            raise InputError(f"{self.name} has {len(rows)} instances and no number {number}")
        return rows[number - 1]

    def place(self, *parts: str) -> Path:
        """Name a file below the folder, and see that its own folder is there."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def draw(self, picture: "NDArray[np.uint8]", *parts: str) -> None:
        """Write a picture; that is a step."""
        from PIL import Image

        Image.fromarray(picture).save(self.place(*parts), compress_level=PNG_EFFORT)
        self.tick()

    def keep(self, values: "NDArray[np.generic]", *parts: str) -> None:
        """Write an array."""
        import numpy as np

        np.save(self.place(*parts), values)

    def tell(self, content: dict[str, Any], *parts: str) -> None:
        """Write numbers as JSON, below what all such files say."""
        head = {"schema": SCHEMA, "file_name": self.name}
        files.replace_file(self.place(*parts), files.dump_json(head | content))


def load(given: argparse.Namespace, checkpoint: Path) -> "Predictor":
    """Load one of the checkpoints that were given, with the settings that were given."""
    one = argparse.Namespace(**{**vars(given), "checkpoint": checkpoint})
    return open_predictor(one, read_settings(one))


@contextmanager
def steps(total: int, unit: str = "step") -> Iterator[Callable[[], object]]:
    """Show on stderr how far work has come, once it takes long; gives what tells of a step."""
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, delay=PATIENCE) as bar:
        yield bar.update
