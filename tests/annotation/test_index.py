import os
from pathlib import Path
from typing import Any

import pytest

from comask.annotation import coco, index, layout
from comask.annotation.index import DatasetIndex, Filter
from comask.errors import AnnotationError, InputError
from tests.factories import coco_content, write_json, write_picture


def write(folder: Path, content: object | None = None) -> Path:
    content = coco_content() if content is None else content
    (folder / "images").mkdir(parents=True, exist_ok=True)
    return write_json(folder / "instances.json", content)


def opened(folder: Path, content: object | None = None) -> DatasetIndex:
    file = write(folder, content)
    return DatasetIndex.open(file, folder / "images", folder / "cache")


def test_an_index_tells_what_the_strict_reader_tells(tmp_path: Path) -> None:
    dataset = opened(tmp_path)
    expected = coco.read(tmp_path / "instances.json")
    assert len(dataset) == 2
    assert dataset.images([1, 0]) == (expected.images[1], expected.images[0])
    assert dataset.categories == expected.categories
    assert dataset.truth_counts == {1: 1, 90: 1}  # the third is a crowd
    assert dataset.truth_counts_of([0, 1]) == {0: 1, 1: 1}
    drawn = [one for row in (0, 1) for one in dataset.annotations(row)]
    assert tuple(drawn) == expected.annotations
    assert dataset.image(0).extra == {"license": 3}
    assert (dataset.has_truth, dataset.annotation_count, dataset.faults) == (True, 3, ())


@pytest.mark.parametrize("order", [["annotations", "categories", "images"], ["images"]])
def test_lists_come_in_any_order_or_not_at_all(tmp_path: Path, order: list[str]) -> None:
    content = coco_content()
    dataset = opened(tmp_path, {key: content[key] for key in order})
    assert len(dataset) == 2
    assert dataset.has_truth == ("annotations" in order)
    assert len(dataset.annotations(1)) == (2 if "annotations" in order else 0)


def test_the_shared_sets_read_as_the_strict_reader_reads_them(
    tmp_path: Path, shared_data: Path
) -> None:
    folder = shared_data / "coco-mini"
    found = layout.find(folder)
    assert found.annotations is not None
    dataset = DatasetIndex.open(found.annotations, found.images, tmp_path)
    expected = coco.read(found.annotations)
    assert dataset.missing == []
    assert dataset.images(range(len(dataset))) == expected.images
    drawn = {one.id: one for row in range(len(dataset)) for one in dataset.annotations(row)}
    assert drawn == {one.id: one for one in expected.annotations}


# -- faults -------------------------------------------------------------------------------------

BAD_ANNOTATIONS: list[tuple[Any, str]] = [
    (None, "it must be an object, not nothing"),
    (3, "it must be an object, not 3"),
    ({"image_id": 8}, "(id 99): image_id 8 is no image"),
    ({"image_id": True}, "(id 99): image_id must be a whole number"),
    ({"category_id": 2}, "(id 99): category_id 2 is no category"),
    ({"id": 11}, "(id 11): id 11 is already that of another annotation"),
    ({"id": -1}, "annotations[3]: id must be a whole number"),
    ({"id": 10**30}, "annotations[3]: id must be"),
    ({"area": float("nan")}, "(id 99): area must be a finite number"),
    ({"area": -1}, "(id 99): area must be a finite number"),
    ({"bbox": [1, 2, 3]}, "(id 99): bbox must be four"),
    ({"bbox": [1, 2, -3, 4]}, "(id 99): bbox must be"),
    ({"iscrowd": 2}, "(id 99): iscrowd must be"),
    ({"segmentation": []}, "(id 99): segmentation must be"),
    ({"segmentation": None}, "(id 99): segmentation must be"),
    ({"segmentation": [[1, 2, 3, 4]]}, "(id 99): a polygon needs 3 or more"),
    ({"segmentation": {"size": [8, 10]}}, "(id 99): segmentation must be"),
    ({"score": "x"}, "(id 99): score must be"),
]


