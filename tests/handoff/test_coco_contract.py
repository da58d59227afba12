"""The COCO file that is handed over keeps the rules that receivers need, one test a rule."""

import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from handoff.handover import PREDICTIONS, SELECTION, SOURCES, Handover
from PIL import Image
from pycocotools.coco import COCO

from curate.labels.coco import read_coco


@pytest.fixture(params=[True, False], ids=["with-predictions", "without"])
def folder(request: pytest.FixtureRequest, handover: Handover) -> Path:
    return handover.export(predictions=PREDICTIONS if request.param else None).folder


@pytest.fixture
def document(folder: Path) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads((folder / "annotations.json").read_text(), parse_constant=refuse)


def test_1_all_five_keys(document: dict[str, Any]) -> None:
    assert set(document) == {"info", "licenses", "images", "annotations", "categories"}
    assert document["info"]["run_id"] == "run-1"
    assert document["licenses"]
    assert {image["license"] for image in document["images"]} == {document["licenses"][0]["id"]}


def test_2_whole_ids_from_1(document: dict[str, Any]) -> None:
    for key in ("licenses", "images", "annotations", "categories"):
        ids = [entry["id"] for entry in document[key]]
        assert ids == list(range(1, len(ids) + 1))
        assert all(type(id_) is int for id_ in ids)
    assert [category["name"] for category in document["categories"]] == ["car", "bus", "bicycle"]
    assert all(category["supercategory"] for category in document["categories"])


def test_3_file_names(document: dict[str, Any], folder: Path) -> None:
    names = [image["file_name"] for image in document["images"]]
    assert names == ["clip_1-11111111_f00000042.jpg", "photo-33333333.jpg", "clip_1-11111111_f00000007.jpg"]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+\.jpg", name) for name in names)
    assert len({Path(name).stem for name in names}) == len(names)
    assert sorted(path.name for path in (folder / "images").iterdir()) == sorted(names)


def test_4_sizes_are_those_of_the_pixels(document: dict[str, Any], folder: Path) -> None:
    for image in document["images"]:
        with Image.open(folder / "images" / image["file_name"]) as picture:
            assert (image["width"], image["height"]) == picture.size
            assert 274 not in picture.getexif()  # EXIF orientation


def test_5_boxes(handover: Handover) -> None:
    folder = handover.export(predictions=PREDICTIONS).folder
    document = json.loads((folder / "annotations.json").read_text())
    images = {image["id"]: image for image in document["images"]}
    assert len(document["annotations"]) == 3  # the one outside its image is not handed over
    for annotation in document["annotations"]:
        x, y, width, height = annotation["bbox"]
        image = images[annotation["image_id"]]
        assert min(x, y) >= 0
        assert min(width, height) > 0
        assert x + width <= image["width"]
        assert y + height <= image["height"]
        assert annotation["area"] == width * height > 0
        assert annotation["iscrowd"] == 0
    assert document["annotations"][0]["bbox"] == [0, 90, 200, 10]


def test_6_no_polygon_hides_a_box(document: dict[str, Any]) -> None:
    assert all(annotation["segmentation"] == [] for annotation in document["annotations"])


def test_7_score_on_pre_annotations(handover: Handover) -> None:
    folder = handover.export(predictions=PREDICTIONS).folder
    annotations = json.loads((folder / "annotations.json").read_text())["annotations"]
    assert [(annotation["image_id"], annotation["score"]) for annotation in annotations] == [(1, 0.9), (1, 0.4), (2, 1)]


def test_8_provenance(document: dict[str, Any]) -> None:
    video, still, other = document["images"]
    assert {key: video[key] for key in video if key not in ("id", "file_name", "width", "height", "license")} == {
        "video": "clip 1.mp4",
        "video_sha256": "1" * 64,
        "source_sha256": "1" * 64,
        "frame_index": 42,
        "timestamp_s": 1.68,
        "time_base": "1/12800",
        "rank": 1,
        "uncertainty": 0.75,
        "reason": "why 1",
    }
    assert (still["video"], still["video_sha256"], still["frame_index"], still["uncertainty"]) == (None, None, 0, None)
    assert (still["source_sha256"], still["time_base"]) == ("3" * 64, None)
    assert (other["rank"], other["uncertainty"]) == (3, None)


def test_9_without_labels_the_same_file(handover: Handover) -> None:
    empty = json.loads((handover.export().folder / "annotations.json").read_text())
    full = json.loads((handover.export(predictions=PREDICTIONS).folder / "annotations.json").read_text())
    assert empty["annotations"] == []
    assert {**full, "annotations": []} == empty


def test_pycocotools_loads_it(handover: Handover) -> None:
    folder = handover.export(predictions=PREDICTIONS).folder
    coco = COCO(str(folder / "annotations.json"))
    assert len(coco.getImgIds()) == 3
    assert len(coco.getAnnIds(imgIds=[1], iscrowd=False)) == 2
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["car", "bus", "bicycle"]


def test_round_trip(handover: Handover) -> None:
    folder = handover.export(predictions=PREDICTIONS).folder
    labels = read_coco(folder / "annotations.json", SOURCES.values())
    assert labels.categories == ("car", "bus", "bicycle")
    assert {frame.frame_id for frame in labels.frames} == {frame.frame_id for frame in SELECTION}
    frames = {frame.frame_id: frame for frame in labels.frames}
    video = frames["clip_1-11111111:00000042"]
    assert video.categories == ("bus", "car")
    assert video.segmentations == ("", "")
    expected = [(0, 90, 200, 100), (10.123, 20.456, 60.789, 80.1)]
    for box, wanted in zip(video.boxes_xyxy, expected, strict=True):
        assert all(math.isclose(a, b, abs_tol=0.01) for a, b in zip(box, wanted, strict=True))
    assert frames["clip_1-11111111:00000007"].boxes_xyxy == ()


def test_every_box_comes_back_within_a_hundredth_of_a_pixel(handover: Handover) -> None:
    boxes = [(n / 7, n / 13, n / 7 + 0.3 + n / 3, n / 13 + 0.2 + n / 9) for n in range(200)]
    predictions = {"clip_1-11111111:00000042": [(box, "car", 1 - n / 1000) for n, box in enumerate(boxes)]}
    folder = handover.export(predictions=predictions).folder
    labels = read_coco(folder / "annotations.json", SOURCES.values())
    returned = next(frame for frame in labels.frames if frame.frame_index == 42).boxes_xyxy
    assert len(returned) == len(boxes)
    for box, (x1, y1, x2, y2) in zip(returned, boxes, strict=True):
        assert max(abs(a - b) for a, b in zip(box, (x1, y1, min(x2, 200), min(y2, 100)), strict=True)) < 0.01


def test_images_are_in_order_of_rank(document: dict[str, Any]) -> None:
    assert all(a["rank"] < b["rank"] for a, b in pairwise(document["images"]))
