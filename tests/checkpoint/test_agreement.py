"""The record of whether a checkpoint finds as well in bfloat16: read, written, demanded."""

import json
from pathlib import Path

import pytest

from comask.annotation import files
from comask.checkpoint import agreement
from comask.checkpoint.agreement import Agreement, Precision
from comask.errors import CheckpointError
from comask.predict import PredictionSettings, Predictor
from tests.factories import write_checkpoint

ROOT = Path(__file__).resolve().parents[2]
HALF = PredictionSettings(bfloat16=True)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "small.safetensors")


def record(checkpoint: Path, segm: float = 0.5, bbox: float = 0.4, images: int = 20) -> Agreement:
    return Agreement(
        checkpoint=files.digest(checkpoint),
        data="val.json",
        images=images,
        float32=Precision(segm=0.5, bbox=0.4),
        bfloat16=Precision(segm=segm, bbox=bbox),
    )


def test_it_is_kept_beside_its_checkpoint(checkpoint: Path) -> None:
    path = agreement.write(checkpoint, record(checkpoint))
    assert path == checkpoint.parent / "small.agreement.json"
    assert agreement.read(checkpoint) == record(checkpoint)


@pytest.mark.parametrize(("segm", "bbox"), [(0.5, 0.4), (0.5029, 0.4), (0.499, 0.3971)])
def test_ap_within_the_limit_is_let_in(checkpoint: Path, segm: float, bbox: float) -> None:
    judged = record(checkpoint, segm, bbox)
    assert judged.difference == pytest.approx(max(abs(segm - 0.5), abs(bbox - 0.4)))
    agreement.write(checkpoint, judged)
    Predictor.from_checkpoint(checkpoint, device="cpu", settings=HALF)


def test_a_checkpoint_that_was_never_judged_is_refused(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=r"never judged in bfloat16; `comask agree`"):
        Predictor.from_checkpoint(checkpoint, settings=HALF)


def test_the_record_of_another_file_does_not_count(checkpoint: Path, tmp_path: Path) -> None:
    agreement.write(checkpoint, record(checkpoint))
    write_checkpoint(checkpoint, seed=1)
    assert agreement.read(checkpoint) is None
    with pytest.raises(CheckpointError, match="never judged"):
        agreement.demand(checkpoint)


def test_a_checkpoint_that_lost_too_much_is_refused(checkpoint: Path) -> None:
    agreement.write(checkpoint, record(checkpoint, segm=0.496))
    with pytest.raises(CheckpointError, match=r"differs by 0\.0040 on 20 images"):
        agreement.demand(checkpoint)


def test_too_few_images_prove_nothing(checkpoint: Path) -> None:
    agreement.write(checkpoint, record(checkpoint, images=19))
    with pytest.raises(CheckpointError, match="on 19 images"):
        agreement.demand(checkpoint)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"schema": 1}'], ids=["cut", "list", "empty"])
def test_a_damaged_record_is_named(checkpoint: Path, content: bytes) -> None:
    agreement.place(checkpoint).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"small\.agreement\.json is no record"):
        agreement.read(checkpoint)


def test_a_record_of_a_later_version_is_refused(checkpoint: Path) -> None:
    path = agreement.write(checkpoint, record(checkpoint))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 2}))
    with pytest.raises(CheckpointError, match="that this version reads"):
        agreement.demand(checkpoint)


def test_bundled_records_are_of_the_bundled_checkpoints() -> None:
    """Those for nuclei may run in bfloat16; for photographs it was judged, and refused."""
    bundled = ROOT / "assets/checkpoints"
    assert len(list(bundled.glob("*.agreement.json"))) == 2
    agreement.demand(bundled / "comask-tiny-nuclei.safetensors")
    with pytest.raises(CheckpointError, match=r"its AP differs by 0\.0048 on 66 images"):
        agreement.demand(bundled / "comask-tiny-coco.safetensors")
