"""One image's document: what people drew, what the model found, and what is still to come."""

from typing import TYPE_CHECKING, Any

from app.actions.browse import document_url
from app.actions.checkpoints import none_yet
from app.canvas import payload
from app.services import CheckpointFile, Services, StoredImage
from app.services.purposes import some
from comask.annotation.records import Dataset, Size
from comask.errors import ComaskError, ImageError, InputError
from comask.evaluate import matching
from comask.evaluate.categories import match_categories
from comask.evaluate.matching import PredictionLike

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.predict import Prediction

WAITING = "Looking for instances"


def document(services: Services, file: CheckpointFile | None, image: StoredImage) -> dict[str, Any]:
    """Build the document of an image as far as it is known.

    ``pending`` says where to fetch it again once the model has seen the image, ``note`` why it
    never will.
    """
    prediction = None if file is None else services.prediction(file, image.key)
    truth, size, complaint = _seen(services, image)
    content: dict[str, Any] = {**drawn(image, size, prediction, truth)}
    content["image"] = with_grey(services, image, content["image"])
    if file is not None and truth is not None:
        content |= _suits(services, file, truth)
    if complaint:
        content["note"] = complaint
    elif file is None:
        content["note"] = none_yet(services)
    elif prediction is None and (sentence := services.complaint(file, image.key)):
        content["note"] = sentence
    elif prediction is None:
        content["pending"] = {"text": WAITING, "url": document_url(image.key, file, wait=True)}
    return content


def _suits(services: Services, file: CheckpointFile, truth: Dataset) -> dict[str, Any]:
    """Name a checkpoint for what is annotated, where the chosen one finds nothing of it."""
    used = {annotation.category_id for annotation in truth.annotations}
    annotated = [category.name for category in truth.categories if category.id in used]
    better = services.purposes.better(file, annotated)
    if better is None:
        return {}
    text = (
        f"{file.name} finds {some(services.purposes.of(file).classes)}. Annotated here: "
        f"{some(annotated)}."
    )
    return {"suits": {"checkpoint": better.name, "text": text}}


def drawn(
    image: StoredImage, size: Size, prediction: "Prediction | None", truth: Dataset | None = None
) -> payload.Document:
    """Build a document of what is there, without objects that have no pixel."""
    content = payload.document(
        picture(image, size),
        prediction=prediction,
        truth=None if truth is None else truth.annotations,
        truth_categories=() if truth is None else truth.categories,
        compared=None if truth is None or prediction is None else _compared(truth, prediction),
    )
    return _without_hollow(content)


def picture(image: StoredImage, size: Size) -> payload.DocumentImage:
    """Say what a picture is called, how large it is and where it is."""
    height, width = size
    return {
        "key": image.key,
        "file_name": image.file_name,
        "width": width,
        "height": height,
        "url": f"/api/images/{image.key}",
    }


def with_grey(
    services: Services, image: StoredImage, said: payload.DocumentImage
) -> payload.DocumentImage:
    """Say which grey values a picture of more than 8 bits holds."""
    try:
        found = services.images.grey_range(image)
    except (ImageError, OSError):
        found = None
    if found is None:
        return said
    values = payload.GreyValues(bits=found.bits, low=found.low, high=found.high, shown=found.shown)
    return {**said, "grey": values}


def _compared(truth: Dataset, prediction: PredictionLike) -> payload.Compared | None:
    """Find what could be matched, so that the browser matches without asking; None is nothing."""
    try:
        ids = match_categories(prediction.categories, truth.categories)
    except InputError:  # the checkpoint finds other things than people drew
        return None
    found = matching.pair_prediction(truth.annotations, prediction, ids)
    columns = (found.rows, found.columns, found.mask_iou, found.box_iou)
    return payload.Compared(list(zip(*(one.tolist() for one in columns), strict=True)))


def _without_hollow(content: payload.Document) -> payload.Document:
    """Leave out objects without a single pixel, which the model may find; COCO files do so too."""
    places: dict[str, dict[int, int]] = {}  # layer -> place among all -> place among those kept
    for layer in ("prediction", "truth"):
        known = [one for one in content["instances"] if one["layer"] == layer]
        kept = [place for place, one in enumerate(known) if one["area"] > 0]
        places[layer] = {place: at for at, place in enumerate(kept)}
    content["instances"] = [one for one in content["instances"] if one["area"] > 0]
    if "pairs" in content:
        found, drawn = places["prediction"], places["truth"]
        content["pairs"] = [
            (found[row], drawn[column], mask_iou, box_iou)
            for row, column, mask_iou, box_iou in content["pairs"]
            if row in found and column in drawn
        ]
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
