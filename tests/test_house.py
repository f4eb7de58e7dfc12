"""The house rules that no linter checks."""

import doctest
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import comask

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
LOCKS = re.compile(r"(.*\.lock|pylock.*\.toml|package-lock\.json|pnpm-lock\.yaml)")
PIN = re.compile(r"([A-Za-z0-9_.-]+)==[0-9][0-9a-z.]*")


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """List the files that git keeps or would keep."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = [ROOT / name for name in listing.split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_the_changelogs_top_version_is_the_packages_version() -> None:
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == comask.__version__


def test_the_readme_spells_the_two_commands_and_ci_runs_the_second() -> None:
    commands = re.findall(r"^python -m pip install -e .*$", read("README.md"), re.MULTILINE)
    assert commands == [
        "python -m pip install -e . -c constraints.txt && python launch.py",
        'python -m pip install -e ".[test]" -c constraints.txt && '
        "OMP_NUM_THREADS=1 python -m pytest -n 3 --dist loadfile",
    ]
    assert read(".ci/run").splitlines()[-1] == commands[1]


@pytest.mark.slow
def test_the_readmes_python_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    failed, tried = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert tried >= 6
    assert failed == 0


def test_the_layers_hold() -> None:
    arguments = ["--no-cache", "--config", str(ROOT / "pyproject.toml")]
    check = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", check, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", ["comask", "app"])
def test_the_contract_names_every_room_without_brackets(package: str) -> None:
    contracts = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c.get("containers") == [package])
    named = {room.strip() for layer in layers for room in layer.split("|")}
    folder = ROOT / package
    modules = {path.stem for path in folder.glob("*.py") if path.stem != "__init__"}
    assert named == modules | {path.parent.name for path in folder.glob("*/__init__.py")}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_by("comask") & {"torch", "numpy", "cv2", "gradio"}


def test_annotations_are_readable_without_torch() -> None:
    names = [path.stem for path in (ROOT / "comask/annotation").glob("*.py")]
    rooms = ["comask.annotation", *(f"comask.annotation.{n}" for n in names if n != "__init__")]
    assert not loaded_by(*rooms) & {"torch", "torchvision"}


def test_a_predictor_waits_for_no_more_of_torch_than_it_needs() -> None:
    loaded = loaded_by("comask.predict")
    assert "torch" in loaded
    assert not loaded & {"torchvision", "torch._dynamo", "torch._inductor"}


def loaded_by(*modules: str) -> set[str]:
    script = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_constraints_are_names_and_versions_only() -> None:
    lines = [line for line in read("constraints.txt").splitlines() if line and line[0] != "#"]
    assert [line for line in lines if not PIN.fullmatch(line)] == []


def test_constraints_pin_every_direct_dependency() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    pinned = {line.partition("==")[0] for line in read("constraints.txt").splitlines()}
    assert {re.split(r"[<>=\[]", name)[0] for name in wanted} - pinned == set()


def test_no_lock_files_are_kept(tracked: list[Path]) -> None:
    assert [path for path in tracked if LOCKS.fullmatch(path.name)] == []


def test_gradio_wrote_no_stubs_beside_the_sources() -> None:
    importlib.import_module("app.canvas.component")
    assert [path for room in ("comask", "app") for path in (ROOT / room).rglob("*.pyi")] == []


def test_no_file_names_a_place_on_this_machine(tracked: list[Path]) -> None:
    here = "|".join(re.escape(str(place)) for place in (ROOT, ROOT.parent / "shared"))
    places = re.compile(rf"(?<![\w./-])({here}|/(home|Users)/\w+/)".encode())
    texts = {path: path.read_bytes() for path in tracked if path.stat().st_size < 1_000_000}
    assert {path for path, text in texts.items() if places.search(text)} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (document.parent / link).exists()] == []