@pytest.mark.parametrize(("change", "reason"), BAD_ANNOTATIONS)
def test_a_bad_annotation_is_listed_and_the_others_stay(
    tmp_path: Path, change: Any, reason: str
) -> None:
    content = coco_content()
    good = {**content["annotations"][0], "id": 99}
    content["annotations"].append({**good, **change} if isinstance(change, dict) else change)
    dataset = opened(tmp_path, content)
    assert dataset.annotation_count == 3
    (fault,) = dataset.faults
    assert (fault.list, fault.row, dataset.fault_count) == ("annotations", 3, 1)
    assert fault.sentence.startswith("annotations[3]")
    assert reason in fault.sentence


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [8, 10], "counts": "zzz"},
        {"size": [8, 11], "counts": [88]},
        {"size": [8, 10], "counts": [1]},
        [["a", 1, 2, 3, 4, 5]],
        [[1e9, 1, 2, 3, 4, 5]],
    ],
)
@pytest.mark.parametrize("with_area", [True, False])
def test_a_mask_that_can_not_be_drawn_is_listed_when_it_is_met(
    tmp_path: Path, segmentation: Any, with_area: bool
) -> None:
    content = coco_content()
    bad = {**content["annotations"][0], "id": 99, "segmentation": segmentation}
    if not with_area:
        del bad["area"]
    content["annotations"].append(bad)
    dataset = opened(tmp_path, content)
    assert dataset.annotation_count == 3 + with_area
    assert [one.id for one in dataset.annotations(0)] == [11]
    assert [one.id for one in dataset.annotations(0)] == [11]
    (fault,) = dataset.faults
    assert fault.sentence.startswith("annotations[3] (id 99): ")
    assert dataset.fault_count == 1


def test_an_area_that_is_not_said_is_measured(tmp_path: Path) -> None:
    content = coco_content()
    ring = {
        "id": 5,
        "image_id": 7,
        "category_id": 1,
        "segmentation": [[0, 0, 40, 0, 40, 40, 0, 40]],
    }
    content["images"][0] |= {"width": 50, "height": 50}
    content["annotations"] = [ring]
    dataset = opened(tmp_path, content)
    assert dataset.rows(Filter(size="medium")) == [0]  # 40 x 40 = 1600
    assert dataset.annotations(0)[0].area == 1600


BAD_NAMES = ["../x.png", "a/../../x.png", "/etc/passwd", "C:\\x.png", "\\\\a\\b\\c", "a\\..\\x", ""]


@pytest.mark.parametrize("name", [*BAD_NAMES, "a\0b", "."])
def test_a_name_that_leads_out_is_left_out_with_what_is_drawn_on_it(
    tmp_path: Path, name: str
) -> None:
    content = coco_content()
    content["images"][0]["file_name"] = name
    dataset = opened(tmp_path, content)
    assert [dataset.image(row).id for row in range(len(dataset))] == [9]
    sentences = [fault.sentence for fault in dataset.faults]
    assert sentences[0].startswith("images[0] (id 7): file_name ")
    assert sentences[1:] == ["annotations[0] (id 11): its image 7 is left out"]
    with pytest.raises(InputError, match="has 1 images"):
        dataset.image(1)


def test_other_bad_images_and_categories_are_listed(tmp_path: Path) -> None:
    content = coco_content()
    content["images"] += [{"id": 9, "file_name": "c.png", "width": 1, "height": 1}, {"id": 4}, "x"]
    content["categories"] += [{"id": 1, "name": "other"}, {"id": 5}, None]
    dataset = opened(tmp_path, content)
    assert len(dataset) == 2
    assert [c.id for c in dataset.categories] == [1, 90]
    assert sorted((fault.list, fault.row) for fault in dataset.faults) == [
        *(("categories", row) for row in (2, 3, 4)),
        *(("images", row) for row in (2, 3, 4)),
    ]


def test_of_many_faults_a_thousand_are_kept_and_all_counted(tmp_path: Path) -> None:
    content = coco_content()
    content["annotations"] += [{"id": number} for number in range(100, 1300)]
    dataset = opened(tmp_path, content)
    assert (dataset.fault_count, len(dataset.faults)) == (1200, 1000)


