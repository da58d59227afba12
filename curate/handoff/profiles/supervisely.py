"""Supervisely: a folder a dataset, with `images/` and `annotations/instances.json`."""

from pathlib import Path

from curate.handoff.coco_document import coco_document
from curate.handoff.folder import write_json
from curate.handoff.types import Handoff

IMAGES = "dataset/images"
HOW_TO_IMPORT = (
    "Run the app Import COCO and give it the folder dataset/ (or supervisely.zip, if there is one). The classes, and\n"
    "where a detector was used its boxes to start from, come with the images; scores are not shown. When done: export\n"
    "with the app Export to COCO."
)


def write(handoff: Handoff, folder: Path) -> int:
    """Write dataset/annotations/instances.json; return the number of pre-annotations in it."""
    document = coco_document(handoff)
    write_json(folder, "dataset/annotations/instances.json", document)
    return len(document["annotations"])
