"""The workspace as a folder that can be written to, and files that appear in it whole."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from comask.errors import ConfigError


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Lend a hidden file beside ``path``; it takes its place unless the block fails."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def prepare_folder(folder: Path) -> Path:
    """Make a folder and see that it can be written to; raises ConfigError with one sentence."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(
            f"The workspace {folder} can't be written to ({reason}); name another with --workspace."
        ) from error
    return folder
