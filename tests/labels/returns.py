"""A workspace whose frames were handed out and partly labelled, and good returns of it in each format."""

import copy
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from curate.labels.table import save_labels
from curate.labels.types import LabeledFrame, LabelSet
from curate.pool import Pool
from curate.scoring.run import RunInfo, ScoreRun
from curate.selection.write import SelectionInfo, write_selection
from curate.tables import to_table, write_table
from curate.types import Frame, SelectedFrame, Source, frame_id
from curate.workspace import Workspace

CLIP = Source("clip-11111111", "/data/videos/clip.mp4", "1" * 64, 1, 1, "video", 200, 100, frames=10)
PHOTO = Source("photo-33333333", "/data/images/photo.png", "3" * 64, 1, 1, "image", 640, 480)
CLASSES = ("car", "bus")
FRAMES = ("clip-11111111:00000004", "clip-11111111:00000009", "photo-33333333")
STEMS = tuple(frame.replace(":", "_f") for frame in FRAMES)
RUN = "retinanet-1-abcdef01"


def make_workspace(root: Path, predictions: Mapping[str, list[tuple[tuple[float, ...], str, float]]]) -> Workspace:
    """Ten frames of a video and a still, cached at half size; frame 0 is labelled, `predictions` are a detector's."""
    import pyarrow as pa

    workspace = Workspace.create(root, imgsz=320)
    frames = [
        Frame(frame_id(CLIP.source, "video", n), CLIP.source, n, n / 25, 100, 50, "labeled" if n == 0 else "unlabeled")
        for n in range(10)
    ]
    frames.append(Frame(PHOTO.source, PHOTO.source, 0, 0.0, 320, 240))
    Pool([CLIP, PHOTO], to_table(frames, Frame)).save(workspace)
    first = LabeledFrame(
        frames[0].frame_id,
        CLIP.source,
        0,
        200,
        100,
        ((1.0, 2.0, 30.0, 40.0),),
        ("car",),
        (False,),
        ("",),
        "/old",
        "f" * 64,
    )
    save_labels(workspace, LabelSet(CLASSES, (first,)))
    run = ScoreRun(workspace.scores / RUN)
    run.plan(RunInfo("detector", "retinanet-1", CLASSES, "abcdef01"), list(FRAMES))
    of_frames = [predictions.get(frame, []) for frame in FRAMES]
    columns = {
        "frame_id": list(FRAMES),
        # In pixels of the cached frame, which is half as large.
        "boxes_xyxy": [[[value / 2 for value in box] for box, _, _ in one] for one in of_frames],
        "labels": [[CLASSES.index(name) for _, name, _ in one] for one in of_frames],
        "scores": [[score for _, _, score in one] for one in of_frames],
    }
    types = (pa.string(), pa.list_(pa.list_(pa.float64())), pa.list_(pa.int64()), pa.list_(pa.float64()))
    schema = pa.schema(list(zip(columns, types, strict=True)))
    write_table(workspace.scores / RUN / "part-000000.parquet", pa.table(columns, schema=schema))
    selection = [
        SelectedFrame(n + 1, id_, id_.partition(":")[0], int(id_.partition(":")[2] or 0), 0.0, 0.5, 0.5, "why")
        for n, id_ in enumerate(FRAMES)
    ]
    info = SelectionInfo(RUN, "midl", 10, 3, 0.0, 0)
    write_selection(
        workspace.selection, selection, {s.source: s for s in (CLIP, PHOTO)}, {id_: {} for id_ in FRAMES}, info
    )
    (workspace.selection / "images").mkdir()
    for stem in STEMS:
        size = (640, 480) if "photo" in stem else (200, 100)
        Image.new("RGB", size).save(workspace.selection / "images" / f"{stem}.jpg")
    return workspace


COCO: dict[str, Any] = {
    "images": [
        {"id": 1, "file_name": f"{STEMS[0]}.jpg", "width": 200, "height": 100},
        {"id": 2, "file_name": f"{STEMS[1]}.jpg", "width": 200, "height": 100},
        {"id": 3, "file_name": f"{STEMS[2]}.jpg", "width": 640, "height": 480},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40], "area": 1200, "iscrowd": 0},
        {"id": 2, "image_id": 3, "category_id": 2, "bbox": [64, 48, 320, 240], "iscrowd": 0},
        {"id": 3, "image_id": 3, "category_id": 1, "bbox": [1, 1, 2, 2], "segmentation": [[1, 1, 3, 1, 3, 3]]},
    ],
    "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}],
}
YOLO = {
    "data.yaml": "nc: 2\nnames: [car, bus]\ntrain: images/train\n",
    f"labels/train/{STEMS[0]}.txt": "0 0.125 0.4 0.15 0.4\n",
    f"labels/train/{STEMS[1]}.txt": "",
    f"labels/train/{STEMS[2]}.txt": "1 0.35 0.35 0.5 0.5\n0 0.1 0.1 0.2 0.1 0.2 0.3\n",
}
VOC_HEAD = (
    "<annotation><folder>f</folder><filename>{name}.jpg</filename><size><width>{w}</width><height>{h}</height></size>"
)
VOC_OBJECT = (
    "<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>"
    "</object>"
)


def voc(name: str, size: tuple[Any, Any], *objects: tuple[str, Any, Any, Any, Any]) -> str:
    """An annotation of a picture; objects are (class, x1, y1, x2, y2)."""
    keys = ("name", "x1", "y1", "x2", "y2")
    text = "".join(VOC_OBJECT.format(**dict(zip(keys, one, strict=True))) for one in objects)
    return VOC_HEAD.format(name=name, w=size[0], h=size[1]) + text + "</annotation>"


VOC = {
    f"{STEMS[0]}.xml": voc(STEMS[0], (200, 100), ("car", 10, 20, 40, 60)),
    f"{STEMS[1]}.xml": voc(STEMS[1], (200, 100)),
    f"{STEMS[2]}.xml": voc(STEMS[2], (640, 480), ("bus", 64, 48, 384, 288)),
}


def coco(**changes: Any) -> dict[str, Any]:
    """A copy of the good document, with top-level keys changed."""
    return copy.deepcopy(COCO) | changes


def write_coco(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def write_folder(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def write_zip(path: Path, files: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def picture(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "JPEG")
    return buffer.getvalue()
