"""Exported COCO files as other tools read them: as many instances, and the same masks.

datumaro and FiftyOne need other versions of what the Studio runs on, so they can't be installed
beside it: COMASK_DATUMARO and COMASK_FIFTYONE name the Python of an environment that has them.
"""

import contextlib
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools.coco import COCO

from comask.annotation import formats
from comask.annotation.formats import Masks, WriteSettings
from tests.annotation import zoo

# pycocotools' own decoder leans on a protocol that numpy 2 has announced to drop
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

BOTH = pytest.mark.parametrize("masks", ["rle", "polygon"])
IDS = list(range(11, 19))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the zoo in both ways, and its pictures."""
    home = tmp_path_factory.mktemp("readers")
    dataset = zoo.dataset()
    for image in dataset.images:
        path = home / "images" / image.file_name
        path.parent.mkdir(parents=True)
        Image.new("RGB", (image.width, image.height)).save(path)
    for masks in ("rle", "polygon"):
        formats.write(home / f"{masks}.json", dataset, WriteSettings(masks=masks))
    return home


def expected() -> dict[int, NDArray[np.bool_]]:
    return dict(zip(IDS, zoo.masks().values(), strict=True))


def assert_same(found: dict[int, Any]) -> None:
    assert sorted(found) == IDS
    for number, mask in expected().items():
        np.testing.assert_array_equal(np.asarray(found[number]) != 0, mask)


@BOTH
def test_pycocotools(folder: Path, masks: Masks) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO(str(folder / f"{masks}.json"))
    assert sorted(index.imgs) == [5, 8]
    assert sorted(index.cats) == [3, 7, 90]
    assert_same({number: index.annToMask(one) for number, one in index.anns.items()})


@BOTH
def test_torchvision(folder: Path, masks: Masks) -> None:
    from torchvision.datasets import CocoDetection

    with contextlib.redirect_stdout(io.StringIO()):
        dataset = CocoDetection(str(folder / "images"), str(folder / f"{masks}.json"))
    assert len(dataset) == 2
    found = {one["id"]: dataset.coco.annToMask(one) for _, mine in dataset for one in mine}
    assert_same(found)


def by_supervision(folder: Path, masks: Masks) -> tuple[Any, Any]:
    """Read the picture with instances, and the one without; it keeps no ids."""
    import supervision

    dataset = supervision.DetectionDataset.from_coco(
        images_directory_path=str(folder / "images"),
        annotations_path=str(folder / f"{masks}.json"),
        force_masks=True,
    )
    assert dataset.classes == ["ring", "two words", "grain"]
    full, empty = (found for _, _, found in sorted(dataset, key=lambda one: str(one[0])))
    return full, empty


def test_supervision(folder: Path) -> None:
    full, empty = by_supervision(folder, "rle")
    assert (len(full), len(empty)) == (8, 0)
    assert_same(dict(zip(IDS, full.mask, strict=True)))
    assert full.class_id.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def test_supervision_draws_polygons_with_a_rim_of_its_own(folder: Path) -> None:
    """It rounds to whole pixels: all are there, up to one pixel wider to the right and below."""
    full, empty = by_supervision(folder, "polygon")
    assert (len(full), len(empty)) == (8, 0)
    for found, mask in zip(full.mask, expected().values(), strict=True):
        wider = mask.copy()
        wider[1:] |= mask[:-1]
        wider[:, 1:] |= wider[:, :-1].copy()
        assert not (mask & ~found).any()
        assert not (found & ~wider).any()


@BOTH
@pytest.mark.parametrize("tool", ["datumaro", "fiftyone"])
def test_in_an_environment_of_its_own(folder: Path, tool: str, masks: Masks) -> None:
    python = os.environ.get(f"COMASK_{tool.upper()}")
    if not python:
        pytest.skip(f"{tool} needs other versions of Pillow, OpenCV or pandas than gradio does")
    script = Path(__file__).with_name(f"read_{tool}.py")
    words = [python, str(script), str(folder / f"{masks}.json"), str(folder / "images")]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    found = json.loads(said.stdout.splitlines()[-1])
    assert found["images"] == 2
    areas = {str(number): int(mask.sum()) for number, mask in expected().items()}
    assert found["areas"] == areas