@pytest.mark.parametrize(
    "content",
    [[], "x", {}, {"images": []}, {"images": {}}, {"annotations": []}, {"images": [{"id": 1}]}],
)
def test_what_is_no_coco_file_is_refused_and_leaves_nothing(tmp_path: Path, content: Any) -> None:
    with pytest.raises(AnnotationError, match=r"^instances\.json"):
        opened(tmp_path, content)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(AnnotationError, match="breaks off"):
        DatasetIndex.open(file, tmp_path / "images", tmp_path / "cache")


# -- files --------------------------------------------------------------------------------------


def test_missing_images_are_known_and_same_names_in_two_folders_are_two(tmp_path: Path) -> None:
    write_picture(tmp_path / "images/a/x.png", seed=1)
    dataset = opened(tmp_path)
    assert [dataset.is_missing(row) for row in (0, 1)] == [False, True]
    assert list(dataset.missing) == [1]
    assert dataset.path(0) == (tmp_path / "images/a/x.png").resolve()
    assert dataset.path(1).parent.name == "b"


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    secret = write_picture(tmp_path / "secret.png")
    (tmp_path / "images/a").mkdir(parents=True)
    (tmp_path / "images/a/x.png").symlink_to(secret)
    (tmp_path / "images/b").symlink_to(tmp_path)
    dataset = opened(tmp_path)
    for row in (0, 1):
        with pytest.raises(InputError, match="leads out of the image folder"):
            dataset.path(row)


def test_a_folder_that_is_a_link_itself_is_fine(tmp_path: Path) -> None:
    write_picture(tmp_path / "real/a/x.png")
    (tmp_path / "images").symlink_to(tmp_path / "real")
    assert opened(tmp_path).path(0).is_file()


def test_names_from_windows_are_found(tmp_path: Path) -> None:
    write_picture(tmp_path / "images/a/x.png")
    content = coco_content()
    content["images"][0]["file_name"] = "a\\x.png"
    dataset = opened(tmp_path, content)
    assert dataset.path(0).is_file()
    assert not dataset.is_missing(0)


def test_a_folder_of_images_needs_no_coco_file(tmp_path: Path) -> None:
    for name in ("b/x.png", "a/x.png", "a/.hidden.png", ".h/x.png", "z.JPG", "notes.txt"):
        write_picture(tmp_path / "images" / f"{name}.png").rename(tmp_path / "images" / name)
    dataset = DatasetIndex.open(None, tmp_path / "images", tmp_path / "cache")
    names = [dataset.image(row).file_name for row in range(len(dataset))]
    assert names == ["a/x.png", "b/x.png", "z.JPG"]
    assert (dataset.has_truth, dataset.categories, dataset.annotations(0)) == (False, (), ())
    assert dataset.image(0).width == 0


def test_rows_of_a_folder_stay_when_images_come_and_go(tmp_path: Path) -> None:
    for name in ("b.png", "c.png"):
        write_picture(tmp_path / "images" / name)
    first = DatasetIndex.open(None, tmp_path / "images", tmp_path / "cache")
    write_picture(tmp_path / "images/a.png")
    (tmp_path / "images/c.png").unlink()
    second = DatasetIndex.open(None, tmp_path / "images", tmp_path / "cache")
    names = [second.image(row).file_name for row in range(len(second))]
    assert names == ["b.png", "c.png", "a.png"]
    assert list(second.missing) == [1]
    assert second.fingerprint == first.fingerprint


def test_links_in_a_folder_of_images_that_lead_out_are_not_listed(tmp_path: Path) -> None:
    write_picture(tmp_path / "images/a.png")
    (tmp_path / "images/b.png").symlink_to(write_picture(tmp_path / "secret.png"))
    (tmp_path / "images/c.png").symlink_to(tmp_path / "nowhere.png")
    dataset = DatasetIndex.open(None, tmp_path / "images", tmp_path / "cache")
    assert len(dataset) == 1


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="no images below"):
        DatasetIndex.open(None, tmp_path / "images", tmp_path / "cache")
    with pytest.raises(InputError, match="no folder"):
        DatasetIndex.open(None, tmp_path / "other", tmp_path / "cache")


