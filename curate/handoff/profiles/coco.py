"""COCO JSON as nearly every labelling tool reads it: `images/` and `annotations.json`."""

from pathlib import Path

from curate.handoff.coco_document import coco_document
from curate.handoff.folder import write_json
from curate.handoff.types import Handoff

IMAGES = "images"
HOW_TO_IMPORT = (
    "Upload the files of images/, then import annotations.json as COCO (detection or instances). It has the classes\n"
    "to label and, where a detector was used, its boxes as pre-annotations with a score: mend, remove or add to them."
)


def write(handoff: Handoff, folder: Path) -> int:
    """Write annotations.json; return the number of pre-annotations in it."""
    document = coco_document(handoff)
    write_json(folder, "annotations.json", document)
    return len(document["annotations"])
