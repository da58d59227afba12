"""Mend what can be mended without a guess: nothing is taken out of a file, and no box moves but to the image's edge."""

import json
from pathlib import Path
from typing import Any

from curate.errors import CurateError
from curate.handoff.lint.document import Document, Entry, any_not_finite, box_of, key_of, not_finite, polygons_of
from curate.tables import atomic_replace
from curate.values import finite_numbers, is_text, is_whole

# Where NaN means that something is lost, not that something is unknown.
_NEEDED = frozenset({"id", "image_id", "category_id", "bbox", "segmentation", "width", "height"})


def fix(document: Document) -> Document:
    """Mend the content of a file that was read, in place, and give it back as a Document.

    CurateError where it could not be read as COCO at all.
    """
    if document.content is None:
        reasons = [f"{id_}: {hits[0].detail}" for id_, hits in document.while_reading.items() if hits]
        raise CurateError(f"{document.path}: cannot be mended ({reasons[0]}); export it again where it comes from")
    for step in (_top_level, _nan, _names, _supercategories, _licenses, _ids, _crowds, _boxes, _areas):
        # Each step sees what the one before it left.
        step(Document(document.path, document.content))
    mended = Document(document.path, document.content)
    mended.while_reading["nan"].extend(not_finite(document.content))
    return mended


def write(document: Document, out: Path) -> None:
    """Write the content of a Document, whole or not at all; CurateError where it cannot be written."""
    try:
        data = json.dumps(document.content, indent=1, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a character, as JSON's escapes can write it
        data = json.dumps(document.content, indent=1).encode()
    atomic_replace(out, data + b"\n")


def _top_level(document: Document) -> None:
    content = document.content or {}
    if not isinstance(content.get("info"), dict):
        content["info"] = {"description": ""}
    if not document.list_of("licenses"):
        content["licenses"] = [{"id": 1, "name": "not stated", "url": ""}]


def _nan(document: Document) -> None:
    for entry in (*document.images, *document.annotations, *document.categories):
        for key in [key for key, value in entry.value.items() if key not in _NEEDED and any_not_finite(value)]:
            if key == "score":
                del entry.value[key]
            else:
                entry.value[key] = None


def _names(document: Document) -> None:
    for image in document.images:
        name = image.value.get("file_name")
        # A path from the root of a Windows disk is none elsewhere, however it is written.
        if is_text(name) and not name.startswith("\\\\") and name[1:2] != ":":
            image.value["file_name"] = name.replace("\\", "/")


def _supercategories(document: Document) -> None:
    for category in document.categories:
        if not is_text(category.value.get("supercategory")):
            category.value["supercategory"] = "object"


def _licenses(document: Document) -> None:
    known = [key_of(one.get("id")) for one in document.list_of("licenses") if isinstance(one, dict)]
    usable = [key for key in known if key is not None]
    for image in document.images:
        value = image.value.get("license")
        if usable and value is not None and key_of(value) not in usable:
            image.value["license"] = usable[0]


def _ids(document: Document) -> None:
    images = _renumbered(document.images, keep=True)
    categories = _renumbered(document.categories, keep=False)
    for annotation in document.annotations:
        for reference, anew in (("image_id", images), ("category_id", categories)):
            key = key_of(annotation.value.get(reference))
            if key is not None and key in anew:
                annotation.value[reference] = anew[key]
    keys = [annotation.key for annotation in document.annotations]
    keep = len(set(keys)) == len(keys) and all(key is not None and key >= 1 for key in keys)
    for number, annotation in enumerate(document.annotations, start=1):
        annotation.value["id"] = annotation.key if keep else number


def _renumbered(entries: list[Entry], *, keep: bool) -> dict[int, int]:
    """Give the entries whole ids from 1, in the order of the old ones; the new by the old.

    `keep` leaves numbers from 1 as they are, with gaps. Where two have one id, or one has none, nothing is done, for
    annotations cannot tell which is meant.
    """
    keys = [entry.key for entry in entries if entry.key is not None]
    if len(set(keys)) != len(entries):
        return {}
    anew = {key: number for number, key in enumerate(sorted(keys), start=1)}
    if keep and min(keys, default=1) >= 1:
        anew = {key: key for key in keys}
    for entry, key in zip(entries, keys, strict=True):
        entry.value["id"] = anew[key]
    return anew


def _crowds(document: Document) -> None:
    for annotation in document.annotations:
        value = annotation.value.setdefault("iscrowd", 0)
        if isinstance(value, bool):
            annotation.value["iscrowd"] = int(value)


def _boxes(document: Document) -> None:
    for annotation in document.annotations:
        box, size = box_of(annotation), document.size_of(annotation)
        if box is None or size is None:
            continue
        x1, y1 = max(0, box[0]), max(0, box[1])
        x2, y2 = min(size[0], box[2]), min(size[1], box[3])
        if (x1, y1, x2, y2) == box or x1 >= x2 or y1 >= y2:
            continue
        _, _, width, height = annotation.value["bbox"]
        if finite_numbers([annotation.value.get("area")]) == (width * height,):
            annotation.value["area"] = (x2 - x1) * (y2 - y1)
        annotation.value["bbox"] = [x1, y1, x2 - x1, y2 - y1]


def _areas(document: Document) -> None:
    for annotation in document.annotations:
        numbers = finite_numbers([annotation.value.get("area")])
        if numbers is not None and numbers[0] > 0:
            continue
        area = _area(annotation)
        if area is not None and area > 0:
            annotation.value["area"] = area


def _area(annotation: Entry) -> float | None:
    """The area of the polygons, of run lengths that are numbers, or of the box; None where it is not known."""
    segmentation: Any = annotation.value.get("segmentation")
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        return float(sum(counts[1::2])) if isinstance(counts, list) and all(map(is_whole, counts)) else None
    polygons = polygons_of(annotation)
    if polygons:
        return sum(map(_polygon_area, polygons))
    box = box_of(annotation)
    return None if box is None else (box[2] - box[0]) * (box[3] - box[1])


def _polygon_area(polygon: tuple[float, ...]) -> float:
    """Gauss's formula for the area inside a closed line of points."""
    xs, ys = polygon[::2], polygon[1::2]
    return abs(sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))) / 2