# -- the cache ----------------------------------------------------------------------------------


def count_builds(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    built: list[Path] = []
    build = index.indexing.build

    def counted(place: Path, *rest: Any) -> None:
        built.append(place)
        build(place, *rest)

    monkeypatch.setattr(index.indexing, "build", counted)
    return built


def test_an_index_is_made_once_and_again_when_the_content_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = count_builds(monkeypatch)
    first = opened(tmp_path)
    file = tmp_path / "instances.json"
    assert len(built) == 1
    os.utime(file, (1, 1))  # touched: the content is compared, once
    again = DatasetIndex.open(file, tmp_path / "images", tmp_path / "cache")
    assert (len(built), again.fingerprint) == (1, first.fingerprint)
    assert len(again.annotations(0)) == 1
    content = coco_content()
    del content["annotations"][0]
    changed = opened(tmp_path, content)
    assert len(built) == 2
    assert len(changed.annotations(0)) == 0
    assert changed.fingerprint == first.fingerprint
    assert changed.content != first.content


def test_a_dataset_is_named_by_its_places(tmp_path: Path) -> None:
    one = opened(tmp_path / "a")
    other = opened(tmp_path / "b")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert one.fingerprint != other.fingerprint
    file, images = tmp_path / "link/instances.json", tmp_path / "link/images"
    assert index.fingerprint(file, images) == one.fingerprint
    assert index.fingerprint(None, images) != one.fingerprint


def test_a_file_that_changes_while_it_is_open_is_not_misread(tmp_path: Path) -> None:
    dataset = opened(tmp_path)
    (tmp_path / "instances.json").write_text(" " * 3000)
    with pytest.raises(AnnotationError, match="has changed since it was opened"):
        dataset.annotations(0)
    (tmp_path / "instances.json").unlink()
    with pytest.raises(AnnotationError, match="can't be read"):
        dataset.annotations(0)


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage: bytes | None) -> None:
    opened(tmp_path).close()
    (place,) = (tmp_path / "cache").iterdir()
    place.write_bytes(place.read_bytes()[:5000] if damage is None else damage)
    assert len(opened(tmp_path)) == 2


def test_progress_goes_up_to_the_end_and_may_stop_it(tmp_path: Path) -> None:
    file = write(tmp_path)
    said: list[tuple[int, int]] = []
    DatasetIndex.open(file, tmp_path / "images", tmp_path / "a", lambda *both: said.append(both))
    assert said == sorted(said)
    assert said[0][0] == 0
    assert {total for _, total in said} == {file.stat().st_size}

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DatasetIndex.open(file, tmp_path / "images", tmp_path / "b", stop)
    assert list((tmp_path / "b").iterdir()) == []


# -- filters ------------------------------------------------------------------------------------


def boxed(number: int, image: int, category: int, side: int) -> dict[str, Any]:
    square = [0, 0, side, 0, side, side, 0, side]
    box, area = [0, 0, side, side], side * side
    return {
        "id": number, "image_id": image, "category_id": category, "iscrowd": 0,
        "segmentation": [square], "bbox": box, "area": area,
    }  # fmt: skip


@pytest.fixture
def sized(tmp_path: Path) -> DatasetIndex:
    names = ["Étang_01.png", "b/50%_02.png", "c/x_03.png", "d/empty.png"]
    content = {
        "images": [
            {"id": 10 + row, "file_name": name, "width": 200, "height": 200}
            for row, name in enumerate(names)
        ],
        "categories": [{"id": 1, "name": "a"}, {"id": 90, "name": "b"}],
        "annotations": [
            boxed(1, 10, 1, 10),  # small
            boxed(2, 10, 90, 100),  # large
            boxed(3, 11, 1, 32),  # 1024: COCO counts it as small and as medium
            boxed(4, 12, 90, 96),  # 9216: medium and large
        ],
    }
    return opened(tmp_path, content)


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        (Filter(), [0, 1, 2, 3]),
        (Filter(name="étang"), [0]),
        (Filter(name="%_"), [1]),
        (Filter(name="_0"), [0, 1, 2]),
        (Filter(name="'; DROP TABLE images"), []),
        (Filter(category=1), [0, 1]),
        (Filter(category=7), []),
        (Filter(size="small"), [0, 1]),
        (Filter(size="medium"), [1, 2]),
        (Filter(size="large"), [0, 2]),
        (Filter(category=1, size="large"), []),
        (Filter(category=90, size="large", name="x"), [2]),
    ],
)
def test_filters_by_name_class_and_size(
    sized: DatasetIndex, wanted: Filter, rows: list[int]
) -> None:
    assert list(sized.rows(wanted)) == rows


