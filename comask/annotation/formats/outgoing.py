"""What goes out: how each mask is said in a format, and what that costs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from comask.annotation import coco, files, polygons, rle
from comask.annotation.formats import labelme, results, yolo
from comask.annotation.formats.archive import by_image
from comask.annotation.records import Annotation, Dataset
from comask.errors import InputError

Format = Literal["coco", "results", "labelme", "yolo"]
Masks = Literal["rle", "polygon"]

FORMATS: tuple[Format, ...] = get_args(Format)
_CROWD = "it is a crowd, which {} can't say, so it is left out"
_CROWDLESS: dict[Format, str] = {"results": "a results list", "yolo": "YOLO"}


@dataclass(frozen=True)
class WriteSettings:
    """How a dataset is written.

    masks      rle keeps every pixel; labelme's own kind of mask is meant too. YOLO knows polygons
               alone, and a results list RLE alone
    bar        IoU with the mask, 0 .. 1, below which polygons are not good enough
    tolerance  how far an outline may move so that it needs fewer points, image pixels
    keyholes   cut holes out of polygons by slits, which some tools draw
    """

    format: Format = "coco"
    masks: Masks = "rle"
    bar: float = 0.95
    tolerance: float = 0.0
    keyholes: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise InputError(f"format must be one of {', '.join(FORMATS)}, not {self.format!r}")
        if self.masks not in get_args(Masks):
            raise InputError(f"masks must be rle or polygon, not {self.masks!r}")
        if not 0 <= self.bar <= 1:
            raise InputError(f"bar must be in 0 .. 1, got {self.bar}")
        if not 0 <= self.tolerance <= polygons.MAX_TOLERANCE:
            raise InputError(f"tolerance must be in 0 .. {polygons.MAX_TOLERANCE:g} pixels")

    @property
    def draws(self) -> bool:
        """Tell whether polygons are drawn."""
        return self.format == "yolo" or (self.masks == "polygon" and self.format != "results")


@dataclass(frozen=True)
class Said:
    """What became of one instance.

    iou       of what the polygons draw with the mask, 0 .. 1; 1 where the mask itself is written
    points    of its polygons; 0 where the mask itself is written
    sentence  what was lost or why it was written otherwise; "" for nothing
    """

    annotation_id: int
    iou: float
    points: int
    sentence: str = ""


@dataclass(frozen=True)
class Written:
    """What a file holds, as far as the format can say it.

    dataset      its annotations' masks are those that the file draws; their polygons, which take
                 a hundred times as much room, are in the file alone
    polygons     one for each instance that polygons were drawn for, taken or not
    fallen_back  ids of those whose polygons were below the bar, so that the mask is written
    left_out     what the format has no way to say
    sha256       of the whole file
    """

    settings: WriteSettings
    dataset: Dataset
    sha256: str
    polygons: tuple[Said, ...] = ()
    fallen_back: frozenset[int] = frozenset()
    left_out: tuple[Said, ...] = ()


@files.uncollected()
def write(path: Path, dataset: Dataset, settings: WriteSettings) -> Written:
    """Write a dataset, whole or not at all."""
    pen = _Pen(settings)
    with files.replaced(path) as stream:
        if settings.format == "coco":
            for piece in coco.pieces(dataset, pen.drawn(dataset.annotations)):
                stream.write(piece)
        else:
            images = ((image, list(pen.drawn(mine))) for image, mine in by_image(dataset))
            if settings.format == "labelme":
                labelme.write(stream, dataset.categories, images)
            elif settings.format == "yolo":
                yolo.write(stream, dataset.categories, images)
            else:
                for piece in results.pieces(images):
                    stream.write(piece)
        stream.flush()
        return pen.written(dataset, files.digest(Path(stream.name)))


class _Pen:
    """Decides how every mask is written, just before it is, and remembers what came of it."""

    def __init__(self, settings: WriteSettings) -> None:
        self._settings = settings
        self._said: list[Said] = []
        self._fallen: set[int] = set()
        self._left_out: list[Said] = []
        self._kept: list[Annotation] = []

    def drawn(self, annotations: Iterable[Annotation]) -> Iterator[Annotation]:
        """Draw what the format can hold."""
        settings = self._settings
        for one in annotations:
            if one.iscrowd and settings.format in _CROWDLESS:
                sentence = _CROWD.format(_CROWDLESS[settings.format])
                self._left_out.append(Said(one.id, 0.0, 0, sentence))
                continue
            made = one
            if settings.draws and not (one.iscrowd and settings.format == "coco"):
                made, row = _drawn(one, settings)
                self._said.append(row)
                if not made.polygons:
                    self._fallen.add(one.id)
            elif one.polygons:
                made = replace(one, polygons=())
            self._kept.append(replace(made, polygons=()) if made.polygons else made)
            yield made

    def written(self, dataset: Dataset, sha256: str) -> Written:
        """Say what was written."""
        content = replace(dataset, annotations=tuple(self._kept))
        rest = (tuple(self._said), frozenset(self._fallen), tuple(self._left_out))
        return Written(self._settings, content, sha256, *rest)


def _drawn(one: Annotation, settings: WriteSettings) -> tuple[Annotation, Said]:
    """Draw one instance; its mask stays where polygons are too bad and the format holds masks."""
    found = polygons.draw(one.rle, settings.tolerance, keyholes=settings.keyholes)
    loss = _loss(found)
    if found.iou < settings.bar and settings.format != "yolo":
        loss = f"{loss}; it is written as a mask"
        return replace(one, polygons=()), Said(one.id, found.iou, 0, loss)
    drawn = replace(
        one,
        rle=found.mask,
        polygons=found.polygons,
        area=rle.area(found.mask),
        bbox=rle.bbox(found.mask),
    )
    return drawn, Said(one.id, found.iou, found.points, loss)


def _loss(found: polygons.Drawing) -> str:
    if found.iou == 1:
        return ""
    parts = "1 hole" if found.holes == 1 else f"{found.holes} holes"
    why = f"its polygons fill {parts}" if found.holes else "its polygons leave points out"
    return f"{why}, so that they have an IoU of {found.iou:.3f} with the mask"
