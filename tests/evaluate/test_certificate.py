"""Certificates: green for what is right, red for anything that was changed, by name."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from comask.annotation import formats, label_export, rle
from comask.annotation.formats import FORMATS, Format, Masks, WriteSettings, Written
from comask.annotation.label_export import ExportSettings, LabelExport
from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Label, Sheet
from comask.annotation.records import Dataset, ImageRecord, Upright
from comask.annotation.store import Store
from comask.evaluate import certificate
from comask.evaluate.certificate import Certificate
from tests.annotation import zoo

IMAGES = (
    ImageRecord(5, "a/zoo.png", zoo.SIZE[1], zoo.SIZE[0]),
    ImageRecord(8, "b/empty.png", zoo.SIZE[1], zoo.SIZE[0]),
)
ABOUT = Dataset(IMAGES, (), zoo.CATEGORIES)
FIRST = 1  # the ring's id


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with Store.open(tmp_path / "store.sqlite") as opened:
        yield LabelStore(opened)


def meant(store: LabelStore, *crowds: str) -> LabelExport:
    def base(row: int) -> Sheet:
        sheet = zoo.sheet()
        labels = tuple(replace(one, iscrowd=one.uid in crowds) for one in sheet.labels)
        return replace(sheet, labels=labels if row == 0 else ())

    return label_export.export(store, "p", ABOUT, base, ExportSettings())


def upright(image: ImageRecord) -> Upright:
    return Upright((image.height, image.width), turned=False)


def certified(
    store: LabelStore, path: Path, change: Callable[[Path], None] | None = None, **settings: Any
) -> tuple[Certificate, Written]:
    export = meant(store)
    written = formats.write(path, export.dataset, WriteSettings(**settings))
    if change is not None:
        change(path)
    return certificate.certify(path, export, written, upright), written


def failed(found: Certificate) -> set[str]:
    return {check.name for check in found.checks if not check.passed}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("masks", ["rle", "polygon"])
def test_the_zoo_is_certified(
    store: LabelStore, tmp_path: Path, kind: Format, masks: Masks
) -> None:
    """A hole is the one thing that YOLO can't say; the bar lets it pass here."""
    found, written = certified(store, tmp_path / "out", format=kind, masks=masks, bar=0.7)
    assert failed(found) == set()
    assert found.annotations == 8
    counts = [(line.id, line.instances, line.evaluated, line.ap) for line in found.categories]
    assert counts == [(3, 3, 3, 1.0), (7, 3, 3, 1.0), (90, 2, 2, 1.0)]
    assert found.sha256 == hashlib.sha256((tmp_path / "out").read_bytes()).hexdigest()
    assert found.sha256 == written.sha256


def test_a_hole_that_yolo_fills_is_below_the_bar_and_named(
    store: LabelStore, tmp_path: Path
) -> None:
    found, _ = certified(store, tmp_path / "out", format="yolo")
    assert failed(found) == {"masks"}
    (row,) = next(check for check in found.checks if check.name == "masks").rows
    assert (row.image, row.uid, row.annotation_id) == ("a/zoo.png", "u0", FIRST)
    assert "IoU of 0.750" in row.sentence
    assert "below the bar of 0.95" in row.sentence


def test_polygons_that_fall_back_are_certified_as_masks(store: LabelStore, tmp_path: Path) -> None:
    found, written = certified(store, tmp_path / "out", masks="polygon")
    assert found.passed
    assert written.fallen_back == {FIRST}


def test_crowds_are_counted_apart(store: LabelStore, tmp_path: Path) -> None:
    export = meant(store, "u0", "u3")  # both of class 3
    written = formats.write(tmp_path / "out", export.dataset, WriteSettings())
    found = certificate.certify(tmp_path / "out", export, written, upright)
    assert found.passed
    line = found.categories[0]
    assert (line.instances, line.crowds, line.evaluated, line.ap) == (1, 2, 1, 1.0)


