"""What is open: a list of images, one of them on the canvas."""

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args
from urllib.parse import quote

from app.services import CheckpointFile, Services, StoredImage
from app.session import Session, Source
from comask.errors import InputError


def opened(session: Session, services: Services, address: object = None) -> Session:
    """Open what the page's address names, else the samples, else the uploads."""
    source: Source = "samples" if services.images.listed("samples") else "uploads"
    first = services.checkpoints.find(None)
    checkpoint = session.checkpoint or (None if first is None else first.name)
    held = switched(replace(session, checkpoint=checkpoint), services, source)
    return went(held, services, address)


def went(session: Session, services: Services, address: object) -> Session:
    """Go where the page's address says, as far as that is here: list, checkpoint, image."""
    said = address if isinstance(address, Mapping) else {}
    name = said.get("checkpoint")
    file = services.checkpoints.find(name) if isinstance(name, str) and name else None
    if file is not None:
        session = replace(session, checkpoint=file.name)
    return picked(switched(session, services, said.get("source")), services, said.get("image"))


def switched(session: Session, services: Services, source: object) -> Session:
    """Open the other list; whatever is no list leaves things as they are."""
    if source not in get_args(Source):
        return session
    session = replace(session, source=source, complaint="")  # type: ignore[arg-type]
    images = list_open(session, services)
    held = {image.key for image in images}
    kept = session.image if session.image in held else None
    return replace(session, image=kept or (images[0].key if images else None))


def picked(session: Session, services: Services, key: object) -> Session:
    """Put an image on the canvas, and before the others in the run; an unknown key does nothing.

    Nor does one of a dataset: the browser knows which of those is open.
    """
    image = _find(services, key)
    if image is None or image.source != session.source or image.source == "dataset":
        return session
    services.runner.prefer(session.run, image.key)
    return replace(session, image=image.key, complaint="")


def uploaded(session: Session, services: Services, key: object) -> Session:
    """Open the uploads, on the image that came first if its key is given."""
    return picked(switched(session, services, "uploads"), services, key)


def led(before: Session, after: Session, shown: object) -> Session:
    """Lead the canvas to the tab's image unless it shows that one with that checkpoint."""
    if after.image == shown and after.checkpoint == before.checkpoint:
        return after
    return replace(after, sent=after.image, revision=after.revision + 1)


def removed(session: Session, services: Services, key: object) -> Session:
    """Take an upload out of the workspace; its neighbour takes its place on the canvas."""
    image = _find(services, key)
    if image is None or image.source != "uploads":
        return session
    keys = [other.key for other in services.images.listed("uploads")]
    place = keys.index(image.key)
    services.remove_image(image)
    if session.image != image.key:
        return session
    rest = keys[:place] + keys[place + 1 :]
    return replace(session, image=rest[min(place, len(rest) - 1)] if rest else None)


def _find(services: Services, key: object) -> StoredImage | None:
    try:
        return services.images.find(key) if isinstance(key, str) else None
    except InputError:  # of a dataset that can't be opened now
        return None


def list_open(session: Session, services: Services) -> tuple[StoredImage, ...]:
    """List the images of the open list."""
    return services.images.listed(session.source)


def document_url(key: str, file: CheckpointFile | None, *, wait: bool = False) -> str:
    """Write the address of an image's document: as it is, or once the model has seen it."""
    asked = [] if file is None else [f"checkpoint={quote(file.name, safe='')}"]
    return f"/api/documents/{key}?" + "&".join([*asked, *([] if wait else ["wait=0"])])


def export_url(key: str, file: CheckpointFile) -> str:
    """Write the address of an image's COCO file; the page adds the score."""
    return f"/api/exports/{key}.json?checkpoint={quote(file.name, safe='')}"


def list_export_url(session: Session, file: CheckpointFile) -> str:
    """Write the address of the open list's COCO file; the page adds the score."""
    return f"/api/exports/all.json?source={session.source}&checkpoint={quote(file.name, safe='')}"


def empty_sentence(session: Session, services: Services) -> str:
    """Say what to do while no image is open."""
    choose = "Choose images from your computer, or drop files and folders anywhere on this page."
    if session.source == "uploads" and services.images.listed("samples"):
        return f"{choose} Or look at a sample first."
    return choose
