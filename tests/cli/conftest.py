"""A checkpoint, pictures, and a command line that is asked in a folder of its own."""

from pathlib import Path

import pytest

from comask import cli
from tests.cli.saying import Said, Say
from tests.factories import write_checkpoint, write_picture


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "small.safetensors")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    write_picture(folder / "a.png")
    write_picture(folder / "sub/a.png", seed=1)
    write_picture(folder / "sub/häß 雪 #%.png", seed=2)
    return folder


@pytest.fixture
def comask_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Say:
    monkeypatch.chdir(tmp_path)

    def say(*words: object) -> Said:
        code = cli.main([str(word) for word in words])
        return Said(code, *capsys.readouterr())

    return say
