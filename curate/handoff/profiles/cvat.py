"""CVAT, through Datumaro: `images/default/`, `annotations/instances_default.json`, and the labels to paste first."""

from pathlib import Path

from curate.handoff.coco_document import coco_document
from curate.handoff.folder import write_json
from curate.handoff.types import Handoff

# Datumaro takes the subset's name from the file, and looks for its images in the folder of that name.
IMAGES = "images/default"
HOW_TO_IMPORT = (
    "1. Create a task (or a project). Under Labels, Raw, paste labels.json: the names must be there before import.\n"
    "2. Upload the images of images/default/ as the task's files.\n"
    "3. Where a detector has made boxes to start from: Actions, Upload annotations, COCO 1.0,\n"
    "   annotations/instances_default.json. CVAT matches images by name without extension, and shows no scores.\n"
    "4. When done: Export task dataset, COCO 1.0.\n"
    "If there is a cvat.zip, it does 2 and 3 in one step: in a project, Import dataset, COCO 1.0."
)


def write(handoff: Handoff, folder: Path) -> int:
    """Write annotations/instances_default.json and labels.json; return the number of pre-annotations."""
    document = coco_document(handoff)
    write_json(folder, "annotations/instances_default.json", document)
    write_json(folder, "labels.json", [{"name": name, "type": "any", "attributes": []} for name in handoff.categories])
    return len(document["annotations"])
