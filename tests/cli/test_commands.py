"""The command line as a person meets it: files, exit codes, one sentence."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import comask
from comask.annotation import coco, rle
from comask.annotation.records import Rle
from comask.checkpoint import native
from comask.data import images
from comask.predict import PredictionSettings, Predictor
from tests.cli.saying import Said, Say, assert_refused
from tests.factories import coco_content, write_json, write_picture

ROOT = Path(__file__).resolve().parents[2]


def sentences(said: Said) -> list[str]:
    return [line for line in said.err.splitlines() if line.startswith("comask")]


# -- predict ------------------------------------------------------------------------------------


def test_predict_writes_a_dataset_results_and_overlays(
    comask_says: Say, checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    said = comask_says(
        "predict", pictures, "--checkpoint", checkpoint, "--output", "out.json",
        "--results", "results.json", "--overlays", "drawn",
    )  # fmt: skip
    assert said.code == 0
    assert "3 of 3 images" in said.out
    assert "3/3" in said.err  # progress
    content = json.loads((tmp_path / "out.json").read_bytes())
    names = ["a.png", "sub/a.png", "sub/häß 雪 #%.png"]
    assert [image["file_name"] for image in content["images"]] == names
    assert [(image["width"], image["height"]) for image in content["images"]] == [(40, 30)] * 3
    assert [(c["id"], c["name"]) for c in content["categories"]] == [(1, "cell"), (90, "nucleus")]
    records = content["annotations"]
    assert [record["id"] for record in records] == list(range(1, len(records) + 1))
    for record in records:
        mask = rle.decode(Rle((30, 40), record["segmentation"]["counts"]))
        rows, columns = np.nonzero(mask)
        assert record["area"] == mask.sum() > 0
        tight = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert record["bbox"] == tight
        assert record["iscrowd"] == 0
        whole = record["class_score"] + 0.3 * record["mask_iou"]
        assert record["score"] == pytest.approx(whole, abs=1e-6)
    drawn = sorted(p.relative_to("drawn").as_posix() for p in Path("drawn").rglob("*.jpg"))
    assert drawn == sorted(f"{name}.jpg" for name in names)


def test_predict_equals_the_predictor(comask_says: Say, checkpoint: Path, pictures: Path) -> None:
    comask_says(
        "predict", pictures / "a.png", "--checkpoint", checkpoint, "--output", "out.json",
        "--results", "r.json", "--max-instances", 3, "--short-side", 32, "--long-side", 48,
    )  # fmt: skip
    settings = PredictionSettings(max_instances=3, short_side=32, long_side=48)
    predictor = Predictor.from_checkpoint(checkpoint, settings=settings)
    found = predictor.predict(images.load(pictures / "a.png").pixels)
    results = json.loads(Path("r.json").read_bytes())
    assert 0 < len(results) == len(found) <= 3
    assert [r["score"] for r in results] == pytest.approx(found.scores.tolist())
    assert [r["segmentation"]["counts"] for r in results] == [m.counts for m in found.masks]
    for result in results:
        x, y, width, height = result["bbox"]
        assert 0 <= x <= x + width <= 40
        assert 0 <= y <= y + height <= 30


def test_a_bad_image_is_reported_and_skipped(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    (pictures / "b.png").write_bytes(b"not a picture")
    said = comask_says(
        "predict", pictures, "none.png", "--checkpoint", checkpoint, "--output", "o.json"
    )
    assert said.code == 1
    heading, *failures = sentences(said)
    assert heading == "comask: 2 of 5 images were skipped:"
    assert "b.png is text" in failures[0]
    assert "none.png" in failures[1]
    assert len(coco.read("o.json").images) == 3


def test_a_score_that_nothing_reaches_gives_an_empty_dataset(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    said = comask_says(
        "predict", pictures, "--checkpoint", checkpoint, "--output", "o.json", "--min-score", 1
    )
    assert said.code == 0
    assert coco.read("o.json").annotations == ()
    assert len(coco.read("o.json").images) == 3


def test_earlier_overlays_are_not_taken_for_images(
    comask_says: Say, checkpoint: Path, tmp_path: Path
) -> None:
    folder = write_picture(tmp_path / "one/a.png").parent
    for _ in range(2):
        comask_says(
            "predict", folder, "--checkpoint", checkpoint, "--output", "o.json",
            "--overlays", folder / "drawn",
        )  # fmt: skip
    assert [image.file_name for image in coco.read("o.json").images] == ["a.png"]
    assert (folder / "drawn/a.png.jpg").exists()


def test_a_turned_photograph_is_turned(comask_says: Say, checkpoint: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "t.jpg", exif=exif)
    comask_says("predict", "t.jpg", "--checkpoint", checkpoint, "--output", "o.json")
    (image,) = coco.read("o.json").images
    assert (image.width, image.height) == (30, 40)


# -- evaluate -----------------------------------------------------------------------------------


def test_evaluate_judges_a_results_file(comask_says: Say, shared_data: Path) -> None:
    folder = shared_data / "eval-fixtures"
    said = comask_says(
        "evaluate", "--results", folder / "fakesegm_results_subset.json", "--annotations",
        folder / "gt_subset_for_fake100.json", "--output", "m.json", "--per-category",
    )  # fmt: skip
    assert said.code == 0
    numbers = json.loads(Path("m.json").read_bytes())
    expected = json.loads((folder / "expected_stats_segm.json").read_bytes())
    assert list(numbers["segm"].values()) == expected
    assert list(numbers["segm"]) == list(numbers["bbox"])
    assert "AP       0.363" in said.out
    assert "worked out by hotcoco" in said.out
    assert "person" in said.out


def test_evaluate_takes_the_reference_where_it_is_told_to(
    comask_says: Say, shared_data: Path
) -> None:
    folder = shared_data / "eval-fixtures"
    said = comask_says(
        "evaluate", "--results", folder / "fakesegm_results_subset.json", "--annotations",
        folder / "gt_subset_for_fake100.json", "--engine", "pycocotools",
    )  # fmt: skip
    assert said.code == 0
    assert "AP       0.363" in said.out
    assert "worked out by pycocotools" in said.out


def test_evaluate_runs_a_checkpoint(comask_says: Say, checkpoint: Path, pictures: Path) -> None:
    """What the model itself found is the truth, under other ids."""
    comask_says("predict", pictures, "--checkpoint", checkpoint, "--output", "t.json")
    content = json.loads(Path("t.json").read_bytes())
    for image in content["images"]:
        image["id"] += 70
    for record in content["annotations"]:
        record["image_id"] += 70
    write_json(Path("t.json"), content)
    said = comask_says(
        "evaluate", "--checkpoint", checkpoint, "--annotations", "t.json",
        "--images", pictures, "--output", "m.json",
    )  # fmt: skip
    assert said.code == 0
    assert json.loads(Path("m.json").read_bytes())["segm"]["AR100"] > 0.99


# -- info and convert ---------------------------------------------------------------------------


def test_info_says_what_the_checkpoint_says(comask_says: Say, checkpoint: Path) -> None:
    record = json.loads(comask_says("info", checkpoint, "--json").out)
    assert record["config"]["num_classes"] == 2
    assert record["categories"][1] == {"id": 90, "name": "nucleus", "supercategory": ""}
    assert record["training"] == {"data": "noise", "epochs": 0}
    lines = dict(
        line.split(maxsplit=1) for line in comask_says("info", checkpoint).out.splitlines()
    )
    assert lines["config.neck.channels"] == "32"
    assert lines["categories[1]"] == "90 nucleus"
    assert lines["training.data"] == "noise"


def test_convert_writes_what_the_converter_reads(
    comask_says: Say, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conversion itself has its own tests; here it is told apart by its arguments."""
    from comask.checkpoint import mmdet_v1

    asked = []

    def convert(path: Path, named: object) -> object:
        asked.append((path, named))
        return native.load(checkpoint)

    monkeypatch.setattr(mmdet_v1, "convert", convert)
    write_json(Path("names.json"), ["flaky", "round"])
    said = comask_says("convert", "in.pth", "out.safetensors", "--classes", "names.json")
    assert said == Said(0, "out.safetensors: mobilenet_v2, 2 classes\n", "")
    ((path, named),) = asked
    assert path == Path("in.pth")
    assert [(c.id, c.name) for c in named] == [(1, "flaky"), (2, "round")]
    assert len(native.read_info("out.safetensors").categories) == 2


