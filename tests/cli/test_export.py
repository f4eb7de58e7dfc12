"""``comask export`` over files of every kind: where a marker lies, it lies in the file too."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from comask.annotation import coco, formats, rle
from comask.annotation.formats import FORMATS, Format, Known
from comask.annotation.index import DatasetIndex
from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Gesture, Label, Sheet
from comask.annotation.records import Category, Dataset
from comask.annotation.store import Store
from tests.annotation import zoo
from tests.cli.saying import Say, assert_refused
from tests.factories import write_json

HEIGHT, WIDTH = 24, 36  # as the files are stored
MARKER = (5, 30)  # row, column of the one pixel that is not dark
CLASSES = (Category(1, "cell"), Category(90, "last"))

NFC, NFD = (unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD"))
NAMES = {
    **{f"turned/{turn}.jpg": turn for turn in range(1, 9)},
    "deep.png": "I;16",
    "alpha.png": "RGBA",
    "palette.png": "P",
    "inks.jpg": "CMYK",
    "日本語.png": "L",
    "😀.png": "L",
    "שלום.png": "L",
    '#%".png': "L",
    NFC: "L",
    NFD: "L",
    "a/same.png": "L",
    "b/same.png": "L",
    "c/same.png": "L",
}


def write_marker(path: Path, kind: int | str) -> None:
    """Write a dark image with one bright block of 8 x 8 pixels, whose middle is the marker."""
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    row, column = MARKER
    pixels[row - 4 : row + 4, column - 4 : column + 4] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "I;16":
        return Image.fromarray((pixels / 255 * 1176).astype(np.uint16)).save(path)
    image = Image.fromarray(pixels)
    if kind == "RGBA":
        image = Image.merge("RGBA", [image] * 3 + [Image.new("L", image.size, 255)])
    elif kind == "P":
        image = image.convert("RGB").quantize(4)
    elif kind == "CMYK":
        image = image.convert("RGB").convert("CMYK")
    exif = Image.Exif()
    exif[0x0112] = kind if isinstance(kind, int) else 1
    image.save(path, exif=exif, **({"quality": 100} if path.suffix == ".jpg" else {}))
    return None


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo") / "files"
    for name, kind in NAMES.items():
        write_marker(folder / name, kind)
    return folder


def marker_of(path: Path) -> tuple[float, float]:
    """Find the middle of the bright block in the upright picture, by Pillow alone."""
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("F"))
    rows, columns = np.nonzero(upright > upright.max() / 2)
    return rows.mean() + 0.5, columns.mean() + 0.5


def label_blocks(folder: Path, place: Path, seen: dict[str, np.ndarray[Any, Any]]) -> None:
    """Draw the bright block of every picture, as the pages show it."""
    index = DatasetIndex.open(None, folder, place.parent / "cache")
    with Store.open(place) as opened:
        store = LabelStore(opened)
        store.set_categories(index.fingerprint, CLASSES)
        for name, pixels in seen.items():
            grey = pixels.astype(float).mean(axis=2)
            mask = rle.encode(grey > grey.max() / 2)
            label = Label("block", 90, mask, "new", "person")
            gesture = Gesture(f"k-{len(name)}-{hash(name)}", "ann", "brush", 0, [label])
            store.apply(index.fingerprint, name, gesture, lambda m=mask: Sheet(m.size))
    index.close()


@pytest.fixture(scope="module")
def store(files: Path) -> Path:
    """Keep the labels of the files, once for all tests."""
    from comask.data import images

    seen = {name: images.load(files / name).pixels for name in NAMES}
    label_blocks(files, files.parent / "store.sqlite", seen)
    return files.parent / "store.sqlite"


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("masks", ["rle", "polygon"])
def test_the_marker_lies_where_it_is_in_every_file(
    comask_says: Say, files: Path, store: Path, kind: Format, masks: str
) -> None:
    answer = comask_says(
        *("export", files, "--store", store, "--output", "out"),
        *("--format", kind, "--masks", masks),
    )
    assert (answer.code, answer.err) == (0, "")
    assert f"out: {len(NAMES)} instances in {len(NAMES)} images, certified" in answer.out
    for name, found in by_name(comask_says, store, Path("out"), kind).items():
        rows, columns = np.nonzero(rle.decode(found.rle))
        row, column = marker_of(files / name)
        assert abs(rows.mean() + 0.5 - row) <= 0.5, name
        assert abs(columns.mean() + 0.5 - column) <= 0.5, name


def by_name(says: Say, store: Path, path: Path, kind: Format) -> dict[str, Any]:
    """Read a file back: what is drawn on each image, by its name; each has one."""
    about = path if kind == "coco" else Path("about.json")
    if kind != "coco":
        says("export", store.parent / "files", "--store", store, "--output", about)
    dataset = coco.read(about)
    found = formats.read(path, Known(dataset.images, dataset.categories)).dataset
    names = {image.id: image.file_name for image in found.images}
    drawn = {names[a.image_id]: a for a in found.annotations}
    assert sorted(drawn) == sorted(names.values()) == sorted(NAMES)
    assert len(found.annotations) == len(NAMES)
    assert {a.category_id for a in found.annotations} == {90}
    return drawn


def test_the_same_command_gives_the_same_file(comask_says: Say, files: Path, store: Path) -> None:
    for name in ("one.json", "two.json"):
        comask_says("export", files, "--store", store, "--output", name, "--provenance")
    assert Path("one.json").read_bytes() == Path("two.json").read_bytes()


def test_turned_pictures_are_said(comask_says: Say, files: Path, store: Path) -> None:
    comask_says("export", files, "--store", store, "--output", "out.json")
    content = json.loads(Path("out.json").read_bytes())
    assert "upright" in content["info"]["coordinates"]
    sizes = {i["file_name"]: (i["width"], i["height"]) for i in content["images"]}
    assert sizes["turned/1.jpg"] == (WIDTH, HEIGHT)
    assert sizes["turned/6.jpg"] == (HEIGHT, WIDTH)
    told = json.loads(Path("out.json.certificate.json").read_bytes())
    check = next(check for check in told["checks"] if check["name"] == "orientation")
    assert f"7 of {len(NAMES)} are turned" in check["sentence"]


def coco_folder(folder: Path, dataset: Dataset) -> Path:
    """Write a COCO file and its pictures."""
    for image in dataset.images:
        path = folder / "images" / image.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (image.width, image.height)).save(path)
    coco.write(folder / "instances.json", dataset)
    return folder


def exported(says: Say, folder: Path, *more: object) -> Any:
    store = Path("store.sqlite")
    if not store.exists():
        Store.open(store).close()
    place = ("--annotations", folder / "instances.json", "--images", folder / "images")
    return says("export", *place, "--store", store, "--output", "out", *more)


def test_a_file_that_nobody_touched_comes_out_as_it_went_in(
    comask_says: Say, tmp_path: Path
) -> None:
    dataset = zoo.dataset()
    answer = exported(comask_says, coco_folder(tmp_path / "zoo", dataset))
    assert answer.code == 0
    found = coco.read("out")
    assert found.annotations == dataset.annotations
    assert found.images == dataset.images
    assert found.categories == dataset.categories


def test_a_hole_in_yolo_fails_the_certificate_and_names_the_instance(
    comask_says: Say, tmp_path: Path
) -> None:
    answer = exported(comask_says, coco_folder(tmp_path / "zoo", zoo.dataset()), "--format", "yolo")
    assert answer.code == 1
    assert "NOT certified" in answer.out
    assert "a/zoo.png: t11: its polygons fill 1 hole" in answer.err
    told = json.loads(Path("out.certificate.json").read_bytes())
    assert told["passed"] is False
    again = exported(comask_says, tmp_path / "zoo", "--format", "yolo", "--keyholes")
    assert again.code == 0


def test_objects_for_a_picture_of_another_size_are_named(comask_says: Say, tmp_path: Path) -> None:
    folder = coco_folder(tmp_path / "zoo", zoo.dataset())
    Image.new("L", (60, 70)).save(folder / "images/a/zoo.png")  # it was turned
    answer = exported(comask_says, folder)
    assert answer.code == 0
    assert "a/zoo.png: it is 60 x 70 pixels when upright" in answer.err
    assert "so 8 objects of that file are left out" in answer.err
    assert len(coco.read("out").images) == 2


def test_pictures_that_are_gone_keep_their_objects(comask_says: Say, tmp_path: Path) -> None:
    folder = coco_folder(tmp_path / "zoo", zoo.dataset())
    (folder / "images/a/zoo.png").unlink()
    assert exported(comask_says, folder).code == 0
    assert len(coco.read("out").annotations) == 8


def test_what_the_file_says_of_itself_is_kept(comask_says: Say, tmp_path: Path) -> None:
    folder = coco_folder(tmp_path / "zoo", zoo.dataset())
    content = json.loads((folder / "instances.json").read_bytes())
    content = {"info": {"year": 2026}, "licenses": [{"id": 3}], **{"x": 1}} | {
        key: content[key] for key in ("images", "annotations", "categories")
    }
    write_json(folder / "instances.json", content)
    exported(comask_says, folder)
    found = coco.read("out")
    assert found.info["year"] == 2026
    assert found.licenses == ({"id": 3},)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("export", "--store", "x.sqlite", "--output", "o"), "there is no store x.sqlite"),
        (("export", ".", "--store", "x.sqlite", "--output", "no/o"), "there is no folder"),
    ],
)
def test_senseless_requests_are_refused(
    comask_says: Say, words: tuple[str, ...], sentence: str
) -> None:
    assert_refused(comask_says(*words), sentence)


def test_a_folder_or_a_file_and_not_both(comask_says: Say, files: Path) -> None:
    Store.open("store.sqlite").close()
    given = ("--store", "store.sqlite", "--output", "o")
    assert_refused(comask_says("export", *given), "give a folder, or --annotations")
    answer = comask_says("export", files, "--images", files, *given)
    assert_refused(answer, "give either DIR, or --annotations and --images")
