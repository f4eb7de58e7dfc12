"""Read a COCO file with FiftyOne's reader, which runs in an environment of its own: FILE.

The reader works without FiftyOne's database.
"""

import json
import sys

import fiftyone.utils.coco as reader


def main(file: str) -> None:
    _, classes, _, images, annotations = reader.load_coco_detection_annotations(file)
    areas = {}
    for number, objects in annotations.items():
        size = images[number]["width"], images[number]["height"]
        for one in objects:
            found = one.to_detection(size, classes, load_segmentation=True, include_id=True)
            areas[one.id] = int(found.mask.sum())
    sys.stdout.write(json.dumps({"images": len(images), "areas": areas}))


if __name__ == "__main__":
    main(sys.argv[1])
