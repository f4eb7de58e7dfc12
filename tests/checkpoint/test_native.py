"""Our checkpoints: what is saved is what is loaded, and anything else is refused in a sentence."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from comask.annotation.records import Category
from comask.checkpoint import native, state
from comask.checkpoint.native import CheckpointInfo
from comask.config import DetectionConfig, NeckConfig, PreprocessingConfig
from comask.errors import CheckpointError, ConfigError
from comask.model.comask import CoMask
from tests.models import batch, small_config, small_model

CATEGORIES = (Category(1, "cell"), Category(7, "Zellkern ä", "part"), Category(90, "debris"))
INFO = CheckpointInfo(
    config=small_config(detection=DetectionConfig(min_score=0.1)),
    categories=CATEGORIES,
    preprocessing=PreprocessingConfig(short_side=512, long_side=1024),
    training={"data": "nuclei", "steps": 3, "ap": [0.25, None]},
)


@pytest.fixture(scope="module")
def model() -> CoMask:
    return small_model(INFO.config)


@pytest.fixture(scope="module")
def saved(model: CoMask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "small.safetensors"
    native.save(path, model, INFO)
    return path


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    path = tmp_path / "copy.safetensors"
    path.write_bytes(saved.read_bytes())
    return path


# --- round trips -----------------------------------------------------------------------------


def test_what_is_saved_is_what_is_loaded(saved: Path, model: CoMask) -> None:
    loaded, info = native.load(saved)
    assert info == INFO
    assert native.read_info(saved) == INFO
    assert not loaded.training
    assert loaded.config == INFO.config
    before, after = model.state_dict(), loaded.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert [p.requires_grad for p in loaded.parameters()] == [
        p.requires_grad for p in model.parameters()
    ]


def test_a_loaded_model_finds_the_same(saved: Path, model: CoMask) -> None:
    loaded, _ = native.load(saved)
    with torch.inference_mode():
        before, after = model(batch((25, 42)))[0], loaded(batch((25, 42)))[0]
    assert len(before.scores) > 0
    assert torch.equal(before.boxes, after.boxes)
    assert torch.equal(before.masks, after.masks)


def test_half_precision_halves_the_file_and_loads_as_float32(
    saved: Path, model: CoMask, tmp_path: Path
) -> None:
    path = tmp_path / "half.safetensors"
    native.save(path, model, INFO, half=True)
    assert path.stat().st_size < 0.6 * saved.stat().st_size
    loaded, _ = native.load(path)
    for key, value in loaded.state_dict().items():
        original = model.state_dict()[key]
        assert value.dtype == original.dtype
        kept = original.half().float() if original.dim() > 1 else original
        assert torch.equal(value, kept)


def test_a_model_stored_channels_last_is_saved_alike(
    saved: Path, model: CoMask, tmp_path: Path
) -> None:
    turned = small_model(INFO.config).to(memory_format=torch.channels_last)
    native.save(tmp_path / "x.safetensors", turned, INFO)
    assert (tmp_path / "x.safetensors").read_bytes() == saved.read_bytes()


def test_a_model_in_training_is_saved_and_stays_in_training(tmp_path: Path) -> None:
    training = small_model(INFO.config).train()
    native.save(tmp_path / "x.safetensors", training, INFO)
    assert training.training
    assert all(p.grad is None for p in training.parameters())


def test_odd_file_names(model: CoMask, tmp_path: Path) -> None:
    path = tmp_path / "Zellkerne ä 核 #1.safetensors"
    native.save(path, model, INFO)
    assert native.load(str(path))[1] == INFO


def test_a_save_replaces_the_file_whole_and_leaves_nothing_beside(
    model: CoMask, tmp_path: Path
) -> None:
    path = tmp_path / "x.safetensors"
    path.write_text("old")
    with path.open() as reader:
        native.save(path, model, INFO)
        assert reader.read() == "old"  # who reads it meanwhile reads the old file to its end
    assert native.load(path)[1] == INFO
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()


def umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


# --- refused before anything is written ------------------------------------------------------


def refuses_to_save(
    tmp_path: Path, model: CoMask, info: CheckpointInfo, match: str, half: bool = False
) -> None:
    path = tmp_path / "x.safetensors"
    path.write_text("old")
    with pytest.raises(CheckpointError, match=match):
        native.save(path, model, info, half)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    broken = small_model(INFO.config)
    with torch.no_grad():
        broken.rpn.conv.bias[3] = torch.nan
    refuses_to_save(tmp_path, broken, INFO, r"rpn\.conv\.bias holds values that are not finite")


def test_weights_beyond_half_precision_are_not_saved_as_half(tmp_path: Path) -> None:
    large = small_model(INFO.config)
    with torch.no_grad():
        large.rpn.conv.weight[0, 0, 0, 0] = 70_000.0
    refuses_to_save(tmp_path, large, INFO, r"rpn\.conv\.weight holds values", half=True)


def test_settings_of_another_model_are_not_saved(tmp_path: Path, model: CoMask) -> None:
    other = replace(INFO, config=small_config(NeckConfig(channels=64, branches=3)))
    refuses_to_save(tmp_path, model, other, "belongs to no part of the model")


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_a_record_that_is_not_json_is_not_saved(
    tmp_path: Path, model: CoMask, value: object
) -> None:
    refuses_to_save(tmp_path, model, replace(INFO, training={"ap": value}), "is not JSON")


def test_a_failed_write_keeps_the_old_file(
    model: CoMask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    refuses_to_save(tmp_path, model, INFO, "can't be written: No space left on device")


def test_a_missing_folder_is_named(model: CoMask, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="can't be written: No such file"):
        native.save(tmp_path / "none" / "x.safetensors", model, INFO)


def test_categories_must_fit_the_classes() -> None:
    with pytest.raises(ConfigError, match="3 classes"):
        replace(INFO, categories=CATEGORIES[:2])
    with pytest.raises(ConfigError, match="different ids"):
        replace(INFO, categories=(*CATEGORIES[:2], CATEGORIES[0]))


# --- refused files ---------------------------------------------------------------------------


def refused(path: Path, match: str) -> None:
    """Demand one sentence that names the file, from the whole load."""
    with pytest.raises(CheckpointError, match=match) as caught:
        native.load(path)
    said = str(caught.value)
    assert str(path) in said
    assert "\n" not in said
    assert len(said) < len(str(path)) + 250


def with_header(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Change a file's table of contents, keeping its data."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    change(header)
    changed = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(changed)) + changed + content[8 + length :])
    return path


def with_record(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Change what a file says of itself."""

    def within(header: dict[str, Any]) -> None:
        said = json.loads(header["__metadata__"]["comask"])
        change(said)
        header["__metadata__"]["comask"] = json.dumps(said)

    return with_header(path, within)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    refused(path, "can't be read: No such file")
    path.write_bytes(b"")
    refused(path, "is empty")
    path.write_bytes(b"short")
    refused(path, "is no checkpoint, or one cut short")
    path.write_bytes(b"<!doctype html><html><body>404</body></html>")
    refused(path, "is no checkpoint, or one cut short")
    refused(tmp_path, "can't be read: Is a directory")