@pytest.mark.parametrize("kind", ["results", "yolo"])
def test_crowds_that_a_format_can_not_say_are_named(
    store: LabelStore, tmp_path: Path, kind: Format
) -> None:
    export = meant(store, "u0")
    written = formats.write(tmp_path / "out", export.dataset, WriteSettings(format=kind))
    found = certificate.certify(tmp_path / "out", export, written, upright)
    assert found.passed
    (row,) = next(check for check in found.checks if check.name == "left_out").rows
    assert (row.uid, row.annotation_id) == ("u0", FIRST)


def edited(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        content = json.loads(path.read_bytes())
        change(content)
        path.write_text(json.dumps(content))

    return edit


def set_first(key: str, value: object) -> Callable[[Path], None]:
    return edited(lambda content: content["annotations"][0].__setitem__(key, value))


CHANGES: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "a byte of the info": (edited(lambda c: c["info"].__setitem__("coordinates", "!")), set()),
    "a crowd": (set_first("iscrowd", 1), {"crowds", "evaluated"}),
    "an area": (set_first("area", 299), {"boxes"}),
    "a box": (set_first("bbox", [10, 10, 20, 21]), {"boxes"}),
    "an id": (set_first("id", 4711), {"ids"}),
    "a class": (set_first("category_id", 90), {"categories", "counts", "evaluated"}),
    "an image": (set_first("image_id", 8), {"counts"}),
    "a mask": (
        edited(
            lambda c: c["annotations"][0].__setitem__(
                "segmentation", c["annotations"][1]["segmentation"]
            )
        ),
        {"masks", "boxes"},
    ),
    "an instance gone": (edited(lambda c: c["annotations"].pop(0)), {"counts", "ids", "evaluated"}),
    "an instance more": (
        edited(lambda c: c["annotations"].append(c["annotations"][0] | {"id": 99})),
        {"counts", "ids", "evaluated"},
    ),
    "an image gone": (edited(lambda c: c["images"].pop(1)), {"images"}),
    "an image's name": (
        edited(lambda c: c["images"][1].__setitem__("file_name", "x.png")),
        {"images"},
    ),
    "an image's size": (edited(lambda c: c["images"][1].__setitem__("width", 60)), {"images"}),
    "a class's name": (
        edited(lambda c: c["categories"][0].__setitem__("name", "x")),
        {"categories"},
    ),
    "a file cut short": (lambda path: path.write_bytes(path.read_bytes()[:-9]), {"readable"}),
    "an id twice": (set_first("id", 2), {"readable"}),
    "damaged runs": (
        set_first("segmentation", {"size": [60, 70], "counts": "11111"}),
        {"readable"},
    ),
}


@pytest.mark.parametrize(("change", "red"), CHANGES.values(), ids=CHANGES.keys())
def test_any_change_turns_it_red(
    store: LabelStore, tmp_path: Path, change: Callable[[Path], None], red: set[str]
) -> None:
    found, _ = certified(store, tmp_path / "out", change)
    assert not found.passed
    assert failed(found) == {"bytes", *red}


