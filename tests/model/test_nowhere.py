"""Models whose weights are nowhere."""

import subprocess
import sys

import pytest
import torch

from comask.config import ModelConfig
from comask.model.comask import CoMask
from comask.model.nowhere import nowhere
from tests.train.small import small_model_config

BUILD = """
import sys
from comask.config import PRESETS
from comask.model.comask import CoMask
from comask.model.nowhere import nowhere

with nowhere():
    CoMask(PRESETS[sys.argv[1]]())
assert not {"torch._dynamo", "sympy"} & set(sys.modules)
"""


@pytest.fixture(name="config")
def fixture_config() -> ModelConfig:
    return small_model_config()


def test_all_weights_have_a_shape_and_no_place(config: ModelConfig) -> None:
    with nowhere():
        found = CoMask(config)
    real = CoMask(config)
    assert {name: value.shape for name, value in found.state_dict().items()} == {
        name: value.shape for name, value in real.state_dict().items()
    }
    assert all(value.is_meta for value in found.state_dict().values())


def test_no_random_number_is_drawn(config: ModelConfig) -> None:
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    with nowhere():
        CoMask(config)
    assert torch.equal(torch.rand(4), wanted)


def test_what_is_built_afterwards_is_filled(config: ModelConfig) -> None:
    with nowhere():
        CoMask(config)
    assert CoMask(config).rpn.state_dict()["conv.weight"].std() > 0


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["tiny", "r50"])
def test_the_compiler_stays_out(preset: str) -> None:
    done = subprocess.run([sys.executable, "-c", BUILD, preset], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
