"""What COCO and CocoVID files become, and the line that each bad one ends in."""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask
import pytest

from curate.errors import CurateError, UsageError
from curate.labels.coco import read_coco
from curate.labels.problems import ADVICE, LabelError
from curate.labels.types import LabelSet
from curate.types import Source

CLIP = Source("clip-11111111", "/data/videos/clip.mp4", "1" * 64, 1, 1, "video", 200, 100, frames=10)
ENDLESS = Source("endless-22222222", "/data/videos/endless.mkv", "2" * 64, 1, 1, "video", 200, 100)
PHOTO = Source("photo-33333333", "/data/images/photo.png", "3" * 64, 1, 1, "image", 640, 480)
TWIN_A = Source("twin-44444444", "/data/a/twin.jpg", "4" * 64, 1, 1, "image", 64, 64)
TWIN_B = Source("twin-55555555", "/data/b/twin.jpg", "5" * 64, 1, 1, "image", 64, 64)
SOURCES = (CLIP, ENDLESS, PHOTO, TWIN_A, TWIN_B)

GOOD: dict[str, Any] = {
    "videos": [{"id": 1, "file_name": "clip.mp4"}],
    "images": [
        {"id": 1, "video_id": 1, "frame_index": 4, "width": 200, "height": 100},
        {"id": 2, "video_id": 1, "frame_index": 9, "width": 200, "height": 100},
        {"id": 3, "file_name": "photo.png", "width": 640, "height": 480},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 20, 30, 40], "iscrowd": 0},
        {"id": 2, "image_id": 3, "category_id": 2, "bbox": [0.5, 0.25, 10, 10], "iscrowd": 1},
        {"id": 3, "image_id": 3, "category_id": 7, "bbox": [1, 1, 2, 2], "segmentation": [[1, 1, 3, 1, 3, 3]]},
    ],
    "categories": [{"id": 7, "name": "car"}, {"id": 2, "name": "bus"}],
}


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def read(tmp_path: Path, document: Any) -> LabelSet:
    return read_coco(write(tmp_path / "labels.json", document), SOURCES)


def image(**keys: Any) -> dict[str, Any]:
    """A document with one image and no objects."""
    return {"videos": GOOD["videos"], "images": [{"id": 1, **keys}], "annotations": [], "categories": []}


def test_nothing_labeled(tmp_path: Path) -> None:
    assert read(tmp_path, {"images": [], "annotations": [], "categories": []}) == LabelSet((), ())


def test_images_and_frames_of_videos(tmp_path: Path) -> None:
    labels = read(tmp_path, GOOD)
    assert labels.categories == ("bus", "car")
    by_id = {frame.frame_id: frame for frame in labels.frames}
    assert sorted(by_id) == ["clip-11111111:00000004", "clip-11111111:00000009", "photo-33333333"]
    first = by_id["clip-11111111:00000004"]
    assert (first.source, first.frame_index, first.width, first.height) == ("clip-11111111", 4, 200, 100)
    assert (first.boxes_xyxy, first.categories, first.iscrowd) == (((10, 20, 40, 60),), ("car",), (False,))
    assert first.label_file == str(tmp_path / "labels.json")
    assert first.label_file_sha256 == hashlib.sha256((tmp_path / "labels.json").read_bytes()).hexdigest()
    assert by_id["clip-11111111:00000009"].boxes_xyxy == ()
    photo = by_id["photo-33333333"]
    assert photo.boxes_xyxy == ((0.5, 0.25, 10.5, 10.25), (1, 1, 3, 3))
    assert photo.categories == ("bus", "car")
    assert photo.iscrowd == (True, False)
    assert photo.segmentations[0] == ""
    assert json.loads(photo.segmentations[1]) == [[1, 1, 3, 1, 3, 3]]


@pytest.mark.parametrize(
    ("file_name", "frame_id"),
    [
        ("clip-11111111_f00000003.jpg", "clip-11111111:00000003"),
        ("images/default/clip-11111111_f00000003.png", "clip-11111111:00000003"),
        ("photo-33333333.jpg", "photo-33333333"),
        ("photo.png", "photo-33333333"),
        ("elsewhere/photo.png", "photo-33333333"),
        ("photo.jpg", "photo-33333333"),
        ("photo", "photo-33333333"),
        ("a/twin.jpg", "twin-44444444"),
        ("C:\\work\\b\\twin.jpg", "twin-55555555"),
    ],
)
def test_images_are_matched_by_name(tmp_path: Path, file_name: str, frame_id: str) -> None:
    assert [frame.frame_id for frame in read(tmp_path, image(file_name=file_name)).frames] == [frame_id]


