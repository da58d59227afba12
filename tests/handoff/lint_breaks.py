"""For each rule of `curate lint` a way to break a good delivery in exactly that way."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from handoff.delivery import HEIGHT, WIDTH, Delivery, document, image
from PIL import Image

from curate.handoff.lint.document import MAX_BYTES


@dataclass(frozen=True)
class Break:
    """How a delivery is spoilt, what the finding's entry begins with, and which other rules find fault as well."""

    spoil: Callable[[Delivery], object]
    entry: str = ""
    others: frozenset[str] = frozenset()


def put(where: str, position: int, **values: Any) -> Callable[[Delivery], None]:
    def spoil(delivery: Delivery) -> None:
        delivery.content[where][position].update(values)

    return spoil


def drop(where: str, position: int, key: str) -> Callable[[Delivery], None]:
    return lambda delivery: delivery.content[where][position].pop(key)


def top(**values: Any) -> Callable[[Delivery], None]:
    return lambda delivery: delivery.content.update(values)


def raw(make: Callable[[bytes], bytes]) -> Callable[[Delivery], None]:
    def spoil(delivery: Delivery) -> None:
        delivery.raw = make(json.dumps(delivery.content).encode())

    return spoil


def attribute(**values: Any) -> Callable[[Delivery], None]:
    def spoil(delivery: Delivery) -> None:
        for name, value in values.items():
            setattr(delivery, name, value)

    return spoil


def empty_lists(delivery: Delivery) -> None:
    delivery.content.update(images=[], annotations=[])


def huge(delivery: Delivery) -> None:
    """A file with a hole: it takes no space on disk, and nothing may read it."""
    delivery.write()
    with delivery.file.open("r+b") as file:
        file.truncate(MAX_BYTES + 1)
    delivery.write = lambda: delivery.file  # type: ignore[method-assign]


