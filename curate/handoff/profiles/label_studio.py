"""Label Studio: its own tasks with scored boxes, the interface as XML, and the COCO file for its converter."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from curate.handoff.boxes import PreAnnotation, pre_annotations
from curate.handoff.coco_document import coco_document
from curate.handoff.folder import write_json, write_text
from curate.handoff.types import Handoff, HandoffImage

IMAGES = "images"
HOW_TO_IMPORT = (
    "1. Start Label Studio with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and\n"
    "   LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT set to the absolute path of this folder.\n"
    "2. Create a project; under Labeling Setup, Custom template, paste label_config.xml.\n"
    "3. Settings, Cloud Storage: add Local files with the absolute path of images/ (do not sync it).\n"
    "4. Import tasks.json: one task an image and, where a detector was used, its boxes with scores as predictions.\n"
    "5. When done: export as COCO, or as JSON.\n"
    "If the images are served elsewhere, convert annotations.json with label-studio-converter import coco and its\n"
    "--image-root-url; scores are lost on that way."
)
# The names that label-studio-converter gives the same things, so that one interface serves both ways.
_BOXES, _IMAGE = "label_rectangles", "image"


def write(handoff: Handoff, folder: Path) -> int:
    """Write annotations.json, label_config.xml and tasks.json; return the number of pre-annotations."""
    document = coco_document(handoff)
    write_json(folder, "annotations.json", document)
    write_text(folder, "label_config.xml", _interface(handoff.categories))
    made_by = handoff.detector or handoff.run_id
    write_json(folder, "tasks.json", [_task(image, made_by) for image in handoff.images])
    return len(document["annotations"])


def _interface(categories: tuple[str, ...]) -> str:
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name=_IMAGE, value="$image", zoom="true")
    boxes = ElementTree.SubElement(view, "RectangleLabels", name=_BOXES, toName=_IMAGE)
    for name in categories:
        ElementTree.SubElement(boxes, "Label", value=name)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _task(image: HandoffImage, made_by: str) -> dict[str, Any]:
    task: dict[str, Any] = {
        "data": {
            "image": f"/data/local-files/?d={IMAGES}/{image.name}",
            "file_name": image.name,
            "rank": image.frame.rank,
        }
    }
    boxes = pre_annotations(image)
    if boxes:
        mean = round(sum(box.score for box in boxes) / len(boxes), 6)
        results = [_result(n, box, image) for n, box in enumerate(boxes, start=1)]
        task["predictions"] = [{"model_version": made_by, "score": mean, "result": results}]
    return task


def _result(number: int, box: PreAnnotation, image: HandoffImage) -> dict[str, Any]:
    """A rectangle of Label Studio, in per cent of the image's sides."""
    return {
        "id": f"box{number}",
        "type": "rectanglelabels",
        "from_name": _BOXES,
        "to_name": _IMAGE,
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
        "value": {
            "x": box.x1 / image.width * 100,
            "y": box.y1 / image.height * 100,
            "width": box.width / image.width * 100,
            "height": box.height / image.height * 100,
            "rotation": 0,
            "rectanglelabels": [box.category],
        },
        "score": box.score,
    }