@pytest.mark.parametrize("names", [{"file_name": "videos/clip.mp4"}, {"name": "clip"}, {"name": "clip-11111111"}])
def test_videos_are_matched_by_name(tmp_path: Path, names: dict[str, str]) -> None:
    document = image(video_id=5, frame_index=0) | {"videos": [{"id": 5, **names}]}
    assert [frame.frame_id for frame in read(tmp_path, document).frames] == ["clip-11111111:00000000"]


def test_a_video_without_images_need_not_be_there(tmp_path: Path) -> None:
    document = copy.deepcopy(GOOD)
    document["videos"].append({"id": 2, "file_name": "elsewhere.mp4"})
    assert len(read(tmp_path, document).frames) == 3


def test_frames_of_a_video_of_unknown_length(tmp_path: Path) -> None:
    document = image(video_id=1, frame_index=5000) | {"videos": [{"id": 1, "file_name": "endless.mkv"}]}
    assert read(tmp_path, document).frames[0].frame_index == 5000


def test_names_are_compared_composed(tmp_path: Path) -> None:
    source = Source("x-66666666", "/data/cafe\u0301.jpg", "6" * 64, 1, 1, "image", 8, 8)
    path = write(tmp_path / "labels.json", image(file_name="caf\u00e9.jpg"))
    assert read_coco(path, [source]).frames[0].frame_id == "x-66666666"


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())
    assert len(read_coco(path, SOURCES).frames) == 3


def test_boxes_partly_outside_are_clipped(tmp_path: Path) -> None:
    document = copy.deepcopy(GOOD)
    document["annotations"] = [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [-5, 90, 300, 1e308]}]
    assert read(tmp_path, document).frames[0].boxes_xyxy == ((0, 90, 200, 100),)


def test_another_scale_is_brought_to_the_sources_size(tmp_path: Path) -> None:
    document = copy.deepcopy(GOOD)
    document["images"][2] |= {"width": 320, "height": 240}
    photo = read(tmp_path, document).frames[2]
    assert (photo.width, photo.height) == (640, 480)
    assert photo.boxes_xyxy == ((1, 0.5, 21, 20.5), (2, 2, 6, 6))
    assert json.loads(photo.segmentations[1]) == [[2, 2, 6, 2, 6, 6]]


def test_a_scale_that_was_rounded_to_pixels_is_a_scale(tmp_path: Path) -> None:
    assert read(tmp_path, image(file_name="photo.png", width=333, height=250)).frames[0].width == 640


def test_each_axis_has_its_own_scale(tmp_path: Path) -> None:
    document = image(file_name="photo.png", width=333, height=250) | {"categories": GOOD["categories"]}
    corners = {"bbox": [0, 0, 333, 250], "segmentation": [[0, 0, 333, 250, 0, 250]]}
    document["annotations"] = [{"id": 1, "image_id": 1, "category_id": 7, **corners}]
    photo = read(tmp_path, document).frames[0]
    assert photo.boxes_xyxy[0] == pytest.approx((0, 0, 640, 480))
    assert json.loads(photo.segmentations[0])[0] == pytest.approx([0, 0, 640, 480, 0, 480])


def test_without_a_size_boxes_are_in_the_sources_pixels(tmp_path: Path) -> None:
    assert read(tmp_path, image(file_name="photo.png")).frames[0].height == 480


def runs(form: str) -> Any:
    """The run lengths of a random mask of 200x100 pixels, as a list or in COCO's compressed form."""
    pixels = np.asfortranarray(np.random.default_rng(0).random((100, 200)) < 0.1, np.uint8)
    if form == "text":
        return pycocotools.mask.encode(pixels)["counts"].decode()
    ends = np.flatnonzero(np.diff(pixels.ravel("F"), prepend=0, append=2))
    return [int(length) for length in np.diff(ends, prepend=0)]


@pytest.mark.parametrize("form", ["text", "list"])
def test_rle_of_the_images_size_is_kept(tmp_path: Path, form: str) -> None:
    document = copy.deepcopy(GOOD)
    counts = runs(form)
    document["annotations"][0]["segmentation"] = {"size": [100, 200], "counts": counts}
    kept = json.loads(read(tmp_path, document).frames[0].segmentations[0])
    assert kept == {"size": [100, 200], "counts": counts}
    document["annotations"][0]["segmentation"]["counts"] = counts[:-1]
    with pytest.raises(LabelError, match="bad-segmentation"):
        read(tmp_path, document)


