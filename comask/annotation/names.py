"""Names of image files in COCO files: paths below one folder, and nothing outside of it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

from comask.errors import AnnotationError, InputError

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".tif", ".tiff", ".webp", ".bmp", ".gif"}
    | {".pbm", ".pgm", ".ppm", ".pnm"}
)

_ODD = re.compile(r"[\\:\0]")


def check(name: str) -> None:
    """Refuse a file name that can lead out of its folder; raises AnnotationError."""
    if name[:1].isalnum() and ".." not in name and not _ODD.search(name):
        return  # as nearly all names are
    path = PureWindowsPath(name)  # knows both slashes, drives and shares
    if path.drive or path.root:
        raise AnnotationError(f"file_name {shortened(name)} must be relative to the image folder")
    if ".." in path.parts:
        raise AnnotationError(f"file_name {shortened(name)} leads out of the image folder")
    if "\0" in name or not path.parts:
        raise AnnotationError(f"file_name {shortened(name)} names no file")


def inside(root: Path, name: str) -> Path:
    """Find the place of a file below a folder, links followed; raises InputError outside of it.

    A name that was written on Windows is understood.
    """
    check(name)
    place = Path(os.path.realpath(root / name))
    if "\\" in name and not place.exists():
        place = Path(os.path.realpath(root / name.replace("\\", "/")))
    if not place.is_relative_to(os.path.realpath(root)):
        raise InputError(
            f"{shortened(name)} is a link that leads out of the image folder, which is not "
            f"followed; copy the file, or open the folder that it leads to."
        )
    return place


class Looker:
    """Tell which files are there, looking once into every folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[str, frozenset[str]] = {}

    def is_there(self, name: str) -> bool:
        """Look a name up; a link counts wherever it leads."""
        if self._has(name):
            return True
        return "\\" in name and self._has(name.replace("\\", "/"))

    def _has(self, name: str) -> bool:
        folder, _, last = name.rpartition("/")
        if folder not in self._folders:
            try:
                with os.scandir(self._root / folder) as entries:
                    found = frozenset(entry.name for entry in entries)
            except (OSError, ValueError):
                found = frozenset()
            self._folders[folder] = found
        return last in self._folders[folder]


def image_files(root: Path) -> Iterator[str]:
    """List the images below a folder by their names, hidden ones and links to elsewhere apart."""
    top = Path(os.path.realpath(root))
    folders = [("", top)]
    while folders:
        below, folder = folders.pop()
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = below + entry.name
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append((f"{name}/", Path(entry.path)))
                elif Path(name).suffix.lower() in EXTENSIONS and _is_own_file(entry, top):
                    yield name


def _is_own_file(entry: os.DirEntry[str], top: Path) -> bool:
    """Tell whether an entry is a file that lies below a folder, links followed."""
    if not entry.is_file():
        return False
    return not entry.is_symlink() or Path(os.path.realpath(entry.path)).is_relative_to(top)


def shortened(name: str) -> str:
    """Write a stranger's file name so that it fits into a sentence."""
    text = repr(name)
    return text if len(text) <= 80 else text[:50] + "..." + text[-27:]
