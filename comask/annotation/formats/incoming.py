"""What comes in: a file is known by its content, whatever its name is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from comask.annotation import coco, files, rle
from comask.annotation.fields import shown
from comask.annotation.formats import archive, labelme, yolo
from comask.annotation.formats.known import Arrived, Known, Sorter, refuse_unknown
from comask.annotation.names import shortened
from comask.annotation.records import Annotation, Dataset
from comask.errors import AnnotationError, ComaskError

__all__ = ["Arrived", "Known", "read"]

_ZIP = b"PK\x03\x04"


def read(path: Path, known: Known) -> Arrived:
    """Read the labels of a file of any format onto known images."""
    with path.open("rb") as stream:
        is_zip = stream.read(4) == _ZIP
    with _named(path.name):
        if is_zip:
            return _read_zip(path, known)
        data = files.load(path)
        content, flaw = files.parse_json(data, path.name)
        if isinstance(content, list):
            return _read_results(content, flaw, known, path.name)
        if isinstance(content, dict) and "shapes" in content:
            return labelme.read([(path.name, data)], Sorter(known), path.name)
        del content
        return _read_coco(data, known, path.name)


def _read_zip(path: Path, known: Known) -> Arrived:
    """Tell labelme from YOLO by the files in a zip; a COCO file may be alone in one."""
    with path.open("rb") as stream:
        kinds = {name.rpartition(".")[2].lower() for name, _ in archive.entries(stream, path.name)}
    with path.open("rb") as stream:
        found = archive.entries(stream, path.name)
        if ("txt" in kinds and "yaml" in kinds) or kinds <= {"txt", "names"}:
            return yolo.read(found, Sorter(known), path.name)
        if "json" in kinds:
            return _read_jsons(found, known, path.name)
        if "txt" in kinds:
            return yolo.read(found, Sorter(known), path.name)
    raise AnnotationError(f"{path.name} holds neither labelme's JSON files nor YOLO's text files")


def _read_jsons(found: Iterator[tuple[str, bytes]], known: Known, name: str) -> Arrived:
    jsons = [(inner, data) for inner, data in found if inner.lower().endswith(".json")]
    if len(jsons) == 1:
        content, flaw = files.parse_json(jsons[0][1], jsons[0][0])
        if isinstance(content, list):
            return _read_results(content, flaw, known, name)
        if isinstance(content, dict) and "annotations" in content:
            return _read_coco(jsons[0][1], known, name)
    return labelme.read(jsons, Sorter(known), name)


def _read_coco(data: bytes, known: Known, name: str) -> Arrived:
    content = coco.parse(data, name)
    if known.grow and not known.categories:  # under the file's own ids
        known = replace(known, categories=content.categories)
    sorter = Sorter(known)
    homes = {}
    met = 0
    for record in content.images:
        image = known.image(record.file_name)
        if image is None:
            sorter.notes.add(f"there is no image {shortened(record.file_name)} here", 0)
            continue
        met += 1
        if sorter.meet(image, (record.height, record.width)):
            homes[record.id] = image.id
    refuse_unknown(sorter, name, met)
    classes = {category.id: category.name for category in content.categories}
    for one in content.annotations:
        if one.image_id not in homes:
            sorter.notes.count += 1
            continue
        category = sorter.category(classes[one.category_id])
        if category is not None:
            home = replace(one, image_id=homes[one.image_id], category_id=category)
            sorter.add(_tight(home))
    return sorter.arrived()


def _read_results(content: list[Any], flaw: str, known: Known, name: str) -> Arrived:
    """Read a results list; its ids are those of the known images and classes."""
    if flaw:
        raise AnnotationError(flaw)
    wanted = {row.get("image_id") for row in content if isinstance(row, dict)}
    sizes = {}
    for image in known.images:
        if image.id in wanted:
            height, width = known.size(image)
            sizes[image.id] = replace(image, width=width, height=height)
    about = Dataset(tuple(sizes.values()), (), tuple(known.categories))
    sorter = Sorter(known)
    for image in sizes.values():
        sorter.meet(image, (image.height, image.width))
    for number, one in enumerate(coco.read_results(content, about), start=1):
        if one.rle is None:
            sorter.notes.add("a result that has a box and no mask is left out")
            continue
        mask = coco.annotate(number, one.image_id, one.category_id, one.rle, score=one.score)
        sorter.add(mask)
    return sorter.arrived(proposed=True)


def _tight(one: Annotation) -> Annotation:
    return replace(one, area=rle.area(one.rle), bbox=rle.bbox(one.rle))


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say the file's name with whatever is wrong with it."""
    try:
        yield
    except AnnotationError as error:
        if str(error).startswith(name):
            raise
        raise AnnotationError(f"{name}: {error}") from error
    except ComaskError:
        raise
    except (RecursionError, MemoryError) as error:
        raise AnnotationError(
            f"{name} is nested too deeply or too large: {shown(error)}"
        ) from error