# -- guessing -----------------------------------------------------------------------------------

GUESSES: list[tuple[str, list[str], str, str | None, str]] = [
    ("", ["instances.json", "a/x.png"], "instances.json", None, "."),
    ("", ["instances.json", "images/a/x.png"], "instances.json", None, "images"),
    ("", ["annotations/instances_val.json", "val/a/x.png"], "annotations/instances_val.json",
     None, "val"),
    ("", ["annotations/instances_val.json", "images/val/a/x.png"],
     "annotations/instances_val.json", None, "images/val"),
    ("", ["annotations/captions_val.json", "annotations/z.json", "q/a/x.png"],
     "annotations/z.json", None, "q"),
    ("val", ["annotations/instances_val.json", "val/a/x.png"],
     "annotations/instances_val.json", None, "val"),
    ("val", ["instances_val.json", "val/a/x.png"], "instances_val.json", None, "val"),
    ("images/val", ["annotations/instances_val.json", "images/val/a/x.png"],
     "annotations/instances_val.json", None, "images/val"),
    ("annotations/instances_val.json", ["annotations/instances_val.json", "val/a/x.png"],
     "annotations/instances_val.json", None, "val"),
    ("", ["one.json", "two.json", "images/a/x.png"], "two.json", "two.json", "images"),
]  # fmt: skip


@pytest.mark.parametrize(("folder", "made", "file", "given", "images"), GUESSES)
def test_file_and_folder_are_guessed_and_said(
    tmp_path: Path, folder: str, made: list[str], file: str, given: str | None, images: str
) -> None:
    for name in made:
        if name.endswith(".json"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            write_json(tmp_path / name, coco_content())
        else:
            write_picture(tmp_path / name)
    found = layout.find(tmp_path / folder, None if given is None else Path(given))
    assert found.annotations == tmp_path / file
    assert found.images == tmp_path / images
    assert Path(file).name in found.sentence


def test_without_a_file_the_folder_is_opened_and_that_is_said(tmp_path: Path) -> None:
    write_picture(tmp_path / "a/x.png")
    write_json(tmp_path / "notes.json", {"a": 1})
    found = layout.find(tmp_path)
    assert (found.annotations, found.images) == (None, tmp_path)
    assert "no truth" in found.sentence


def test_a_file_without_its_images_says_so(tmp_path: Path) -> None:
    write_json(tmp_path / "instances.json", coco_content())
    assert "None of the images" in layout.find(tmp_path).sentence


def test_what_can_not_be_opened_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a COCO file nor an image"):
        layout.find(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        layout.find(tmp_path / "x")
    with pytest.raises(InputError, match="no annotation file"):
        layout.find(tmp_path, Path("x.json"))
    (tmp_path / "instances.json").write_text("[1, 2]")
    with pytest.raises(AnnotationError, match=r"instances\.json"):
        layout.find(tmp_path)


@pytest.mark.parametrize("images", [3, 40])  # most of them are asked for at once, or few
def test_images_are_found_by_their_names_in_the_order_of_the_file(
    tmp_path: Path, images: int
) -> None:
    names = ["b.png", "a.png", "b.png", *(f"{number:02}.png" for number in range(images - 3))]
    records = [
        {"id": row, "file_name": name, "width": 4, "height": 4} for row, name in enumerate(names)
    ]
    dataset = opened(tmp_path, {"images": records})
    assert dataset.rows_named({"b.png", "a.png", "no.png"}) == [0, 1, 2]
    assert dataset.rows_named([]) == []
