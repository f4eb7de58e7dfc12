"""Choose a checkpoint, or bring one along; a refused one leaves the page with the one it had."""

from dataclasses import replace
from pathlib import Path

from app.services import CheckpointFile, Services
from app.session import Session
from comask.errors import ComaskError


def none_yet(services: Services) -> str:
    """Say what to do while there is no checkpoint."""
    folder = services.settings.workspace / "checkpoints"
    return (
        f"There is no checkpoint yet. Add a .safetensors file with the button beside the list, or "
        f"put one into {folder} and reload the page. The command comask train makes one."
    )


def names(services: Services) -> list[str]:
    """List the checkpoints that can be chosen."""
    return [file.name for file in services.checkpoints.listed()]


def choices(services: Services) -> list[tuple[str, str]]:
    """List the checkpoints with what they are for: what is read, and the name."""
    listed = services.checkpoints.listed()
    said = [(file.name, services.purposes.of(file).words) for file in listed]
    return [(f"{name}: {words}" if words else name, name) for name, words in said]


def chosen(session: Session, services: Services, name: object) -> Session:
    """Open a checkpoint and work with it from now on."""
    file = services.checkpoints.find(name) if isinstance(name, str) else None
    if file is None:
        return replace(session, complaint="This checkpoint is not there any more; choose another.")
    return _opened(session, services, file)


def uploaded(session: Session, services: Services, upload: Path) -> Session:
    """Move an uploaded file into the workspace and work with it from now on."""
    try:
        file = services.checkpoints.add(upload, upload.name)
    except (ComaskError, OSError) as error:
        return replace(session, complaint=_sentence(error))
    finally:
        upload.unlink(missing_ok=True)
    return _opened(session, services, file)


def _opened(session: Session, services: Services, file: CheckpointFile) -> Session:
    try:
        services.models.get(file, services.checkpoints.identity(file))
    except (ComaskError, OSError) as error:
        return replace(session, complaint=_sentence(error))
    services.runner.stop(session.run)
    return replace(session, checkpoint=file.name, run=None, complaint="")


def _sentence(error: Exception) -> str:
    return str(error).rstrip(".") + "."