def test_one_byte_anywhere_turns_it_red(store: LabelStore, tmp_path: Path) -> None:
    export = meant(store)
    path = tmp_path / "out"
    written = formats.write(path, export.dataset, WriteSettings())
    content = path.read_bytes()
    for place in range(5, len(content), len(content) // 12):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        found = certificate.certify(path, export, written, upright)
        assert "bytes" in failed(found)


def test_the_red_row_names_the_instance(store: LabelStore, tmp_path: Path) -> None:
    found, _ = certified(store, tmp_path / "out", set_first("area", 299))
    (row,) = next(check for check in found.checks if check.name == "boxes").rows
    assert row == certificate.Row("a/zoo.png", "u0", FIRST, "its area is 300, not 299")


@pytest.mark.parametrize("kind", ["labelme", "yolo"])
def test_a_changed_zip_turns_it_red(store: LabelStore, tmp_path: Path, kind: Format) -> None:
    def drop_last(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in content.items():
                if "empty" not in name:
                    archive.writestr(name, data)

    found, _ = certified(store, tmp_path / "out", drop_last, format=kind, bar=0.7)
    assert failed(found) == {"bytes", "images"}


def test_a_size_that_is_not_the_upright_pictures_turns_it_red(
    store: LabelStore, tmp_path: Path
) -> None:
    export = meant(store)
    written = formats.write(tmp_path / "out", export.dataset, WriteSettings())
    found = certificate.certify(
        tmp_path / "out", export, written, lambda image: Upright((image.width, image.height), True)
    )
    assert failed(found) == {"orientation"}
    check = next(check for check in found.checks if check.name == "orientation")
    assert check.rows[0].image == "a/zoo.png"
    assert check.rows[0].sentence == "it is 60 x 70 pixels when upright, and not 70 x 60"


@pytest.mark.parametrize("kind", FORMATS)
def test_turned_pictures_are_said(store: LabelStore, tmp_path: Path, kind: Format) -> None:
    export = meant(store)
    written = formats.write(tmp_path / "out", export.dataset, WriteSettings(kind, bar=0.7))
    found = certificate.certify(
        tmp_path / "out", export, written, lambda image: Upright((image.height, image.width), True)
    )
    assert found.passed
    check = next(check for check in found.checks if check.name == "orientation")
    assert "2 of 2 are turned by their EXIF orientation" in check.sentence
    assert ("opens them as they are stored" in check.sentence) == (kind == "yolo")


def test_a_picture_that_is_gone_is_a_note_and_no_failure(store: LabelStore, tmp_path: Path) -> None:
    export = meant(store)
    written = formats.write(tmp_path / "out", export.dataset, WriteSettings())
    found = certificate.certify(tmp_path / "out", export, written, lambda _image: None)
    assert found.passed
    check = next(check for check in found.checks if check.name == "orientation")
    assert check.count == 2


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_at_all_is_certified(store: LabelStore, tmp_path: Path, kind: Format) -> None:
    export = label_export.export(
        store, "p", ABOUT, lambda row: Sheet(zoo.SIZE, row=row), ExportSettings()
    )
    written = formats.write(tmp_path / "out", export.dataset, WriteSettings(format=kind))
    found = certificate.certify(tmp_path / "out", export, written, upright)
    assert found.passed
    assert [(line.instances, line.evaluated) for line in found.categories] == [(0, 0)] * 3


def test_labels_without_a_pixel_are_named(store: LabelStore, tmp_path: Path) -> None:
    empty = Label("none", 3, rle.from_polygons([], *zoo.SIZE), "accepted", "file", number=9)

    def base(row: int) -> Sheet:
        return Sheet(zoo.SIZE, (empty,) if row == 0 else (), row=row)

    export = label_export.export(store, "p", ABOUT, base, ExportSettings())
    written = formats.write(tmp_path / "out", export.dataset, WriteSettings())
    found = certificate.certify(tmp_path / "out", export, written, upright)
    assert found.passed
    assert found.annotations == 0
    (row,) = next(check for check in found.checks if check.name == "left_out").rows
    assert (row.uid, row.annotation_id) == ("none", 9)


def test_it_is_written_as_json(store: LabelStore, tmp_path: Path) -> None:
    found, _ = certified(store, tmp_path / "out", set_first("area", 299))
    content = json.loads(found.to_json())
    assert content["passed"] is False
    assert content["schema"] == 1
    names = [check["name"] for check in content["checks"]]
    assert names == [
        "bytes",
        "readable",
        "images",
        "orientation",
        "counts",
        "ids",
        "categories",
        "masks",
        "boxes",
        "crowds",
        "left_out",
        "evaluated",
    ]
