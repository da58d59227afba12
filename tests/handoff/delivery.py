"""A delivery without fault for each receiver: the COCO file at its place, pictures, manifest, checksums, labels."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from curate.handoff.folder import write_checksums

FILES = {
    "coco": ("annotations.json", "images"),
    "cvat": ("annotations/instances_default.json", "images/default"),
    "label-studio": ("annotations.json", "images"),
    "roboflow": ("images/_annotations.coco.json", "images"),
    "supervisely": ("dataset/annotations/instances.json", "dataset/images"),
}
WIDTH, HEIGHT = 40, 30


def image(id_: int, name: str, frame_index: int) -> dict[str, Any]:
    return {
        "id": id_,
        "file_name": name,
        "width": WIDTH,
        "height": HEIGHT,
        "license": 1,
        "video": "a.mp4",
        "video_sha256": "a" * 64,
        "frame_index": frame_index,
        "timestamp_s": frame_index / 25,
        "rank": id_,
        "uncertainty": 0.5,
        "reason": "midl: utility 1 of 2",
    }


def document() -> dict[str, Any]:
    polygon = [2, 2, 12, 2, 12, 8]
    return {
        "info": {"run_id": "run-1"},
        "licenses": [{"id": 1, "name": "not stated", "url": ""}],
        "categories": [{"id": n, "name": name, "supercategory": "object"} for n, name in ((1, "car"), (2, "bus"))],
        "images": [image(1, "a-11111111_f00000004.jpg", 4), image(2, "a-11111111_f00000009.jpg", 9)],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [0, 0, 20, 30],
                "area": 600,
                "segmentation": [],
                "iscrowd": 0,
                "score": 0.75,
            },
            {
                "id": 2,
                "image_id": 2,
                "category_id": 2,
                "bbox": [2, 2, 10, 6],
                "area": 30,
                "segmentation": [polygon],
                "iscrowd": 0,
                "score": 0.5,
            },
        ],
    }


@dataclass
class Delivery:
    """A delivery in memory, to be spoilt and then written. `raw` goes into the file as it is, if there is any."""

    folder: Path
    receiver: str
    content: Any = field(default_factory=document)
    raw: bytes | None = None
    name: str = ""
    extra: dict[str, bytes] = field(default_factory=dict)
    without: set[str] = field(default_factory=set)
    after_checksums: bytes = b""

    @property
    def file(self) -> Path:
        return self.folder / (self.name or FILES[self.receiver][0])

    @property
    def pictures(self) -> Path:
        return self.folder / FILES[self.receiver][1]

    def write(self) -> Path:
        """Write everything; the path of the COCO file."""
        self.pictures.mkdir(parents=True, exist_ok=True)
        for one in document()["images"]:
            Image.new("RGB", (WIDTH, HEIGHT), "red").save(self.pictures / one["file_name"])
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_bytes(self.raw if self.raw is not None else json.dumps(self.content).encode())
        files = {"manifest.json": b"{}", "labels.json": b"[]", "label_config.xml": b"<View/>", "tasks.json": b"[]"}
        for name, data in (files | self.extra).items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for name in self.without:
            (self.folder / name).unlink(missing_ok=True)
        if "SHA256SUMS" not in self.without:
            write_checksums(self.folder)
        if self.after_checksums:
            self.file.write_bytes(self.file.read_bytes() + self.after_checksums)
        return self.file
