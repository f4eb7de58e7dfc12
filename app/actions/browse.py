"""What is open: a list of images, one of them on the canvas."""

from dataclasses import replace
from typing import get_args
from urllib.parse import quote

from app.services import CheckpointFile, Services, StoredImage
from app.session import Session, Source


def opened(session: Session, services: Services) -> Session:
    """Open the samples, or the uploads when there are no samples."""
    source: Source = "samples" if services.images.listed("samples") else "uploads"
    first = services.checkpoints.find(None)
    checkpoint = session.checkpoint or (None if first is None else first.name)
    return switched(replace(session, checkpoint=checkpoint), services, source)


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
    """Put an image on the canvas, and before the others in the run; an unknown key does nothing."""
    image = services.images.find(key) if isinstance(key, str) else None
    if image is None or image.source != session.source:
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
    image = services.images.find(key) if isinstance(key, str) else None
    if image is None or image.source != "uploads":
        return session
    keys = [other.key for other in services.images.listed("uploads")]
    place = keys.index(image.key)
    services.remove_image(image)
    if session.image != image.key:
        return session
    rest = keys[:place] + keys[place + 1 :]
    return replace(session, image=rest[min(place, len(rest) - 1)] if rest else None)


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
