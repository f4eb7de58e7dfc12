"""OpenVINO in place of PyTorch: the same numbers, or one sentence."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from comask.annotation.records import Category
from comask.checkpoint.native import CheckpointInfo
from comask.config import NeckConfig
from comask.errors import InputError
from comask.model.comask import CoMask
from comask.model.engine import CompiledCoMask
from comask.model.fold import folded
from comask.predict import PredictionSettings, Predictor
from tests.factories import write_checkpoint
from tests.models import batch, noise, small_config, small_model

ROOT = Path(__file__).resolve().parents[2]
CONFIG = small_config(NeckConfig(channels=32, branches=3))


@pytest.fixture(scope="module", params=["rca", "ca", "sca"])
def engines(request: pytest.FixtureRequest) -> tuple[CompiledCoMask, CoMask]:
    model = small_model(replace(CONFIG, neck=replace(CONFIG.neck, attention=request.param)))
    return CompiledCoMask(folded(model)), model


@pytest.mark.slow
@pytest.mark.parametrize("size", [(32, 32), (64, 96), (96, 160)], ids=str)
@torch.inference_mode()
def test_openvino_finds_the_same_at_any_size(
    engines: tuple[CompiledCoMask, CoMask], size: tuple[int, int]
) -> None:
    fast, model = engines
    images = batch(size)
    for found, wanted in zip(
        fast.features(images.tensor), model.features(images.tensor), strict=True
    ):
        assert_close(found, wanted, rtol=0, atol=1e-4 * wanted.abs().max().item())
    found, wanted = fast(images)[0], model(images)[0]
    assert torch.equal(found.labels, wanted.labels)
    assert len(found.labels)
    assert_close(found.scores, wanted.scores, rtol=0, atol=1e-4)
    assert_close(found.boxes, wanted.boxes, rtol=0, atol=1e-3)
    assert_close(found.masks, wanted.masks, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_a_batch_is_its_images_and_gradients_are_torchs(
    engines: tuple[CompiledCoMask, CoMask],
) -> None:
    fast, model = engines
    pixels = noise(2, 3, 64, 64)
    with torch.inference_mode():
        for found, wanted in zip(fast.features(pixels), model.features(pixels), strict=True):
            assert_close(found, wanted, rtol=0, atol=1e-4 * wanted.abs().max().item())
    pixels.requires_grad_(True)
    (slope,) = torch.autograd.grad(fast.features(pixels)[0].sum(), pixels)
    assert slope.abs().sum() > 0


SIGNALLED = """
import faulthandler, gc, signal, subprocess, sys
from torch import nn
from comask.model.engine import compiled

faulthandler.enable()  # gives signals a stack of their own, as pytest does
signal.signal(signal.SIGCHLD, lambda *_: None)  # as torch's loaders of data do
two = [compiled(nn.Conv2d(3, 3, 1)) for _ in range(2)]
while two:
    two.pop(0)  # the first goes first
    gc.collect()
    subprocess.run([sys.executable, "-c", ""], check=True)
print("alive")
"""


@pytest.mark.slow
def test_a_signal_after_models_went_is_taken() -> None:
    """Run in a process of its own, which the signal would end."""
    ran = subprocess.run(
        [sys.executable, "-c", SIGNALLED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "alive\n"), ran.stderr


def test_without_openvino_one_sentence_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_checkpoint(tmp_path / "small.safetensors")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(InputError, match=r"needs OpenVINO.*pip install -e \"\.\[openvino\]\""):
        Predictor.from_checkpoint(path, device="cpu", engine="openvino")


def test_openvino_is_for_float32() -> None:
    info = CheckpointInfo(CONFIG, tuple(Category(k, str(k)) for k in range(3)))
    with pytest.raises(InputError, match="runs in float32 on a CPU, not in bfloat16"):
        Predictor(
            small_model(CONFIG),
            info,
            device="cpu",
            settings=PredictionSettings(bfloat16=True),
            engine="openvino",
        )
