"""Files that other tools read and write: COCO, COCO results, labelme and YOLO-seg.

``write`` puts a dataset into one file (labelme and YOLO: a zip), and says what the format could
not hold, instance by instance. ``read`` brings a file's labels onto images that are known, and
says what it left out. The same dataset gives the same bytes. All coordinates are of upright images.

    format   masks               holes              parts              crowds     images without
    coco     RLE or polygons     RLE holds them     one annotation     iscrowd    kept
    results  RLE                 RLE holds them     one result         left out   left out
    labelme  masks or polygons   masks hold them    group_id           a flag     kept
    yolo     polygons            filled, or slits   slits of no width  left out   kept

A format that holds masks takes one where polygons would fall below the bar. Whether something is a
crowd has nothing to do with how its mask is written; crowds of COCO files are always RLE, which is
how other tools expect them.
"""

from pathlib import Path

from comask.annotation.formats import incoming, outgoing
from comask.annotation.formats.incoming import Arrived, Known
from comask.annotation.formats.outgoing import FORMATS, Format, Masks, Said, WriteSettings, Written
from comask.annotation.records import Dataset

__all__ = [
    "FORMATS",
    "Arrived",
    "Format",
    "Known",
    "Masks",
    "Said",
    "WriteSettings",
    "Written",
    "read",
    "write",
]


def write(path: Path, dataset: Dataset, settings: WriteSettings | None = None) -> Written:
    """Write a dataset, whole or not at all; raises AnnotationError for what can't be written."""
    return outgoing.write(path, dataset, settings or WriteSettings())


def read(path: Path, known: Known) -> Arrived:
    """Read the labels of a file of any of the formats; raises AnnotationError with one sentence."""
    return incoming.read(path, known)
