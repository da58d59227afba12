"""Rules about the boxes: four numbers, inside the image, with `iscrowd`, `area` and a score that is one."""

import math
from collections.abc import Iterator

from curate.handoff.lint.document import Document, box_of
from curate.handoff.lint.types import RECEIVERS, Hit, rule
from curate.values import finite_numbers, shown

ROUNDING_PX = 0.01


@rule("bad-bbox", mend="bbox is [x, y, width, height] in pixels, four finite numbers; mend or remove the annotation")
def bad_bbox(document: Document) -> Iterator[Hit]:
    """Boxes that are missing or not four numbers."""
    for annotation in document.annotations:
        numbers = finite_numbers(annotation.value.get("bbox"))
        if numbers is None or len(numbers) != 4:
            yield annotation.hit(f"bbox is {shown(annotation.value.get('bbox'))}")


@rule("empty-bbox", mend="width and height are above 0; mend or remove the annotation")
def empty_bbox(document: Document) -> Iterator[Hit]:
    """Boxes without a size, or with a negative one."""
    for annotation in document.annotations:
        numbers = finite_numbers(annotation.value.get("bbox"))
        if numbers is not None and len(numbers) == 4 and (numbers[2] <= 0 or numbers[3] <= 0):
            yield annotation.hit(f"bbox is {shown(annotation.value['bbox'])}")


@rule("bbox-outside", mend="mend or remove the annotation: the box is not on its image")
def bbox_outside(document: Document) -> Iterator[Hit]:
    """Boxes that do not touch their image."""
    for annotation in document.annotations:
        box, size = box_of(annotation), document.size_of(annotation)
        if box and size and (box[0] >= size[0] or box[1] >= size[1] or box[2] <= 0 or box[3] <= 0):
            yield annotation.hit(f"bbox is {shown(annotation.value['bbox'])}, the image is {size[0]}x{size[1]}")


@rule("bbox-past-edge", mend="clip the box to the image", warnings=RECEIVERS, fixable=True)
def bbox_past_edge(document: Document) -> Iterator[Hit]:
    """Boxes that are partly outside their image."""
    for annotation in document.annotations:
        box, size = box_of(annotation), document.size_of(annotation)
        if not box or not size or box[0] >= size[0] or box[1] >= size[1] or box[2] <= 0 or box[3] <= 0:
            continue
        past = max(-box[0], -box[1], box[2] - size[0], box[3] - size[1])
        if past > ROUNDING_PX:
            detail = (
                f"bbox is {shown(annotation.value['bbox'])}, {past:.4g} pixels past the edge of {size[0]}x{size[1]}"
            )
            yield annotation.hit(detail)


@rule("missing-iscrowd", mend="add iscrowd, 0 for a single object", errors=["cvat"], warnings=RECEIVERS, fixable=True)
def missing_iscrowd(document: Document) -> Iterator[Hit]:
    """Annotations without iscrowd."""
    return (one.hit("has no iscrowd") for one in document.annotations if "iscrowd" not in one.value)


@rule("bad-iscrowd", mend="iscrowd is 0 or 1", fixable=True)
def bad_iscrowd(document: Document) -> Iterator[Hit]:
    """Other values of iscrowd."""
    for annotation in document.annotations:
        value = annotation.value.get("iscrowd", 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or value not in (0, 1):
            yield annotation.hit(f"iscrowd is {shown(value)}")


@rule(
    "bad-area",
    mend="area is a number of pixels above 0; COCO's evaluation stops without one",
    errors=["coco"],
    warnings=RECEIVERS,
    fixable=True,
)
def bad_area(document: Document) -> Iterator[Hit]:
    """Areas that are missing or none."""
    for annotation in document.annotations:
        numbers = finite_numbers([annotation.value.get("area")])
        if numbers is None or numbers[0] <= 0:
            yield annotation.hit(f"area is {shown(annotation.value.get('area'))}")


@rule("bad-score", mend="score is a number from 0 to 1", warnings=RECEIVERS)
def bad_score(document: Document) -> Iterator[Hit]:
    """Scores that are none."""
    for annotation in document.annotations:
        if "score" not in annotation.value:
            continue
        numbers = finite_numbers([annotation.value["score"]])
        is_nan = isinstance(annotation.value["score"], float) and not math.isfinite(annotation.value["score"])
        if not is_nan and (numbers is None or not 0 <= numbers[0] <= 1):
            yield annotation.hit(f"score is {shown(annotation.value['score'])}")


@rule("missing-score", mend="give each pre-annotation its score, as the others have", warnings=RECEIVERS)
def missing_score(document: Document) -> Iterator[Hit]:
    """Annotations without a score among others that have one."""
    if any("score" in one.value for one in document.annotations):
        yield from (one.hit("has no score") for one in document.annotations if "score" not in one.value)


@rule(
    "score-lost",
    mend="import the tasks.json of an export for Label Studio: the converter drops scores (label-studio-sdk#338)",
    warnings=["label-studio"],
)
def score_lost(document: Document) -> Iterator[Hit]:
    """Scores, where no tasks.json beside the file carries them."""
    if not (document.path.parent / "tasks.json").is_file():
        yield from (
            one.hit(f"score {shown(one.value['score'])}") for one in document.annotations if "score" in one.value
        )