def change(section: str, position: int, **keys: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document[section][position].update(keys)


def append(section: str, entry: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document[section].append(entry)


def bbox(*numbers: Any) -> Callable[[dict[str, Any]], None]:
    return change("annotations", 0, bbox=list(numbers))


NAN, INFINITE = float("nan"), float("inf")

# what is done to the good file, the kind of problem, and what the message must say
BAD: list[tuple[Callable[[dict[str, Any]], Any], str, list[str]]] = [
    (lambda d: d.pop("images"), "not-coco", ["'images' is missing"]),
    (lambda d: d.update(categories={}), "not-coco", ["'categories' is a JSON object, not a list"]),
    (lambda d: d.update(videos=3), "not-coco", ["'videos' is a JSON number"]),
    (append("images", "photo.png"), "bad-entry", ["image number 4 of the list: a JSON string"]),
    (change("images", 0, id="1"), "bad-id", ['id is "1"']),
    (change("annotations", 0, id=None), "bad-id", ["annotation number 1 of the list", "id is null"]),
    (change("categories", 0, id=True), "bad-id", ["id is true"]),
    (change("images", 1, id=1), "duplicate-image-id", ["image 1: more than one"]),
    (change("annotations", 1, id=1), "duplicate-annotation-id", ["annotation 1: more than one"]),
    (change("categories", 1, id=7), "duplicate-category-id", ["category 7: more than one"]),
    (append("videos", {"id": 1}), "duplicate-video-id", ["video 1: more than one"]),
    (change("categories", 0, name=" "), "bad-category-name", ['category 7: name is " "']),
    (change("categories", 0, name="\ud800"), "bad-category-name", ["category 7"]),
    (change("categories", 0, name="bus"), "duplicate-category-name", ['category 2: a second one is named "bus"']),
    (change("images", 2, file_name="other.png"), "unknown-image", ['image 3 "other.png": not among the sources']),
    (change("images", 2, file_name=None), "unknown-image", ["image 3: file_name is null"]),
    (change("images", 2, file_name="clip.mp4"), "unknown-image", ['image 3 "clip.mp4"']),
    (change("images", 2, file_name="clip-11111111.jpg"), "unknown-image", ["clip-11111111.jpg"]),
    (change("images", 2, file_name="c/twin.jpg"), "ambiguous-image", ["2 sources fit", "/a/twin.jpg", "/b/twin.jpg"]),
    (change("videos", 0, file_name="other.mp4"), "unknown-video", ['video 1 "other.mp4": not among the sources']),
    (change("images", 0, video_id=9), "unknown-video-id", ["image 1: video_id is 9"]),
    (change("images", 0, frame_index=None), "bad-frame-index", ["image 1: frame_index is null"]),
    (change("images", 0, frame_index=-1), "bad-frame-index", ["frame_index is -1"]),
    (change("images", 0, frame_index=2.5), "bad-frame-index", ["frame_index is 2.5"]),
    (change("images", 0, frame_index=10), "frame-index-out-of-range", ["frame_index 10", "clip.mp4", "0 to 9"]),
    (change("images", 2, file_name="clip-11111111_f00000010.jpg"), "frame-index-out-of-range", ["frame_index 10"]),
    (change("images", 1, frame_index=4), "two-images-for-one-frame", ["image 2", "image 1", ":00000004"]),
    (change("images", 2, width=0), "bad-image-size", ["image 3", "width 0, height 480"]),
    (change("images", 2, height=None), "bad-image-size", ["width 640, height null"]),
    (change("images", 2, width=640, height=400), "wrong-image-size", ["640x400 in the file", "640x480"]),
    (change("images", 2, width=480, height=640), "wrong-image-size", ["480x640", "sides are swapped"]),
    (change("annotations", 0, image_id=99), "unknown-image-id", ["annotation 1: image_id is 99"]),
    (change("annotations", 0, category_id=1), "unknown-category-id", ["annotation 1: category_id is 1"]),
    (bbox(NAN, 1, 2, 3), "bad-bbox", ["annotation 1: bbox is [NaN, 1, 2, 3]"]),
    (bbox(1, 1, INFINITE, 3), "bad-bbox", ["Infinity"]),
    (bbox(1, 1, 10**400, 3), "bad-bbox", ["annotation 1"]),
    (bbox(1, 1, -2, 3), "bad-bbox", ["[1, 1, -2, 3]"]),
    (bbox(1, 1, 2, 0), "bad-bbox", ["[1, 1, 2, 0]"]),
    (bbox(1, 1, 2), "bad-bbox", ["[1, 1, 2]"]),
    (bbox(1, 1, "2", 3), "bad-bbox", ['"2"']),
    (bbox(1, 1, True, 3), "bad-bbox", ["true"]),
    (change("annotations", 0, bbox=None), "bad-bbox", ["bbox is null"]),
    (bbox(200, 10, 5, 5), "bbox-outside", ["[200, 10, 5, 5]", "200x100"]),
    (bbox(10, -50, 5, 50), "bbox-outside", ["annotation 1"]),
    (change("annotations", 0, iscrowd=2), "bad-iscrowd", ["iscrowd is 2"]),
    (change("annotations", 0, segmentation=[[1, 2, 3, 4]]), "bad-segmentation", ["[[1, 2, 3, 4]]"]),
    (change("annotations", 0, segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "bad-segmentation", ["annotation 1"]),
    (change("annotations", 0, segmentation=[[1, 2, 3, 4, 5, NAN]]), "bad-segmentation", ["NaN"]),
    (change("annotations", 0, segmentation={"size": [200, 100], "counts": "0"}), "bad-segmentation", ["[200, 100]"]),
    (change("annotations", 0, segmentation={"size": [100, 200], "counts": [5]}), "bad-segmentation", ["[5]"]),
]


@pytest.mark.parametrize(("spoil", "kind", "said"), BAD, ids=[f"{n}-{bad[1]}" for n, bad in enumerate(BAD)])
def test_bad_file(tmp_path: Path, spoil: Callable[[dict[str, Any]], Any], kind: str, said: list[str]) -> None:
    document = copy.deepcopy(GOOD)
    spoil(document)
    with pytest.raises(LabelError) as caught:
        read(tmp_path, document)
    assert [problem.kind for problem in caught.value.problems][:1] == [kind]
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'labels.json'}: ")
    assert ADVICE[kind] in message
    assert "\n" not in message
    for text in said:
        assert text in message


def test_ambiguous_video(tmp_path: Path) -> None:
    other = Source("clip-77777777", "/other/clip.mp4", "7" * 64, 1, 1, "video", 200, 100, frames=10)
    path = write(tmp_path / "labels.json", GOOD)
    with pytest.raises(LabelError, match=r"/data/videos/clip.mp4, /other/clip.mp4") as caught:
        read_coco(path, (*SOURCES, other))
    assert [problem.kind for problem in caught.value.problems] == ["ambiguous-video"]
    assert caught.value.problems[0].count == 1  # once a video, not once an image


@pytest.mark.parametrize("content", [b"", b"{", b"PK\x03\x04", b'{"images": [}', b"[" * 200_000])
def test_not_json(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.json"
    path.write_bytes(content)
    with pytest.raises(LabelError, match="not JSON"):
        read_coco(path, SOURCES)


@pytest.mark.parametrize("document", [[], "text", 3, None])
def test_not_an_object(tmp_path: Path, document: Any) -> None:
    with pytest.raises(LabelError, match="not an object"):
        read(tmp_path, document)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_coco(tmp_path / "none.json", SOURCES)
    with pytest.raises(UsageError, match="Is a directory"):
        read_coco(tmp_path, SOURCES)


def test_problems_are_counted_and_three_are_named(tmp_path: Path) -> None:
    document = copy.deepcopy(GOOD)
    document["images"][:0] = [{"id": 10 + n, "file_name": f"new{n}.jpg"} for n in range(5)]
    document["annotations"][0]["bbox"] = [300, 1, 5, 1]
    with pytest.raises(CurateError) as caught:
        read(tmp_path, document)
    message = str(caught.value)
    assert '(5 in all: image 10 "new0.jpg", image 11 "new1.jpg", image 12 "new2.jpg", ...)' in message
    assert message.endswith("also bbox-outside (1)")


def test_objects_of_a_refused_image_are_no_further_problem(tmp_path: Path) -> None:
    document = copy.deepcopy(GOOD)
    document["images"][2]["file_name"] = "other.png"
    with pytest.raises(LabelError) as caught:
        read(tmp_path, document)
    assert [problem.kind for problem in caught.value.problems] == ["unknown-image"]
