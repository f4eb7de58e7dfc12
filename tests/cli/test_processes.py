"""Several processes share a run: each its part, all of it together, whoever dies."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from comask.annotation.index import DatasetIndex
from comask.annotation.label_store import LabelStore
from comask.annotation.store import Store
from comask.cli.processes import Processes
from comask.errors import InputError
from tests.annotation import postgresql
from tests.factories import write_checkpoint, write_picture

ROOT = Path(__file__).resolve().parents[2]
IMAGES = 9


def test_alone_without_torchrun() -> None:
    assert Processes.of({}) == Processes(1, 0, None)
    assert Processes.of({"RANK": "3"}).is_first
    assert Processes().ordered([1, 2, 3]) == [1, 2, 3]


def test_each_begins_with_its_own_share_and_goes_on_with_the_others() -> None:
    made = Processes.of({"WORLD_SIZE": "3", "RANK": "1", "LOCAL_RANK": "0"})
    assert (made, made.is_first) == (Processes(3, 1, 0), False)
    assert made.own(range(7)) == range(1, 7, 3)
    assert made.ordered(range(7)) == [1, 4, 2, 5, 0, 3, 6]
    assert made.ordered([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"WORLD_SIZE": "0", "RANK": "0"},
        {"WORLD_SIZE": "2", "RANK": "2"},
        {"WORLD_SIZE": "2"},
        {"WORLD_SIZE": "two", "RANK": "0"},
        {"WORLD_SIZE": "2", "RANK": "-1"},
        {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "²"},
    ],
)
def test_what_torchrun_never_says_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InputError):
        Processes.of(wrong)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of pictures, a checkpoint, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("processes")
    for number in range(IMAGES):
        write_picture(folder / "pictures" / f"{number}.png", seed=number)
    write_checkpoint(folder / "small.safetensors")
    run = subprocess.run(command("alone"), cwd=folder, env=environment(), capture_output=True)
    assert run.returncode == 0, run.stderr
    return folder


def command(name: str, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "comask.cli", "prelabel", "pictures", "--checkpoint",
        "small.safetensors", "--device", "cpu", "--output", f"{name}.json", "--labels",
        *more,
    ]  # fmt: skip


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more


def start(place: Path, name: str, rank: int, *more: str) -> "subprocess.Popen[bytes]":
    told = environment(WORLD_SIZE="2", RANK=str(rank), LOCAL_RANK=str(rank))
    words = command(name, *more)
    return subprocess.Popen(
        words, cwd=place, env=told, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def done(place: Path, name: str) -> int:
    if not (place / f"{name}.sqlite").exists():
        return 0
    with Store.open(place / f"{name}.sqlite") as store:
        return sum(len(store.names(run.id)) for run in store.runs())


def wait_for(place: Path, name: str, images: int) -> None:
    until = time.monotonic() + 240
    while done(place, name) < images and time.monotonic() < until:
        time.sleep(0.002)


def labels(place: Path, name: str, url: str = "") -> str:
    index = DatasetIndex.open(None, place / "pictures", place / "cache")
    with Store.open(url or place / f"{name}.sqlite") as store:
        state = LabelStore(store).state_hash(index.fingerprint)
    index.close()
    return state


def assert_as_alone(place: Path, name: str, url: str = "") -> None:
    assert (place / f"{name}.json").read_bytes() == (place / "alone.json").read_bytes()
    assert labels(place, name, url) == labels(place, "alone")


@pytest.mark.slow
def test_two_processes_make_what_one_makes(place: Path) -> None:
    both = [start(place, "two", rank) for rank in (1, 0)]
    said = [process.communicate(timeout=600)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == b""  # only the first one speaks
    assert b"9 of 9 images" in said[1]
    assert_as_alone(place, "two")


@pytest.mark.slow
def test_a_second_process_that_is_killed_is_survived(place: Path) -> None:
    other = start(place, "survived", 1)
    wait_for(place, "survived", 1)
    other.send_signal(signal.SIGKILL)
    first = start(place, "survived", 0)
    assert other.wait() == -signal.SIGKILL
    first.communicate(timeout=600)
    assert first.returncode == 0
    assert_as_alone(place, "survived")


@pytest.mark.slow
@pytest.mark.parametrize("image", [1, IMAGES // 2, IMAGES - 1])
def test_a_run_that_is_killed_is_begun_again(place: Path, image: int) -> None:
    name = f"killed-{image}"
    both = [start(place, name, rank) for rank in (0, 1)]
    wait_for(place, name, image)
    for process in both:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert done(place, name) >= image
    both = [start(place, name, rank) for rank in (0, 1)]
    for process in both:
        process.communicate(timeout=600)
        assert process.returncode == 0
    assert_as_alone(place, name)


@pytest.mark.slow
def test_torchrun_starts_them(place: Path) -> None:
    torchrun = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        "--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0",
        *command("torchrun")[1:],
    ]  # fmt: skip
    ended = subprocess.run(torchrun, cwd=place, env=environment(), capture_output=True, timeout=600)
    assert ended.returncode == 0, ended.stderr
    assert_as_alone(place, "torchrun")


@pytest.mark.slow
def test_they_meet_in_a_postgresql(place: Path, postgresql_programs: Path) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,  # where the server's own user may look
        postgresql.served(postgresql_programs, Path(folder)) as address,
    ):
        url = address.replace("postgresql:", "postgresql+psycopg:")
        both = [start(place, "shared", rank, "--store", url) for rank in (0, 1)]
        for process in both:
            process.communicate(timeout=600)
        assert [process.returncode for process in both] == [0, 0]
        assert_as_alone(place, "shared", url)
