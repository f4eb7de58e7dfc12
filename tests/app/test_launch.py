import multiprocessing
import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from urllib.request import urlopen

import pytest

import launch
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def refused(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """Start with some flags, which must be refused, and return the one sentence."""
    assert launch.main(list(flags)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("launch.py: ")
    return err


def test_a_port_in_use_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = refused(capsys, "--port", port, "--workspace", str(tmp_path))
    assert f"127.0.0.1:{port}" in said
    assert "--port" in said


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_a_host_that_is_not_ours_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    assert host in refused(capsys, "--host", host, "--port", "0", "--workspace", str(tmp_path))


def test_a_workspace_that_is_a_file_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    said = refused(capsys, "--port", "0", "--workspace", str(tmp_path / "file"))
    assert "can't be written to" in said
    assert "--workspace" in said


def test_an_unknown_checkpoint_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "--checkpoint", str(tmp_path / "none.safetensors"))
    assert "There is no checkpoint file" in said


def test_a_checkpoint_of_garbage_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    garbage = tmp_path / "garbage.safetensors"
    garbage.write_bytes(b"garbage")
    flags = ("--checkpoint", str(garbage), "--workspace", str(tmp_path / "w"))
    assert "garbage.safetensors" in refused(capsys, *flags)


def test_a_port_out_of_range_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert "0 .. 65535" in refused(capsys, "--port", "65536")


@pytest.mark.parametrize("flags", [["--port", "x"], ["--share"], ["extra"]])
def test_a_wrong_flag_ends_with_2(flags: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        launch.main(flags)
    assert ended.value.code == 2


@pytest.mark.slow
def test_it_serves_the_page_and_stops(tmp_path: Path) -> None:
    command = [sys.executable, "launch.py", "--port", "0", "--workspace", str(tmp_path / "w")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            address = started.stdout.readline().split()[4]
            assert address.startswith("http://127.0.0.1:")
            page = urlopen(address, timeout=120).read().decode()
            manifest = urlopen(f"{address}/manifest.json", timeout=60).read()
        finally:
            started.send_signal(signal.SIGINT)
            code = started.wait(30)
    assert "CoMask Studio" in page
    assert b"CoMask Studio" in manifest
    assert code == 0


def behind(settings: Settings) -> tuple[BaseProcess, Connection, str]:
    """Serve as a window has it: the process, the line to it, and its address."""
    context = multiprocessing.get_context("spawn")
    lifeline, other_end = context.Pipe()
    with launch._listen(settings) as listener:
        address = launch._address(settings, listener)
        server = context.Process(target=launch._serve_behind, args=(settings, listener, other_end))
        server.start()
    other_end.close()
    return server, lifeline, address


@pytest.mark.slow
def test_the_server_behind_a_window_ends_with_it(tmp_path: Path) -> None:
    server, lifeline, address = behind(Settings(workspace=tmp_path / "w", port=0))
    try:
        page = urlopen(address, timeout=240).read().decode()
        lifeline.close()
        server.join(60)
    finally:
        server.kill()
    assert "CoMask Studio" in page
    assert server.exitcode == 0


@pytest.mark.slow
def test_the_server_behind_a_window_refuses_in_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(workspace=tmp_path / "w", port=0, store="nonsense://x")
    server, lifeline, _ = behind(settings)
    try:
        server.join(240)
    finally:
        lifeline.close()
    assert server.exitcode == 2
    assert capfd.readouterr().err.startswith("launch.py: ")
