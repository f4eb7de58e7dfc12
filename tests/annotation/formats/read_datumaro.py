"""Read a COCO file with datumaro, which runs in an environment of its own: FILE FOLDER."""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from datumaro import Dataset
from datumaro.components.annotation import AnnotationType
from pycocotools import mask as codec


def main(file: Path, images: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "annotations").mkdir()
        shutil.copy(file, home / "annotations/instances_default.json")
        shutil.copytree(images, home / "images/default")
        dataset = Dataset.import_from(folder, "coco_instances")
        parts: dict[int, list[np.ndarray]] = {}
        for item in dataset:
            for one in item.annotations:
                if one.type == AnnotationType.mask:
                    mask = np.asarray(one.image).astype(bool)
                elif one.type == AnnotationType.polygon:
                    drawn = codec.frPyObjects([one.points], *item.media.size)
                    mask = codec.decode(codec.merge(drawn)).astype(bool)
                else:
                    continue
                parts.setdefault(one.group or one.id, []).append(mask)
        areas = {number: int(np.any(masks, axis=0).sum()) for number, masks in parts.items()}
        sys.stdout.write(json.dumps({"images": len(dataset), "areas": areas}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
