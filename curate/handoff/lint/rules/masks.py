"""Rules about segmentations: polygons that can be drawn, run lengths of the image's size."""

from collections.abc import Iterator
from typing import Any

from curate.handoff.lint.document import Document, Entry, box_of, polygons_of
from curate.handoff.lint.types import RECEIVERS, Hit, rule
from curate.values import finite_numbers, is_whole, shown

TOLERANCE_PX = 1.0


@rule(
    "bad-segmentation", mend="give a list of polygons [[x1, y1, x2, y2, x3, y3, ...]], run lengths, or [] (cvat#6392)"
)
def bad_segmentation(document: Document) -> Iterator[Hit]:
    """Segmentations that are neither a list of lists of numbers nor run lengths."""
    for annotation in document.annotations:
        value = annotation.value.get("segmentation")
        if value is None or isinstance(value, dict):
            continue
        if not isinstance(value, list) or any(finite_numbers(polygon) is None for polygon in value):
            yield annotation.hit(f"segmentation is {shown(value)}")


@rule("short-polygon", mend="a polygon has three points and more, x and y in turn; mend it, or leave the box alone")
def short_polygon(document: Document) -> Iterator[Hit]:
    """Polygons of fewer than six numbers, or of an odd count."""
    for annotation in document.annotations:
        for polygon in _lists(annotation):
            numbers = finite_numbers(polygon)
            if numbers is not None and (len(numbers) < 6 or len(numbers) % 2):
                yield annotation.hit(f"a polygon of {len(numbers)} numbers")
                break


@rule(
    "bbox-differs-from-polygon",
    mend="make both the same: polygons lie in their box, and CVAT passes over the box where there is a polygon",
    errors=["cvat"],
    warnings=RECEIVERS,
)
def bbox_differs_from_polygon(document: Document) -> Iterator[Hit]:
    """Boxes that are not those of their polygons, by more than a pixel."""
    for annotation in document.annotations:
        box, polygons = box_of(annotation), polygons_of(annotation)
        if box is None or not polygons or len(polygons) != len(_lists(annotation)):
            continue
        xs = [x for polygon in polygons for x in polygon[::2]]
        ys = [y for polygon in polygons for y in polygon[1::2]]
        around = (min(xs), min(ys), max(xs), max(ys))
        difference = max(abs(a - b) for a, b in zip(box, around, strict=True))
        if difference > TOLERANCE_PX:
            yield annotation.hit(f"the polygons' box differs by {difference:.4g} pixels from bbox")


@rule("bad-rle", mend="run lengths are {size: [height, width], counts: whole numbers or a text}")
def bad_rle(document: Document) -> Iterator[Hit]:
    """Run lengths that are none."""
    for annotation, value in _run_lengths(document):
        size, counts = value.get("size"), value.get("counts")
        if not (isinstance(size, list) and len(size) == 2 and all(is_whole(side) and side > 0 for side in size)):
            yield annotation.hit(f"size is {shown(size)}")
        elif isinstance(counts, list) and all(is_whole(count) and count >= 0 for count in counts):
            if sum(counts) != size[0] * size[1]:
                yield annotation.hit(f"counts of {sum(counts)} pixels, size {shown(size)}")
        elif not (isinstance(counts, str) and counts and counts.isascii()):
            yield annotation.hit(f"counts is {shown(counts)}")


@rule("wrong-rle-size", mend="size is [height, width] of the image; draw the mask at that size")
def wrong_rle_size(document: Document) -> Iterator[Hit]:
    """Run lengths of another size than their image's."""
    for annotation, value in _run_lengths(document):
        size, image = value.get("size"), document.size_of(annotation)
        is_size = isinstance(size, list) and len(size) == 2 and all(map(is_whole, size))
        if image is not None and is_size and size != [image[1], image[0]]:
            yield annotation.hit(f"size is {shown(size)}, the image is {image[1]} high and {image[0]} wide")


@rule("rle", mend="export polygons: Label Studio's converter cannot read run lengths", errors=["label-studio"])
def rle(document: Document) -> Iterator[Hit]:
    """Run lengths, for receivers that do not read them."""
    return (annotation.hit("has run lengths") for annotation, _ in _run_lengths(document))


@rule(
    "many-polygons",
    mend="one polygon an object: Label Studio's converter takes the first, or makes an object of each",
    errors=["label-studio"],
)
def many_polygons(document: Document) -> Iterator[Hit]:
    """Objects in several pieces, for receivers that have no such thing."""
    for annotation in document.annotations:
        if len(_lists(annotation)) > 1:
            yield annotation.hit(f"has {len(_lists(annotation))} polygons")


def _lists(annotation: Entry) -> list[Any]:
    """The polygons, whatever is in them; none where a segmentation is no list of lists."""
    value = annotation.value.get("segmentation")
    return value if isinstance(value, list) and all(isinstance(one, list) for one in value) else []


def _run_lengths(document: Document) -> Iterator[tuple[Entry, dict[str, Any]]]:
    for annotation in document.annotations:
        value = annotation.value.get("segmentation")
        if isinstance(value, dict):
            yield annotation, value
