"""What goes out: how each mask is said in a format, and what that costs."""

from collections.abc import Iterator
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

    dataset      its annotations' masks are those that the file draws
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


def write(path: Path, dataset: Dataset, settings: WriteSettings) -> Written:
    """Write a dataset, whole or not at all."""
    drawn = _prepared(dataset, settings)
    with files.replaced(path) as stream:
        if settings.format == "labelme":
            labelme.write(stream, drawn.dataset)
        elif settings.format == "yolo":
            yolo.write(stream, drawn.dataset)
        else:
            for piece in _pieces(drawn.dataset, settings.format):
                stream.write(piece)
        stream.flush()
        return replace(drawn, sha256=files.digest(Path(stream.name)))


def _prepared(dataset: Dataset, settings: WriteSettings) -> Written:
    """Decide how every mask is written."""
    said: list[Said] = []
    fallen: set[int] = set()
    left_out: list[Said] = []
    kept: list[Annotation] = []
    for one in dataset.annotations:
        if one.iscrowd and settings.format in _CROWDLESS:
            sentence = _CROWD.format(_CROWDLESS[settings.format])
            left_out.append(Said(one.id, 0.0, 0, sentence))
        elif settings.draws and not (one.iscrowd and settings.format == "coco"):
            drawn, row = _drawn(one, settings)
            said.append(row)
            if not drawn.polygons:
                fallen.add(one.id)
            kept.append(drawn)
        else:
            kept.append(replace(one, polygons=()) if one.polygons else one)
    content = replace(dataset, annotations=tuple(kept))
    return Written(settings, content, "", tuple(said), frozenset(fallen), tuple(left_out))


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


def _pieces(dataset: Dataset, kind: Format) -> Iterator[bytes]:
    return coco.pieces(dataset) if kind == "coco" else results.pieces(by_image(dataset))
