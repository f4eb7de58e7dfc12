"""Take image files in: each is stored or refused with one sentence, and the others go on."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.services import Services
from comask.errors import ComaskError


@dataclass(frozen=True)
class Accepted:
    """A stored image; ``is_new`` is False when the same picture was there before."""

    key: str
    file_name: str
    is_new: bool


@dataclass(frozen=True)
class Refused:
    """A file that is no image we can read, and why."""

    file_name: str
    sentence: str


def take(services: Services, files: Iterable[tuple[str, bytes]]) -> list[Accepted | Refused]:
    """Store files given as (name, content), in order."""
    return [_take_one(services, name, content) for name, content in files]


def _take_one(services: Services, name: str, content: bytes) -> Accepted | Refused:
    try:
        added = services.images.add(content, name)
    except (ComaskError, OSError) as error:
        return Refused(name, str(error))
    return Accepted(added.image.key, added.image.file_name, added.is_new)