def a_jpeg(size_wh: tuple[int, int], orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    Image.new("RGB", size_wh, "blue").save(data, "JPEG", exif=exif)
    return data.getvalue()


def picture(data: bytes) -> Callable[[Delivery], None]:
    def spoil(delivery: Delivery) -> None:
        name = (delivery.pictures / document()["images"][1]["file_name"]).relative_to(delivery.folder)
        delivery.extra[str(name)] = data

    return spoil


def without_pictures(*positions: int) -> Callable[[Delivery], None]:
    def spoil(delivery: Delivery) -> None:
        for position in positions:
            name = document()["images"][position]["file_name"]
            delivery.without.add(str((delivery.pictures / name).relative_to(delivery.folder)))

    return spoil


def other_split(delivery: Delivery) -> None:
    """The same video in training and validation, in the receiver's own way to name splits."""
    other = document()
    other["images"] = [image(1, "a-11111111_f00000030.jpg", 30)]
    other["annotations"] = []
    path = delivery.file.relative_to(delivery.folder)
    delivery.folder = delivery.folder / "train"
    twin = delivery.folder.parent / "val" / path
    twin.parent.mkdir(parents=True)
    twin.write_text(json.dumps(other))


def renamed(name: str) -> Callable[[Delivery], None]:
    """A picture by another name, on disk as well."""

    def spoil(delivery: Delivery) -> None:
        delivery.content["images"][1]["file_name"] = name
        path = (delivery.pictures / name.replace("\\", "/")).relative_to(delivery.folder)
        delivery.extra[str(path)] = a_jpeg((WIDTH, HEIGHT))

    return spoil


def second_entry(name: str) -> Callable[[Delivery], None]:
    def spoil(delivery: Delivery) -> None:
        delivery.content["images"].append(image(3, name, 9))
        path = (delivery.pictures / name).relative_to(delivery.folder)
        delivery.extra[str(path)] = a_jpeg((WIDTH, HEIGHT))

    return spoil


def zero_category(delivery: Delivery) -> None:
    for n, category in enumerate(delivery.content["categories"]):
        category["id"] = n
    for n, annotation in enumerate(delivery.content["annotations"]):
        annotation["category_id"] = n


def zero_image(delivery: Delivery) -> None:
    delivery.content["images"][0]["id"] = 0
    delivery.content["annotations"][0]["image_id"] = 0


def gap_in_categories(delivery: Delivery) -> None:
    delivery.content["categories"][1]["id"] = 7
    delivery.content["annotations"][1]["category_id"] = 7


RLE = {"size": [HEIGHT, WIDTH], "counts": [0, 5, WIDTH * HEIGHT - 5]}
SECOND = "a-11111111_f00000009"

BREAKS: dict[str, Break] = {
    "too-large": Break(huge),
    "not-utf8": Break(raw(lambda data: data.replace(b'"car"', b'"caf\xe9"'))),
    "bom": Break(raw(lambda data: b"\xef\xbb\xbf" + data)),
    "not-json": Break(raw(lambda data: data[:-40])),
    "too-deep": Break(raw(lambda _: b'{"images": ' + b"[" * 200_000)),
    "not-coco": Break(lambda delivery: delivery.content.pop("annotations"), "annotations"),
    "nan": Break(put("images", 1, uncertainty=float("nan")), "image 2"),
    "missing-info": Break(lambda delivery: delivery.content.pop("info"), "info"),
    "missing-licenses": Break(top(licenses=[]), "licenses"),
    "no-run-id": Break(top(info={}), "info"),
    "bad-entry": Break(lambda delivery: delivery.content["annotations"].append(7), "annotations number 3"),
    "string-id": Break(put("annotations", 1, image_id="2"), "annotation 2"),
    "bad-id": Break(put("annotations", 1, id=None), "annotation number 2"),
    "duplicate-image-id": Break(
        lambda delivery: delivery.content["images"].append(image(2, "b.jpg", 1)),
        "image 2",
        frozenset({"missing-picture"}),
    ),
    "duplicate-category-id": Break(
        lambda delivery: delivery.content["categories"].append({"id": 2, "name": "van", "supercategory": "object"}),
        "category 2",
    ),
    "duplicate-annotation-id": Break(put("annotations", 1, id=1), "annotation 1"),
    "category-zero": Break(zero_category, "category 0"),
    "id-below-one": Break(zero_image, "image 0"),
    "categories-not-contiguous": Break(gap_in_categories, "categories"),
    "unknown-image-id": Break(put("annotations", 0, image_id=9), "annotation 1"),
    "unknown-category-id": Break(put("annotations", 0, category_id=9), "annotation 1"),
    "unknown-license": Break(put("images", 0, license=5), "image 1"),
    "no-categories": Break(
        lambda delivery: delivery.content.update(categories=[], annotations=[]),
        "categories",
    ),
    "bad-category-name": Break(put("categories", 0, name=" "), "category 1"),
    "duplicate-category-name": Break(put("categories", 1, name="car"), "category 2"),
    "padded-category-name": Break(put("categories", 1, name="car "), "category 2"),
    "missing-supercategory": Break(drop("categories", 1, "supercategory"), "category 2"),
    "no-images": Break(empty_lists, "images"),
    "bad-file-name": Break(put("images", 1, file_name="half \ud800"), "image 2"),
    "absolute-path": Break(put("images", 1, file_name="/data/a-11111111_f00000009.jpg"), "image 2"),
    "path-outside": Break(put("images", 1, file_name="x/../../a-11111111_f00000009.jpg"), "image 2"),
    "backslash": Break(renamed("b\\c.jpg"), "image 2"),
    "non-ascii-name": Break(renamed("gr\u00fcn.jpg"), "image 2"),
    "blank-in-name": Break(renamed("a b.jpg"), "image 2"),
    "duplicate-file-name": Break(
        lambda delivery: delivery.content["images"].append(image(3, f"{SECOND}.jpg", 9)), "image 3"
    ),
    "duplicate-stem": Break(second_entry(f"{SECOND}.png"), "image 3"),
    "video-file": Break(put("images", 1, file_name="a.mp4"), "image 2", frozenset({"missing-picture"})),
    "bad-image-size": Break(put("images", 1, width=40.5), "image 2"),
    "missing-provenance": Break(drop("images", 1, "rank"), "image 2"),
    "bad-frame-index": Break(put("images", 1, frame_index=-1), "image 2"),
    "bad-bbox": Break(put("annotations", 0, bbox=[1, 2, 3]), "annotation 1"),
    "empty-bbox": Break(put("annotations", 0, bbox=[1, 2, -3, 4]), "annotation 1"),
    "bbox-outside": Break(put("annotations", 0, bbox=[45, 2, 3, 4]), "annotation 1"),
    "bbox-past-edge": Break(put("annotations", 0, bbox=[30, 0, 20, 30]), "annotation 1"),
    "missing-iscrowd": Break(drop("annotations", 0, "iscrowd"), "annotation 1"),
    "bad-iscrowd": Break(put("annotations", 0, iscrowd=True), "annotation 1"),
    "bad-area": Break(put("annotations", 0, area=0), "annotation 1"),
    "bad-score": Break(put("annotations", 0, score=75), "annotation 1"),
    "missing-score": Break(drop("annotations", 0, "score"), "annotation 1"),
    "score-lost": Break(attribute(without={"tasks.json"}), "annotation 1"),
    "bad-segmentation": Break(put("annotations", 1, segmentation=[2, 2, 12, 2, 12, 8]), "annotation 2"),
    "short-polygon": Break(put("annotations", 1, segmentation=[[2, 2, 12, 8]]), "annotation 2"),
    "bbox-differs-from-polygon": Break(put("annotations", 1, segmentation=[[2, 2, 12, 2, 12, 20]]), "annotation 2"),
    "bad-rle": Break(put("annotations", 1, segmentation=RLE | {"counts": [3, 4]}), "annotation 2", frozenset({"rle"})),
    "wrong-rle-size": Break(
        put("annotations", 1, segmentation=RLE | {"size": [WIDTH, HEIGHT]}), "annotation 2", frozenset({"rle"})
    ),
    "rle": Break(put("annotations", 1, segmentation=RLE, iscrowd=1), "annotation 2"),
    "many-polygons": Break(
        put("annotations", 1, segmentation=[[2, 2, 5, 2, 5, 8], [8, 2, 12, 2, 12, 8]]), "annotation 2"
    ),
    "no-pictures": Break(without_pictures(0, 1), "images"),
    "missing-picture": Break(without_pictures(1), "image 2"),
    "broken-picture": Break(picture(b"\xff\xd8\xff no picture"), "image 2"),
    "wrong-size": Break(picture(a_jpeg((WIDTH * 2, HEIGHT * 2))), "image 2"),
    "turned-picture": Break(picture(a_jpeg((WIDTH, HEIGHT), orientation=6)), "image 2"),
    "cvat-layout": Break(attribute(name="annotations/default.json")),
    "roboflow-layout": Break(attribute(name="images/annotations.json")),
    "supervisely-layout": Break(attribute(name="dataset/annotations/dataset.json")),
    "no-cvat-labels": Break(attribute(without={"labels.json"})),
    "no-label-config": Break(attribute(without={"label_config.xml"})),
    "no-manifest": Break(attribute(without={"manifest.json"})),
    "no-checksums": Break(attribute(without={"SHA256SUMS"})),
    "changed-file": Break(attribute(after_checksums=b"\n")),
    "split-by-frame": Break(other_split),
}
