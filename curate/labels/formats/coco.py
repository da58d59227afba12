"""COCO detection files (images) and CocoVID files (frames of videos), as CVAT, Label Studio, Roboflow, Supervisely and
others write them: one JSON file, or one a split or dataset in a folder."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from curate.labels.bundle import Bundle
from curate.labels.geometry import parse_bbox
from curate.labels.problems import Problems
from curate.labels.returned import Returned, ReturnedImage, ReturnedObject, ReturnedVideo
from curate.labels.values import entries, is_text, is_whole, shown, type_name

DESCRIPTION = "COCO or CocoVID JSON: CVAT, Label Studio, Roboflow, Supervisely, FiftyOne"
_KEYS = ("images", "annotations", "categories")


def find(bundle: Bundle) -> list[str]:
    """A single file that begins as JSON does; in a folder the JSON files with the three lists of COCO.

    The other JSON files of a folder (a manifest, captions, notes) are not label files. Where there is but one, it is
    taken whatever is in it, so that what is wrong with it is told.
    """
    if bundle.single:
        (name,) = bundle.names
        is_json = PurePosixPath(name).suffix.lower() == ".json" or bundle.head(name).lstrip()[:1] in (b"{", b"[")
        return [name] if is_json else []
    names = [name for name in bundle.names if PurePosixPath(name).suffix.lower() == ".json"]
    if len(names) == 1 and names[0] != "notes.json" and len(bundle.names) == 1:
        return names
    return [name for name in names if has_the_lists(bundle.read(name))]


def read(bundle: Bundle, names: Sequence[str], problems: Problems) -> Returned:
    """Read each file; ids count within a file, classes are the same where their names are."""
    categories: list[str] = []
    images: list[ReturnedImage] = []
    for name in names:
        with problems.inside(bundle.place(name)):
            data = bundle.read(name)
            sha256 = hashlib.sha256(data).hexdigest()
            document = _parse(data, problems)
            of_ids = _read_categories(document, problems)
            found = _read_images(document, problems)
            for image in found.values():
                image.place, image.label_file = bundle.place(name), bundle.label_file(name)
                image.label_file_sha256 = sha256
            _read_annotations(document, found, of_ids, problems)
        categories += [category for _, category in sorted(of_ids.items())]
        images += found.values()
    return Returned(tuple(dict.fromkeys(categories)), tuple(images))


def has_the_lists(data: bytes) -> bool:
    """Whether a file looks like COCO, without being parsed."""
    return all(re.search(rb'"%s"\s*:\s*\[' % key.encode(), data) for key in _KEYS)


def _parse(data: bytes, problems: Problems) -> dict[str, Any]:
    try:
        # utf-8-sig: tools on Windows begin the file with a byte order mark.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise problems.fatal("not-utf8", f"not UTF-8 text ({error.reason} at byte {error.start:,})") from error
    try:
        document = json.loads(text)
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
    return document


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


def _read_images(document: dict[str, Any], problems: Problems) -> dict[int, ReturnedImage]:
    entry_of = dict(entries(document, "videos", "video", problems))
    videos = {
        id_: ReturnedVideo(id_, tuple(entry.get(key) for key in ("file_name", "name")))
        for id_, entry in entry_of.items()
    }
    images: dict[int, ReturnedImage] = {}
    for id_, entry in entries(document, "images", "image", problems):
        name, video_id = entry.get("file_name"), entry.get("video_id")
        video, of_video = ReturnedVideo(video_id, None), dict[str, Any]()
        if is_whole(video_id) and video_id in videos:
            video, of_video = videos[video_id], entry_of[video_id]
        sizes = [(one.get("width"), one.get("height")) for one in (entry, of_video)]
        images[id_] = ReturnedImage(
            subject=f"image {id_} {shown(name)}" if is_text(name) else f"image {id_}",
            file_name=name,
            size_wh=next((size for size in sizes if size != (None, None)), (None, None)),
            place="",
            label_file="",
            label_file_sha256="",
            video=None if video_id is None else video,
            frame_index=entry.get("frame_index"),
        )
    return images


def _read_annotations(
    document: dict[str, Any], images: dict[int, ReturnedImage], categories: dict[int, str], problems: Problems
) -> None:
    """Put the objects to their images."""
    for id_, entry in entries(document, "annotations", "annotation", problems):
        subject = f"annotation {id_}"
        image_id, category_id = entry.get("image_id"), entry.get("category_id")
        if not is_whole(category_id) or category_id not in categories:
            detail = f"category_id is {shown(category_id)}, no category has that id"
            problems.add("unknown-category-id", subject, detail)
            continue
        if not is_whole(image_id) or image_id not in images:
            problems.add("unknown-image-id", subject, f"image_id is {shown(image_id)}, no image has that id")
            continue
        box, stated = parse_bbox(entry.get("bbox")), f"bbox is {shown(entry.get('bbox'))}"
        if box is None:
            problems.add("bad-bbox", subject, stated)
        iscrowd = entry.get("iscrowd", 0)
        if iscrowd not in (0, 1):
            problems.add("bad-iscrowd", subject, f"iscrowd is {shown(iscrowd)}")
        if box is None:
            continue
        object_ = ReturnedObject(
            subject, stated, categories[category_id], box, bool(iscrowd), entry.get("segmentation")
        )
        images[image_id].objects.append(object_)
