"""Read COCO detection files (images) and CocoVID files (frames of videos), checked at the door."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curate.errors import UsageError
from curate.labels.frames import Videos, canvas_of, find_frame
from curate.labels.geometry import Canvas, parse_bbox, parse_segmentation, to_source
from curate.labels.match import SourceMatcher
from curate.labels.problems import Problems
from curate.labels.types import BoxXyxy, LabeledFrame, LabelSet
from curate.labels.values import entries, is_text, is_whole, shown, type_name
from curate.types import Source, frame_id

_KEYS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class _Image:
    """An entry of `images` whose frame was found."""

    source: Source
    frame_index: int
    canvas: Canvas

    @property
    def frame_id(self) -> str:
        return frame_id(self.source.source, self.source.kind, self.frame_index)


@dataclass
class _Objects:
    """The objects of one image, one entry each."""

    boxes_xyxy: list[BoxXyxy] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    iscrowd: list[bool] = field(default_factory=list)
    segmentations: list[str] = field(default_factory=list)


def read_coco(path: Path, sources: Iterable[Source]) -> LabelSet:
    """Read a COCO or CocoVID file whose images are frames of `sources`.

    An image is matched by the name that `export` gave it; else, with a `video_id`, by its video and `frame_index`
    (0-based, presentation order); else by its path (see SourceMatcher). Images without annotations are labelled
    frames without objects. Boxes and polygons of a picture labelled at another scale are brought to the source's
    upright size; boxes that are partly outside are clipped. Categories are in the order of their ids.

    Raises LabelError with what is wrong with the file, all of it, and UsageError if there is no such file. Either
    the whole file is returned or none of it.
    """
    problems = Problems(path)
    document, sha256 = _load(path, problems)
    categories = _read_categories(document, problems)
    images, image_ids = _read_images(document, SourceMatcher(sources), problems)
    objects = _read_annotations(document, images, image_ids, categories, problems)
    problems.raise_if_any()
    frames = (
        LabeledFrame(
            frame_id=image.frame_id,
            source=image.source.source,
            frame_index=image.frame_index,
            width=image.canvas.width,
            height=image.canvas.height,
            boxes_xyxy=tuple(objects[image_id].boxes_xyxy),
            categories=tuple(objects[image_id].categories),
            iscrowd=tuple(objects[image_id].iscrowd),
            segmentations=tuple(objects[image_id].segmentations),
            label_file=str(path.absolute()),
            label_file_sha256=sha256,
        )
        for image_id, image in images.items()
    )
    names = tuple(name for _, name in sorted(categories.items()))
    return LabelSet(names, tuple(sorted(frames, key=lambda frame: frame.frame_id)))


def _load(path: Path, problems: Problems) -> tuple[dict[str, Any], str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a COCO JSON file") from error
    try:
        # utf-8-sig: tools on Windows begin the file with a byte order mark.
        document = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise problems.fatal("not-json", f"not JSON ({error or 'empty'})") from error
    if not isinstance(document, dict):
        raise problems.fatal("not-coco", f"a JSON {type_name(document)}, not an object")
    missing = [key for key in _KEYS if key not in document]
    if missing:
        raise problems.fatal("not-coco", f"the key {missing[0]!r} is missing")
    for key in _KEYS:
        if not isinstance(document[key], list):
            raise problems.fatal("not-coco", f"{key!r} is a JSON {type_name(document[key])}, not a list")
    if not isinstance(document.get("videos") or [], list):
        raise problems.fatal("not-coco", f"'videos' is a JSON {type_name(document['videos'])}, not a list")
    return document, hashlib.sha256(data).hexdigest()


def _read_categories(document: dict[str, Any], problems: Problems) -> dict[int, str]:
    categories: dict[int, str] = {}
    for id_, entry in entries(document, "categories", "category", problems):
        name = entry.get("name")
        if not is_text(name):
            problems.add("bad-category-name", f"category {id_}", f"name is {shown(name)}")
            name = ""
        elif name in categories.values():
            problems.add("duplicate-category-name", f"category {id_}", f"a second one is named {shown(name)}")
        # A category with a problem is kept, so that its annotations are not called unknown as well.
        categories[id_] = name
    return categories


def _read_images(
    document: dict[str, Any], matcher: SourceMatcher, problems: Problems
) -> tuple[dict[int, _Image], set[int]]:
    """The images whose frame was found, and the ids of all images."""
    videos = Videos(document, matcher, problems)
    images: dict[int, _Image] = {}
    frames: dict[str, int] = {}
    ids = set()
    for id_, entry in entries(document, "images", "image", problems):
        ids.add(id_)
        name = entry.get("file_name")
        subject = f"image {id_} {shown(name)}" if is_text(name) else f"image {id_}"
        found = find_frame(entry, subject, matcher, videos, problems)
        if found is None:
            continue
        source, index = found
        if source.kind == "video" and source.frames and index >= source.frames:
            detail = f"frame_index {index}, but {Path(source.path).name} has the frames 0 to {source.frames - 1}"
            problems.add("frame-index-out-of-range", subject, detail)
            continue
        canvas = canvas_of(entry, videos.entry(entry), subject, source, problems)
        if canvas is None:
            continue
        image = _Image(source, index, canvas)
        first = frames.setdefault(image.frame_id, id_)
        if first != id_:
            problems.add("two-images-for-one-frame", subject, f"the same frame as image {first}, {image.frame_id}")
        images[id_] = image
    return images, ids


def _read_annotations(
    document: dict[str, Any],
    images: dict[int, _Image],
    image_ids: set[int],
    categories: dict[int, str],
    problems: Problems,
) -> dict[int, _Objects]:
    objects: dict[int, _Objects] = defaultdict(_Objects)
    for id_, entry in entries(document, "annotations", "annotation", problems):
        subject = f"annotation {id_}"
        image_id, category_id = entry.get("image_id"), entry.get("category_id")
        if not is_whole(category_id) or category_id not in categories:
            detail = f"category_id is {shown(category_id)}, no category has that id"
            problems.add("unknown-category-id", subject, detail)
            continue
        if not is_whole(image_id) or image_id not in image_ids:
            problems.add("unknown-image-id", subject, f"image_id is {shown(image_id)}, no image has that id")
            continue
        box = parse_bbox(entry.get("bbox"))
        if box is None:
            problems.add("bad-bbox", subject, f"bbox is {shown(entry.get('bbox'))}")
        iscrowd = entry.get("iscrowd", 0)
        if iscrowd not in (0, 1):
            problems.add("bad-iscrowd", subject, f"iscrowd is {shown(iscrowd)}")
        if image_id not in images or box is None:
            continue
        canvas = images[image_id].canvas
        clipped = to_source(box, canvas)
        if clipped is None:
            detail = f"bbox is {shown(entry['bbox'])}, outside its image of {canvas.file_width}x{canvas.file_height}"
            problems.add("bbox-outside", subject, detail)
            continue
        segmentation = parse_segmentation(entry.get("segmentation"), canvas)
        if segmentation is None:
            problems.add("bad-segmentation", subject, f"segmentation is {shown(entry['segmentation'])}")
            continue
        into = objects[image_id]
        into.boxes_xyxy.append(clipped)
        into.categories.append(categories[category_id])
        into.iscrowd.append(bool(iscrowd))
        into.segmentations.append(segmentation)
    return objects
