"""Roboflow: `_annotations.coco.json` beside the images."""

from pathlib import Path

from curate.handoff.coco_document import coco_document
from curate.handoff.folder import write_json
from curate.handoff.types import Handoff

IMAGES = "images"
HOW_TO_IMPORT = (
    "Drop the folder images/ (or roboflow.zip, if there is one) on Upload Data in an object detection project. The\n"
    "file _annotations.coco.json in it has the classes and, where a detector was used, boxes to start from; Roboflow\n"
    "shows no scores. When done: export as COCO."
)


def write(handoff: Handoff, folder: Path) -> int:
    """Write images/_annotations.coco.json; return the number of pre-annotations in it."""
    document = coco_document(handoff)
    write_json(folder, f"{IMAGES}/_annotations.coco.json", document)
    return len(document["annotations"])
