"""One image's document: what people drew, what the model found, and what is still to come."""

from typing import Any

from app.actions.browse import document_url
from app.actions.checkpoints import none_yet
from app.canvas import payload
from app.services import CheckpointFile, Services, StoredImage
from comask.annotation.records import Dataset, Size
from comask.errors import ComaskError, ImageError

WAITING = "Looking for instances"


def document(services: Services, file: CheckpointFile | None, image: StoredImage) -> dict[str, Any]:
    """Build the document of an image as far as it is known.

    ``pending`` says where to fetch it again once the model has seen the image, ``note`` why it
    never will.
    """
    prediction = None if file is None else services.prediction(file, image.key)
    truth, (height, width), complaint = _seen(services, image)
    content: dict[str, Any] = {
        **payload.document(
            {
                "key": image.key,
                "file_name": image.file_name,
                "width": width,
                "height": height,
                "url": f"/api/images/{image.key}",
            },
            prediction=prediction,
            truth=None if truth is None else truth.annotations,
            truth_categories=() if truth is None else truth.categories,
        )
    }
    # the model may find an object without a single pixel; COCO files leave those out as well
    content["instances"] = [one for one in content["instances"] if one["area"] > 0]
    if complaint:
        content["note"] = complaint
    elif file is None:
        content["note"] = none_yet(services)
    elif prediction is None and (sentence := services.complaint(file, image.key)):
        content["note"] = sentence
    elif prediction is None:
        content["pending"] = {"text": WAITING, "url": document_url(image.key, file, wait=True)}
    return content


def _seen(services: Services, image: StoredImage) -> tuple[Dataset | None, Size, str]:
    """Look at an image: its truth, its height and width, and what is wrong with either.

    Truth of another size than the picture is not shown: it would lie in the wrong place.
    """
    try:
        truth = services.images.truth(image)
    except ComaskError as error:
        truth, complaint = None, f"{str(error).rstrip('.')}."
    else:
        complaint = ""
    said = (truth.images[0].height, truth.images[0].width) if truth is not None else (0, 0)
    try:
        size = services.images.size(image)
    except (ImageError, OSError) as error:
        return truth, said, f"{str(error).rstrip('.')}."
    if truth is not None and 0 not in said and said != size:
        complaint = (
            f"{image.file_name} is {size[1]} x {size[0]} pixels when upright, and the annotation "
            f"file says {said[1]} x {said[0]}, so its truth can't be shown."
        )
    if complaint or (truth is not None and image.source == "dataset" and 0 in said):
        truth = None
    return truth, size, complaint