# -- refusals -----------------------------------------------------------------------------------

PREDICT = ("predict", "pictures", "--checkpoint", "c.safetensors", "--output", "o.json")
EVALUATE = ("evaluate", "--annotations", "t.json")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "required: COMMAND"),
        (("fly",), "invalid choice: 'fly'"),
        (("predict",), "required: PATH, --checkpoint, --output"),
        ((*PREDICT, "--fast"), "unrecognized arguments: --fast"),
        ((*PREDICT, "--min-score", "1.5"), "a number in 0 .. 1, not '1.5'"),
        ((*PREDICT, "--min-score", "nan"), "a number in 0 .. 1, not 'nan'"),
        ((*PREDICT, "--max-instances", "0"), "a whole number in 1 .. 100000, not '0'"),
        ((*PREDICT, "--short-side", "9" * 5000), "a whole number in 1 .. 16384"),
        ((*PREDICT, "--short-side", "90", "--long-side", "80"), "long_side must be in 90 .. "),
        ((*PREDICT, "--device", "abacus"), "device 'abacus'"),
        ((*PREDICT[:-1], "none/o.json"), "there is no folder"),
        ((*PREDICT[:-1], "pictures"), "is a folder"),
        (("predict", "nowhere", *PREDICT[2:]), "there are no images at nowhere"),
        (("predict", "empty", *PREDICT[2:]), "there are no images at empty"),
        (("predict", "pictures", "--checkpoint", "none.pt", "--output", "o"), "none.pt"),
        (("predict", "pictures", "--checkpoint", "t.json", "--output", "o"), "t.json"),
        (("info", "t.json"), "t.json"),
        (("info", "."), "."),
        (("convert", "t.json", "o.safetensors"), "t.json"),
        (("convert", "none.pth", "o.safetensors"), "none.pth"),
        (EVALUATE, "one of the arguments --checkpoint --results is required"),
        ((*EVALUATE, "--results", "r", "--checkpoint", "c"), "not allowed with argument"),
        ((*EVALUATE, "--results", "none.json"), "none.json can't be read"),
        ((*EVALUATE, "--results", "t.json"), "t.json: a results file holds a list"),
        ((*EVALUATE, "--results", "r.json"), "r.json: results[0]: image_id 1 is no image"),
        ((*EVALUATE, "--checkpoint", "c.safetensors"), "--images must name the folder"),
        (
            (*EVALUATE, "--checkpoint", "c.safetensors", "--images", "pictures"),
            "2 of 2 images are not below pictures, for example a/x.png",
        ),
        (("evaluate", "--annotations", "r.json", "--results", "r.json"), "holds an object"),
    ],
)
def test_refusals_are_one_sentence_and_exit_code_2(
    comask_says: Say, checkpoint: Path, pictures: Path, words: tuple[str, ...], said: str
) -> None:
    Path("c.safetensors").symlink_to(checkpoint)
    Path("empty").mkdir()
    write_json(Path("t.json"), coco_content())
    write_json(Path("r.json"), [{"image_id": 1, "category_id": 1, "bbox": [0] * 4, "score": 1}])
    assert_refused(comask_says(*words), said)
    assert not Path("o.json").exists()


@pytest.mark.parametrize("words", [["--help"], ["predict", "--help"], ["evaluate", "-h"]])
def test_help_names_what_there_is(comask_says: Say, words: list[str]) -> None:
    said = comask_says(*words)
    assert said.code == 0
    assert "usage: comask" in said.out


def test_the_version_is_the_package_s(comask_says: Say) -> None:
    assert comask_says("--version").out == f"comask {comask.__version__}\n"


def test_help_does_not_wait_for_torch() -> None:
    program = (
        "import sys; from comask import cli; cli.main(['predict', '--help']);"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_stopped_command_says_so(comask_says: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(native, "read_info", interrupt)
    assert comask_says("info", "x") == Said(130, "", "comask: stopped\n")


def test_a_full_disk_is_one_sentence(comask_says: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path) -> None:
        raise OSError(28, "No space left on device", "/data/o.json")

    monkeypatch.setattr(native, "read_info", full)
    assert comask_says("info", "x").err == "comask: /data/o.json: No space left on device\n"
