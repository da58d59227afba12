"""YOLO as Ultralytics lays it out: `data.yaml`, `images/train/`, and a text file an image in `labels/train/`."""

from pathlib import Path, PurePath

from curate.handoff.boxes import pre_annotations
from curate.handoff.folder import write_text
from curate.handoff.types import Handoff

IMAGES = "images/train"
HOW_TO_IMPORT = (
    "Import the folder (or yolo.zip, if there is one) as YOLO, Ultralytics YOLO Detection 1.0 in CVAT. data.yaml has\n"
    "the classes. labels/train/ has a text file an image: a line an object with class number from 0, centre x, centre\n"
    "y, width and height, each as a share of the image's side. The files are empty where there are no boxes to start\n"
    "from; YOLO has no place for scores."
)


def write(handoff: Handoff, folder: Path) -> int:
    """Write data.yaml and the label files; return the number of pre-annotations in them."""
    import yaml

    data = {"train": IMAGES, "names": dict(enumerate(handoff.categories))}
    write_text(folder, "data.yaml", yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    numbers = {name: n for n, name in enumerate(handoff.categories)}
    count = 0
    for image in handoff.images:
        lines = []
        for box in pre_annotations(image):
            center = (box.x1 + box.x2) / 2 / image.width, (box.y1 + box.y2) / 2 / image.height
            shares = (*center, box.width / image.width, box.height / image.height)
            # Nine decimals: under 0.00001 px in any image.
            lines.append(f"{numbers[box.category]} {' '.join(f'{share:.9f}' for share in shares)}\n")
        write_text(folder, f"labels/train/{PurePath(image.name).stem}.txt", "".join(lines))
        count += len(lines)
    return count
