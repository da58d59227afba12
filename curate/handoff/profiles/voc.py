"""Pascal VOC: `JPEGImages/`, an XML file an image in `Annotations/`, the list of images, and the classes.

Corners are pixels from 0 with the far edge outside the object, as Datumaro (so CVAT), Label Studio and FiftyOne write
them, and as labels come back (curate/labels/formats/voc.py): a box over the whole image is xmin 0, xmax width. The
published VOC data sets count from 1 instead. Decimals are kept.
"""

from pathlib import Path, PurePath
from xml.etree import ElementTree

from curate.errors import UsageError
from curate.handoff.boxes import PreAnnotation, pre_annotations
from curate.handoff.folder import write_text
from curate.handoff.types import Handoff, HandoffImage

IMAGES = "JPEGImages"
HOW_TO_IMPORT = (
    "Import the folder (or voc.zip, if there is one) as Pascal VOC. Annotations/ has an XML file an image, without\n"
    "objects where there are no boxes to start from; pixels count from 0: xmin 0 and xmax width is the whole width.\n"
    "labelmap.txt has the classes for CVAT; Pascal VOC has no place for scores."
)


def write(handoff: Handoff, folder: Path) -> int:
    """Write Annotations/, ImageSets/Main/default.txt and labelmap.txt; return the number of pre-annotations.

    Raises UsageError for a class that labelmap.txt cannot name.
    """
    unwritable = [name for name in handoff.categories if ":" in name or name.startswith("#")]
    if unwritable:
        raise UsageError(f"--for voc: class {unwritable[0]!r} has ':' or begins with '#'; rename it, or export as coco")
    count = 0
    for image in handoff.images:
        boxes = pre_annotations(image)
        write_text(folder, f"Annotations/{PurePath(image.name).stem}.xml", _annotation(image, boxes))
        count += len(boxes)
    stems = "".join(f"{PurePath(image.name).stem}\n" for image in handoff.images)
    write_text(folder, "ImageSets/Main/default.txt", stems)
    classes = "".join(f"{name}:::\n" for name in handoff.categories)
    write_text(folder, "labelmap.txt", f"# label:color_rgb:parts:actions\n{classes}")
    return count


def _annotation(image: HandoffImage, boxes: list[PreAnnotation]) -> str:
    root = ElementTree.Element("annotation")
    _add(root, folder=IMAGES, filename=image.name)
    _add(ElementTree.SubElement(root, "source"), database="curate")
    _add(ElementTree.SubElement(root, "size"), width=image.width, height=image.height, depth=3)
    _add(root, segmented=0)
    for box in boxes:
        element = ElementTree.SubElement(root, "object")
        _add(element, name=box.category, pose="Unspecified", truncated=0, difficult=0)
        corners = {"xmin": box.x1, "ymin": box.y1, "xmax": box.x2, "ymax": box.y2}
        _add(ElementTree.SubElement(element, "bndbox"), **{side: f"{value:.10g}" for side, value in corners.items()})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _add(element: ElementTree.Element, **values: object) -> None:
    for name, value in values.items():
        ElementTree.SubElement(element, name).text = str(value)
