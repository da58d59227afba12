"""Pascal VOC 2007 to 2012: `JPEGImages/`, `Annotations/`, and masks in `SegmentationObject/` and `SegmentationClass/`.

VOC counts pixels from 1 and its corners are the first and the last pixel inside: 1 is taken off xmin and ymin. Objects
that are `difficult`, which VOC's own measure neither rewards nor punishes, become crowds: not trained on, not counted.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from curate.labels.datasets._masks import Mask, masks_of
from curate.labels.formats.voc import parse_xml, read_object, whole_number
from curate.labels.problems import Problems
from curate.labels.returned import Returned, ReturnedImage, ReturnedObject
from curate.labels.values import shown

if TYPE_CHECKING:
    import numpy as np

DESCRIPTION = "Pascal VOC: JPEGImages/, Annotations/*.xml, masks in SegmentationObject/"
MATCHED_PARTS = 1
_CLASSES = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep "
    "sofa train tvmonitor"
)
CLASSES = tuple(_CLASSES.split())
"""VOC's classes; index 1 of a mask is the first."""

VOID = 255
"""The pixels around objects, and of objects that nobody could tell apart: they belong to no mask."""

_FIRST_PIXEL = 1


def is_root(folder: Path) -> bool:
    """Whether the folder is a year of VOC, such as `VOCdevkit/VOC2007`."""
    labels = (folder / "Annotations", folder / "SegmentationObject")
    return (folder / "JPEGImages").is_dir() and any(place.is_dir() for place in labels)


def read(root: Path, problems: Problems) -> Returned:
    """Read every XML file and every pair of masks; a mask goes to the object of its class that it fits best."""
    stems = {path.stem for path in (root / "Annotations").glob("*.xml")}
    stems |= {path.stem for path in (root / "SegmentationObject").glob("*.png")}
    images = [image for stem in sorted(stems) for image in _image(root, stem, problems)]
    classes = {object_.category for image in images for object_ in image.objects}
    return Returned(tuple(sorted(classes)), tuple(images))


def _image(root: Path, stem: str, problems: Problems) -> Iterator[ReturnedImage]:
    annotation, mask = root / "Annotations" / f"{stem}.xml", root / "SegmentationObject" / f"{stem}.png"
    label_file = annotation if annotation.is_file() else mask
    with problems.inside(label_file.relative_to(root).as_posix()):
        data = label_file.read_bytes()
        image = ReturnedImage(
            subject=shown(f"{stem}.jpg"),
            file_name=f"JPEGImages/{stem}.jpg",
            size_wh=(None, None),
            place="",
            label_file=str(label_file.absolute()),
            label_file_sha256=hashlib.sha256(data).hexdigest(),
        )
        if label_file is annotation:
            document = parse_xml(data, problems)
            if document.tag != "annotation":
                problems.add("not-voc", "", f"the root is <{document.tag:.40}>")
                return
            sides = (whole_number(document.findtext(f"size/{side}")) for side in ("width", "height"))
            image.size_wh = (next(sides), next(sides))
            for number, element in enumerate(document.findall("object"), start=1):
                object_ = read_object(element, f"object {number}", problems, first_pixel=_FIRST_PIXEL)
                if object_ is not None:
                    is_difficult = (element.findtext("difficult") or "").strip() == "1"
                    image.objects.append(replace(object_, iscrowd=is_difficult))
        if mask.is_file():
            _add_masks(image, root, stem, problems)
        yield image


def _add_masks(image: ReturnedImage, root: Path, stem: str, problems: Problems) -> None:
    """Give each object its mask; a mask that fits no object becomes one."""
    instances = _palette(root / "SegmentationObject" / f"{stem}.png", problems)
    classes = _palette(root / "SegmentationClass" / f"{stem}.png", problems)
    if instances is None or classes is None:
        return
    if instances.shape != classes.shape:
        problems.add("bad-mask", stem, f"masks of {instances.shape} and {classes.shape} pixels")
        return
    height, width = instances.shape
    if image.size_wh == (None, None):
        image.size_wh = (width, height)
    free = dict(enumerate(image.objects))
    for mask in masks_of(instances, void=VOID):
        category = _majority(classes, mask)
        if category is None:
            problems.add("bad-mask", f"instance {mask.number}", "most of its pixels are of no class")
            continue
        fits = {place: mask.iou(free[place].box_xyxy) for place in free if free[place].category == category}
        best = max(fits, key=lambda place: fits[place], default=None)
        if best is not None and fits[best] > 0:
            image.objects[best] = replace(free.pop(best), segmentation=mask.rle)
        else:
            subject = f"instance {mask.number}"
            image.objects.append(ReturnedObject(subject, "mask", category, mask.box_xyxy, segmentation=mask.rle))


def _majority(classes: "np.ndarray", mask: Mask) -> str | None:
    import numpy as np

    counts = np.bincount(classes[mask.pixels], minlength=VOID + 1)
    counts[VOID] = 0
    winner = int(counts.argmax())
    return CLASSES[winner - 1] if 1 <= winner <= len(CLASSES) else None


def _palette(path: Path, problems: Problems) -> "np.ndarray | None":
    """The palette indices of a PNG, (H, W) uint8; None where it is no such picture, which is noted."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if picture.mode in ("P", "L"):
                return np.asarray(picture)
            detail = f"a picture of mode {picture.mode}, not of palette indices"
    except Exception as error:  # Pillow lets out whatever its readers meet in a damaged file
        detail = str(error) or type(error).__name__
    problems.add("bad-mask", path.parent.name, detail)
    return None
