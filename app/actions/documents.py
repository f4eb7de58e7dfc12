"""One image's document: what people drew, what the model found, and what is still to come."""

from typing import Any

from app.actions.browse import document_url
from app.actions.checkpoints import none_yet
from app.canvas import payload
from app.services import CheckpointFile, Services, StoredImage

WAITING = "Looking for instances"


def document(services: Services, file: CheckpointFile | None, image: StoredImage) -> dict[str, Any]:
    """Build the document of an image as far as it is known.

    ``pending`` says where to fetch it again once the model has seen the image, ``note`` why it
    never will.
    """
    prediction = None if file is None else services.prediction(file, image.key)
    truth = services.images.truth(image)
    height, width = services.images.size(image)
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
    if file is None:
        content["note"] = none_yet(services)
    elif prediction is None and (sentence := services.runner.complaint(file, image.key)):
        content["note"] = sentence
    elif prediction is None:
        content["pending"] = {"text": WAITING, "url": document_url(image.key, file, wait=True)}
    return content
