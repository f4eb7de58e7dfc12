"""What the outputs of a network are called: COCO's 80 classes, bare names, or a file of names."""

import json
from collections.abc import Sequence
from pathlib import Path

from comask.annotation.records import Category
from comask.errors import CheckpointError

MAX_BYTES = 2**30  # a COCO file of the largest kind is half of that

# COCO 2017: supercategory, then its classes with their ids, which have gaps, in output order
_NAMES: tuple[tuple[str, str], ...] = (
    ("person", "1 person"),
    ("vehicle", "2 bicycle, 3 car, 4 motorcycle, 5 airplane, 6 bus, 7 train, 8 truck, 9 boat"),
    ("outdoor", "10 traffic light, 11 fire hydrant, 13 stop sign, 14 parking meter, 15 bench"),
    (
        "animal",
        "16 bird, 17 cat, 18 dog, 19 horse, 20 sheep, 21 cow, 22 elephant, 23 bear, 24 "
        "zebra, 25 giraffe",
    ),
    ("accessory", "27 backpack, 28 umbrella, 31 handbag, 32 tie, 33 suitcase"),
    (
        "sports",
        "34 frisbee, 35 skis, 36 snowboard, 37 sports ball, 38 kite, 39 baseball bat, 40 "
        "baseball glove, 41 skateboard, 42 surfboard, 43 tennis racket",
    ),
    ("kitchen", "44 bottle, 46 wine glass, 47 cup, 48 fork, 49 knife, 50 spoon, 51 bowl"),
    (
        "food",
        "52 banana, 53 apple, 54 sandwich, 55 orange, 56 broccoli, 57 carrot, 58 hot dog, "
        "59 pizza, 60 donut, 61 cake",
    ),
    ("furniture", "62 chair, 63 couch, 64 potted plant, 65 bed, 67 dining table, 70 toilet"),
    ("electronic", "72 tv, 73 laptop, 74 mouse, 75 remote, 76 keyboard, 77 cell phone"),
    ("appliance", "78 microwave, 79 oven, 80 toaster, 81 sink, 82 refrigerator"),
    (
        "indoor",
        "84 book, 85 clock, 86 vase, 87 scissors, 88 teddy bear, 89 hair drier, 90 toothbrush",
    ),
)


def _spread(supercategory: str, names: str) -> list[Category]:
    pairs = [name.split(" ", 1) for name in names.split(", ")]
    return [Category(int(number), name, supercategory) for number, name in pairs]


COCO: tuple[Category, ...] = tuple(c for group in _NAMES for c in _spread(*group))


def named(names: Sequence[str]) -> tuple[Category, ...]:
    """Make categories of bare names: COCO's own where they are COCO's, else ids from 1 up."""
    plain = tuple(name.replace("_", " ") for name in names)  # the authors write "traffic_light"
    if plain == tuple(category.name for category in COCO):
        return COCO
    return tuple(Category(number, name) for number, name in enumerate(names, start=1))


def read(path: str | Path) -> tuple[Category, ...]:
    """Read categories in the order of the network's outputs from a JSON file.

    It holds a list of names, a list of COCO categories (``{"id": 1, "name": "cell"}``), or is a
    COCO file, whose categories keep their order.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(f"{path} is larger than {MAX_BYTES} bytes, no list of classes is")
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path} can't be read: {error.strerror}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON; a list of class names is wanted") from error
    values = values.get("categories") if isinstance(values, dict) else values
    if not isinstance(values, list) or not values:
        raise CheckpointError(f"{path} holds no list of class names or of COCO categories")
    if all(_is_name(value) for value in values):
        return _distinct(named(values), path)
    return _distinct(tuple(_category(value, n, path) for n, value in enumerate(values)), path)


def _category(value: object, number: int, path: Path) -> Category:
    if isinstance(value, dict) and type(value.get("id")) is int and _is_name(value.get("name")):
        group = value.get("supercategory", "")
        return Category(value["id"], value["name"], group if isinstance(group, str) else "")
    raise CheckpointError(f"{path}: entry {number} is neither a name nor has an id and a name")


def _distinct(categories: tuple[Category, ...], path: Path) -> tuple[Category, ...]:
    for what in ("id", "name"):
        if len({getattr(category, what) for category in categories}) != len(categories):
            raise CheckpointError(f"{path} gives two classes the same {what}")
    return categories


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