@pytest.mark.parametrize("kept", [7, 8, 100, 5_000, -1])
def test_a_file_cut_short(copy: Path, kept: int) -> None:
    copy.write_bytes(copy.read_bytes()[:kept])
    refused(copy, "cut short|is damaged")


def test_a_file_with_something_after_its_end(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes() + b"\0")
    refused(copy, "is damaged: [0-9]+ bytes are expected, it has [0-9]+")


def test_a_huge_header_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 2**30))
        file.truncate(2**30 + 8)  # sparse
    refused(path, "has a header of 1073741824 bytes, at most 16777216 are read")


@pytest.mark.parametrize(
    "header", [b"\xff" * 20, b"{" * 20, b"[" * 200_000, b'{"a": NaN}', b"[1, 2, 3]", b"null"]
)
def test_a_header_that_is_not_an_object(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    refused(path, "its header is not")


@pytest.mark.parametrize(
    "entry", [1, {}, {"data_offsets": [0]}, {"data_offsets": [0, True]}, {"data_offsets": "09"}]
)
def test_a_header_with_a_strange_entry(copy: Path, entry: object) -> None:
    refused(with_header(copy, lambda header: header.update(x=entry)), "damaged header at x")


def test_overlapping_weights(copy: Path) -> None:
    def overlap(header: dict[str, Any]) -> None:
        header["rpn.conv.bias"]["data_offsets"] = header["rpn.score.bias"]["data_offsets"]

    refused(with_header(copy, overlap), "is a damaged checkpoint")


class Malice:
    """Unpickled, it makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("archive", [True, False])
def test_a_pickle_with_code_is_not_run(tmp_path: Path, archive: bool) -> None:
    path, marker = tmp_path / "x.safetensors", tmp_path / "executed"
    torch.save({"a": Malice(marker)}, path, _use_new_zipfile_serialization=archive)
    refused(path, "is a PyTorch file; `comask convert` makes a checkpoint")
    path.write_bytes(pickle.dumps(Malice(marker), protocol=0))
    refused(path, "is no checkpoint")
    assert not marker.exists()


def test_safetensors_of_somebody_else(copy: Path) -> None:
    refused(with_header(copy, lambda h: h.pop("__metadata__")), "not one that CoMask wrote")


@pytest.mark.parametrize("said", ["", "{", "[]", "\x00", "[" * 100_000, '{"format": 1, "a": NaN}'])
def test_metadata_that_is_not_an_object(copy: Path, said: str) -> None:
    changed = with_header(copy, lambda header: header["__metadata__"].update(comask=said))
    refused(changed, "its metadata is not")


@pytest.mark.parametrize("number", [0, 2, "1", True, None, 1.0])
def test_another_format_number(copy: Path, number: object) -> None:
    refused(with_record(copy, lambda said: said.update(format=number)), "has format .+ reads 1")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.pop("config"), "config must be an object"),
        (lambda s: s["config"].update(extra=1), "config.extra is no setting"),
        (lambda s: s["config"]["neck"].pop("channels"), "config.neck.channels is missing"),
        (lambda s: s["config"]["neck"].update(channels="64"), "neck.channels must be int"),
        (lambda s: s["config"]["neck"].update(channels=65), "neck.channels must be a multiple"),
        (lambda s: s["config"]["neck"].update(channels=10**400), r"in 32 \.\. 4096, got 10{59}$"),
        (lambda s: s["config"]["detection"].update(min_score=10**400), "too large"),
        (lambda s: s["config"].update(num_classes=True), "num_classes must be int"),
        (lambda s: s["config"].update(num_classes=4), "name 4 classes"),
        (lambda s: s["config"]["backbone"].update(kind="vgg"), "backbone.kind must be one of"),
        (lambda s: s["config"]["backbone"].update(kind=[]), "backbone.kind must be one of"),
        (lambda s: s.update(categories={}), "categories must be a list"),
        (lambda s: s["categories"][1].update(id="7"), r"categories\[1\].id must be int"),
        (lambda s: s["categories"][1].update(id=1), "different ids"),
        (lambda s: s["categories"].__setitem__(0, "cell"), r"categories\[0\] must be an object"),
        (lambda s: s.pop("preprocessing"), "preprocessing must be an object"),
        (lambda s: s["preprocessing"].update(mean=[1]), "three numbers"),
        (lambda s: s["preprocessing"].update(mean=[1, "2", 3]), "preprocessing.mean"),
        (lambda s: s.update(training=[]), "training must be an object"),
    ],
)
def test_settings_that_make_no_sense(
    copy: Path, change: Callable[[dict[str, Any]], None], match: str
) -> None:
    refused(with_record(copy, change), match)


def test_settings_of_another_model_name_both_shapes(copy: Path) -> None:
    changed = with_record(copy, lambda said: said["config"]["class_head"].update(hidden=33))
    refused(changed, r"class_head\.hidden1\.weight is 32x3136, but the settings ask for 33x3136")


def test_a_file_from_before_a_setting_means_what_it_meant_then(copy: Path) -> None:
    path = with_record(copy, lambda said: said["config"]["detection"].pop("paste"))
    assert native.read_info(path).config.detection.paste == "whole"
    kept = with_record(path, lambda said: said["config"]["detection"].update(paste="exact"))
    assert native.read_info(kept).config.detection.paste == "exact"


# --- weights ---------------------------------------------------------------------------------


def rewritten(path: Path, change: Callable[[dict[str, Tensor]], object]) -> Path:
    """Change the weights of a file, keeping what it says of itself."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    change(weights)
    path.write_bytes(native.to_bytes(weights, metadata))
    return path


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda w: w.pop("rpn.conv.bias"), r"rpn\.conv\.bias is missing"),
        (lambda w: w.update(extra=torch.zeros(1)), "extra belongs to no part of the model"),
        (
            lambda w: w.update({"rpn.conv.bias": torch.zeros(65)}),
            r"rpn\.conv\.bias is 65, but the settings ask for 64",
        ),
        (
            lambda w: w.update({"rpn.conv.bias": torch.zeros(())}),
            r"rpn\.conv\.bias is a single value, but",
        ),
        (
            lambda w: w.update({"rpn.conv.bias": torch.zeros(64, dtype=torch.int64)}),
            r"rpn\.conv\.bias holds int64, float32 is wanted",
        ),
        (
            lambda w: w.update({"rpn.conv.bias": torch.zeros(64, dtype=torch.float64)}),
            r"rpn\.conv\.bias holds float64",
        ),
        (
            lambda w: w.update({"rpn.conv.bias": torch.full((64,), torch.inf)}),
            r"rpn\.conv\.bias holds values that are not finite",
        ),
    ],
)
def test_weights_that_do_not_fit(
    copy: Path, change: Callable[[dict[str, Tensor]], object], match: str
) -> None:
    refused(rewritten(copy, change), match)


def test_a_refused_change_is_the_only_one(copy: Path) -> None:
    native.load(rewritten(with_record(copy, lambda said: None), lambda weights: None))


def test_large_but_finite_weights_are_accepted() -> None:
    assert state.is_finite(torch.full((4,), 3e38))
    assert not state.is_finite(torch.tensor([1.0, torch.nan]))
    assert not state.is_finite(torch.tensor([torch.inf, -torch.inf]))
    assert state.is_finite(torch.zeros(0))
