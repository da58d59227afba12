"""Returned pictures become labelled frames: matched to their sources, in the sources' pixels, checked at the door."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from curate.labels.compare import ROUNDING_PX
from curate.labels.frames import FrameFinder, canvas_of
from curate.labels.geometry import Canvas, parse_segmentation, past_edge, to_source
from curate.labels.match import SourceMatcher
from curate.labels.problems import Problems
from curate.labels.returned import Returned, ReturnedImage, ReturnedObject
from curate.labels.types import LabeledFrame, LabelSet
from curate.labels.values import shown
from curate.types import Source, frame_id


@dataclass(frozen=True)
class Rules:
    """What is let in.

    `classes`: the known ones, None for any. `stretched`: pictures may have been squeezed to another shape.
    `any_overshoot`: a box may reach past the edge by any length; else by 2 pixels or 1% of the picture's side.
    Either way it is clipped. `skip_empty`: a picture without objects is not labelled yet, and left out.
    """

    classes: tuple[str, ...] | None = None
    stretched: bool = False
    any_overshoot: bool = True
    skip_empty: bool = False


@dataclass(frozen=True)
class Placed:
    """The labels of a return, and what was done to them: boxes clipped and by how much at most, pictures left out."""

    labels: LabelSet
    clipped: int
    overshoot_px: float
    skipped_empty: int


def place(returned: Returned, sources: Iterable[Source], rules: Rules, problems: Problems) -> Placed:
    """Find each picture's frame and bring its objects there; problems are noted, the pictures that have them left out.

    Of the classes those are kept that are known or used, in the return's order: tools list classes of their own.
    """
    finder = FrameFinder(SourceMatcher(sources), problems)
    frames: list[LabeledFrame] = []
    first: dict[str, str] = {}
    overshoots: list[float] = []
    skipped = 0
    for image in returned.images:
        with problems.inside(image.place):
            found = _find(image, finder, rules, problems)
            if found is None:
                continue
            source, index, canvas = found
            id_ = frame_id(source.source, source.kind, index)
            subject = ": ".join(part for part in (image.place, image.subject) if part)
            if first.setdefault(id_, subject) != subject:
                problems.add("two-images-for-one-frame", image.subject, f"the same frame as {first[id_]}, {id_}")
                continue
            if rules.skip_empty and not image.objects:
                skipped += 1
                continue
            frames.append(_frame(image, source, index, canvas, rules, overshoots, problems))
    used = {name for frame in frames for name in frame.categories}
    names = tuple(name for name in returned.categories if rules.classes is None or name in {*rules.classes, *used})
    problems.raise_if_any()
    labels = LabelSet(names, tuple(sorted(frames, key=lambda frame: frame.frame_id)))
    return Placed(labels, len(overshoots), max(overshoots, default=0.0), skipped)


def _find(
    image: ReturnedImage, finder: FrameFinder, rules: Rules, problems: Problems
) -> tuple[Source, int, Canvas] | None:
    found = finder.find(image)
    if found is None:
        return None
    source, index = found
    if source.kind == "video" and source.frames and index >= source.frames:
        name = source.path.rpartition("/")[2]
        detail = f"frame_index {index}, but {name} has the frames 0 to {source.frames - 1}"
        problems.add("frame-index-out-of-range", image.subject, detail)
        return None
    canvas = canvas_of(image, source, problems, stretched=rules.stretched)
    return None if canvas is None else (source, index, canvas)


def _frame(
    image: ReturnedImage,
    source: Source,
    index: int,
    canvas: Canvas,
    rules: Rules,
    overshoots: list[float],
    problems: Problems,
) -> LabeledFrame:
    boxes, categories, crowds, segmentations = [], [], [], []
    for object_ in image.objects:
        if rules.classes is not None and object_.category not in rules.classes:
            problems.add("unknown-class", object_.subject, _unknown_class(object_.category, rules.classes))
            continue
        box = to_source(object_.box_xyxy, canvas)
        if box is None:
            size = "" if image.fractions else f" of {canvas.file_width}x{canvas.file_height}"
            problems.add("bbox-outside", object_.subject, f"{object_.stated}, outside its image{size}")
            continue
        overshoot = past_edge(object_.box_xyxy, canvas)
        if overshoot.pixels > ROUNDING_PX:
            if not rules.any_overshoot and not overshoot.small:
                detail = f"{object_.stated}, {overshoot.pixels:.4g} pixels past the edge"
                problems.add("bbox-past-edge", object_.subject, detail)
                continue
            overshoots.append(overshoot.pixels)
        segmentation = _segmentation(object_, canvas, problems)
        if segmentation is None:
            continue
        boxes.append(box)
        categories.append(object_.category)
        crowds.append(object_.iscrowd)
        segmentations.append(segmentation)
    return LabeledFrame(
        frame_id=frame_id(source.source, source.kind, index),
        source=source.source,
        frame_index=index,
        width=canvas.width,
        height=canvas.height,
        boxes_xyxy=tuple(boxes),
        categories=tuple(categories),
        iscrowd=tuple(crowds),
        segmentations=tuple(segmentations),
        label_file=image.label_file,
        label_file_sha256=image.label_file_sha256,
    )


def _segmentation(object_: ReturnedObject, canvas: Canvas, problems: Problems) -> str | None:
    segmentation = parse_segmentation(object_.segmentation, canvas)
    if segmentation is None:
        detail = f"segmentation is {shown(object_.segmentation)}"
        problems.add("bad-segmentation", object_.subject, detail)
    return segmentation


def _unknown_class(name: str, known: tuple[str, ...]) -> str:
    same = [one for one in known if one.casefold() == name.casefold()]
    near = same or difflib.get_close_matches(name, known, n=1)
    hint = f" (meant {shown(near[0])}?)" if near else ""
    shortened = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
    return f"class {shown(name)}{hint}, known are {shortened}"
