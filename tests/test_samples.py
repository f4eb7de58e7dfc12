from pathlib import Path

import pytest

from comask.annotation import coco, rle
from comask.annotation.records import Dataset
from comask.data import images

SAMPLES = Path(__file__).resolve().parent.parent / "assets" / "samples"
FILES = images.list_images([SAMPLES])


@pytest.fixture(scope="module")
def truth() -> Dataset:
    return coco.read(SAMPLES / "instances.json")


def test_truth_names_exactly_the_images_that_are_there(truth: Dataset) -> None:
    assert FILES
    assert {image.file_name for image in truth.images} == {name for _, name in FILES}


def test_every_image_opens_at_the_size_that_the_truth_says(truth: Dataset) -> None:
    sizes = {image.file_name: (image.height, image.width) for image in truth.images}
    for path, name in FILES:
        assert images.load(path).size == sizes[name], name
        assert max(sizes[name]) <= 1024, name


def test_one_sample_is_deep_grey() -> None:
    deep = [name for path, name in FILES if images.load(path).original is not None]
    assert deep == ["microscopy/touching-16bit.png"]


def test_the_folder_stays_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*")) < 2_000_000


def test_every_image_has_a_licence(truth: Dataset) -> None:
    page = (SAMPLES / "LICENSES.md").read_text(encoding="utf-8")
    known = {licence["id"] for licence in truth.licenses}
    for image in truth.images:
        rows = [row for row in page.splitlines() if row.startswith(f"| `{image.file_name}` |")]
        assert len(rows) == 1, image.file_name
        assert any(word in rows[0] for word in ("CC0", "MIT", "public domain")), rows[0]
        assert image.extra["license"] in known


def test_the_file_says_how_it_was_made(truth: Dataset) -> None:
    assert "by eye" in truth.info["how"]
    assert all(image.extra["truth"] for image in truth.images)


def test_every_image_and_category_is_annotated(truth: Dataset) -> None:
    assert {one.image_id for one in truth.annotations} == {image.id for image in truth.images}
    used = {one.category_id for one in truth.annotations}
    assert used == {category.id for category in truth.categories}
    assert truth.categories[0].name == "nucleus"
    assert truth.categories[0].id == 1


def test_every_instance_lies_in_its_image_with_a_tight_box(truth: Dataset) -> None:
    sizes = {image.id: (image.height, image.width) for image in truth.images}
    for one in truth.annotations:
        height, width = sizes[one.image_id]
        x, y, w, h = one.bbox
        assert one.rle.size == (height, width)
        assert one.bbox == rle.bbox(one.rle)
        assert one.area == rle.area(one.rle) >= 8
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height


def test_no_two_instances_share_a_pixel(truth: Dataset) -> None:
    for image in truth.images:
        masks = [one.rle for one in truth.annotations if one.image_id == image.id]
        assert rle.area(rle.merge(masks)) == sum(map(rle.area, masks)), image.file_name


def test_truth_reads_back_as_it_was_written(truth: Dataset, tmp_path: Path) -> None:
    coco.write(tmp_path / "copy.json", truth)
    assert coco.read(tmp_path / "copy.json") == truth
