"""Which COCO file and which folder of images belong together, where only a folder is named.

The file is looked for where people keep it, the folder is the one that holds the images that the
file names. What was chosen is said, so that nobody has to wonder.
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from comask.annotation import names, stream
from comask.errors import AnnotationError, InputError

SAMPLED = 50  # names of a COCO file that are looked for in folders
MOST_FOLDERS = 200  # that are looked into

_LAST = ("captions", "person_keypoints", "keypoints", "stuff", "panoptic", "image_info", "results")
_IMAGE_FOLDERS = ("images", "imgs", "img", "data", "JPEGImages")


@dataclass(frozen=True)
class Layout:
    """A COCO file, or None, the folder of its images, and a sentence on how they were chosen."""

    annotations: Path | None
    images: Path
    sentence: str


def find(folder: Path, annotations: Path | None = None) -> Layout:
    """Find what to open; raises InputError where there is nothing.

    Args:
        folder: A folder of images, one with a COCO file somewhere below it, or the COCO file.
        annotations: The COCO file, if it is known; relative to ``folder`` or not.
    """
    if annotations is None and folder.is_file():
        folder, annotations = folder.parent, folder
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.")
    if annotations is not None:
        file = annotations if annotations.is_absolute() else folder / annotations
        if not file.is_file():
            raise InputError(f"There is no annotation file {file}.")
        images, found, of = _images_of(file, _names(file), folder)
        return Layout(file, images, _sentence(file, images, folder, found, of))
    return _guessed(folder)


def _guessed(folder: Path) -> Layout:
    best: tuple[float, Layout] | None = None
    refusal: AnnotationError | None = None
    candidates = _candidates(folder)
    for file in candidates:
        try:
            sample = _names(file)
        except AnnotationError as error:
            refusal = refusal or (error if file.name.startswith("instances") else None)
            continue
        images, found, of = _images_of(file, sample, folder)
        share = found / of
        if best is None or share > best[0]:
            best = share, Layout(file, images, _sentence(file, images, folder, found, of))
        if share == 1:
            break
    if best is not None:
        others = len(candidates) - 1
        more = f" {others} more JSON files are there; name one to open it." if others > 1 else ""
        more = " One more JSON file is there; name it to open it." if others == 1 else more
        return Layout(best[1].annotations, best[1].images, best[1].sentence + more)
    if refusal is not None:
        raise refusal
    if next(names.image_files(folder), None) is None:
        raise InputError(f"There is neither a COCO file nor an image below {folder}.")
    return Layout(None, folder, "There is no COCO file, so there is no truth to compare with.")


def _candidates(folder: Path) -> list[Path]:
    """List the files that may hold the annotations, the likeliest first."""
    own = f"instances_{folder.name}.json"
    places = [
        *sorted(folder.glob("instances*.json")),
        *sorted(folder.glob("annotations/instances*.json")),
        folder.parent / own,
        folder.parent / "annotations" / own,
        folder.parent.parent / "annotations" / own,
        *sorted(folder.glob("annotations/*.json"), key=_likelihood),
        *sorted(folder.glob("*.json"), key=_likelihood),
        *sorted(folder.glob("*/_annotations.coco.json")),
    ]
    return [file for file in dict.fromkeys(places) if file.is_file()]


def _likelihood(file: Path) -> tuple[bool, str]:
    return file.name.startswith(_LAST), file.name


def _names(file: Path) -> list[str]:
    """Read some names of images from a COCO file; raises AnnotationError where it is none."""
    for batch in stream.records(file, ("images",)):
        found = [value.get("file_name") for value in batch.values if isinstance(value, dict)]
        texts = [name for name in found if isinstance(name, str) and name]
        if texts:
            return texts[:: -(-len(texts) // SAMPLED)]
        if batch.values:
            break
    raise AnnotationError(f"{file.name} is no COCO file: it holds no list of images with names")


def _images_of(file: Path, sample: list[str], folder: Path) -> tuple[Path, int, int]:
    """Find the folder that holds most of some images: the folder, how many, of how many."""
    best, most = folder, 0
    for place in islice(_folders(file, folder), MOST_FOLDERS):
        look = names.Looker(place)
        found = sum(look.is_there(name) for name in sample if _is_inner(name))
        if found > most:
            best, most = place, found
        if found == len(sample):
            break
    return best, most, len(sample)


def _is_inner(name: str) -> bool:
    try:
        names.check(name)
    except AnnotationError:
        return False
    return True


def _folders(file: Path, folder: Path) -> list[Path]:
    split = file.stem.removeprefix("instances_").removesuffix("_annotations")
    bases = [folder, file.parent]
    if file.parent.name in ("annotations", "labels"):
        bases.append(file.parent.parent)
    places: list[Path] = [folder]
    for base in dict.fromkeys(bases):
        below = [base / name for name in _IMAGE_FOLDERS]
        places += [base, base / split, *below, *(place / split for place in below)]
    for base in dict.fromkeys(bases):
        places += sorted(place for place in base.glob("[!.]*/") if place.is_dir())
    return [place for place in dict.fromkeys(places) if place.is_dir()]


def _sentence(file: Path, images: Path, folder: Path, found: int, of: int) -> str:
    opened = f"Opened {_short(file, folder)} with the images of {_short(images, folder)}."
    if found == 0:
        return f"{opened} None of the images that it names was found there."
    return opened


def _short(place: Path, folder: Path) -> str:
    if place == folder:
        return folder.name or str(folder)
    return place.relative_to(folder).as_posix() if place.is_relative_to(folder) else str(place)
