"""Labels that go through other people's programs, read and written by each, come back without loss."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browse.workspaces import CATEGORIES, color_of, write_detector_run
from commands import curate
from PIL import Image
from videos import write_numbered_video

from curate.labels.table import load_labels
from curate.labels.types import LabeledFrame
from curate.pipeline.index import index
from curate.pipeline.select import select
from curate.pool import Pool
from curate.selection.budget import Budget
from curate.selection.gap import parse_gap
from curate.selection.options import SelectOptions
from curate.types import Sampling, export_stem
from curate.workspace import Workspace

WIDTH, HEIGHT, PICKED = 96, 64, 6
HEXAGON = [10.5, 8, 30.25, 8, 38, 20.125, 30.25, 32, 10.5, 32, 3, 20.125]
TRIANGLE = [50, 10, 90.75, 12.5, 70, 60]


@pytest.fixture
def handed_out(tmp_path: Path) -> tuple[Workspace, Path]:
    """A workspace with six frames of a video and of pictures handed out, and that export, filled in by a labeller."""
    sources = tmp_path / "sources"
    sources.mkdir()
    write_numbered_video(sources / "clip.mp4", frames=8, size=(WIDTH, HEIGHT))
    for number in range(4):
        Image.new("RGB", (WIDTH, HEIGHT), color_of(number, 4)).save(sources / f"photo {number}.png")
    workspace = Workspace.create(tmp_path / "w", imgsz=64)
    index(workspace, [str(sources)], sampling=Sampling(stride=2))
    write_detector_run(workspace, Pool.load(workspace))
    select(workspace, Budget(count=PICKED), SelectOptions("core-set", gap=parse_gap("0"), duplicates="keep"))
    curate("export", "--for", "cvat", "--classes", ",".join(CATEGORIES), "-w", workspace.root)
    folder = tmp_path / "labeled"
    shutil.copytree(workspace.exports / "cvat", folder)
    labeled = folder / "annotations" / "instances_default.json"
    document = json.loads(labeled.read_text())
    for number, image in enumerate(document["images"]):
        for category, ring in ((1 + number % 3, HEXAGON), (2, TRIANGLE))[: 1 + number % 2]:
            xs, ys = ring[::2], ring[1::2]
            bbox = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
            one = {"id": len(document["annotations"]) + 1, "image_id": image["id"], "category_id": category}
            document["annotations"].append(
                one | {"bbox": bbox, "area": bbox[2] * bbox[3], "iscrowd": 0, "segmentation": [ring]}
            )
    labeled.write_text(json.dumps(document))
    return workspace, labeled


def by_pycocotools(images: Path, annotations: Path, out: Path) -> Path:
    from pycocotools.coco import COCO

    coco = COCO(str(annotations))
    out.with_suffix(".json").write_text(json.dumps(coco.dataset))
    return out.with_suffix(".json")


def by_datumaro(images: Path, annotations: Path, out: Path) -> Path:
    import datumaro
    from datumaro.components.environment import Environment

    dataset = datumaro.Dataset.import_from(str(annotations), "coco_instances", env=Environment())
    dataset.export(str(out), "coco_instances", save_media=False)
    return out


def by_fiftyone(images: Path, annotations: Path, out: Path) -> Path:
    import fiftyone

    dataset = fiftyone.Dataset.from_dir(
        dataset_type=fiftyone.types.COCODetectionDataset,
        data_path=str(images),
        labels_path=str(annotations),
        label_types="segmentations",
        use_polylines=True,
    )
    dataset.export(
        export_dir=str(out),
        dataset_type=fiftyone.types.COCODetectionDataset,
        label_field="ground_truth",
        export_media=False,
    )
    dataset.delete()
    return out / "labels.json"


def by_supervision(images: Path, annotations: Path, out: Path) -> Path:
    import supervision

    dataset = supervision.DetectionDataset.from_coco(str(images), str(annotations))
    dataset.as_coco(annotations_path=str(out.with_suffix(".json")))
    return out.with_suffix(".json")


@pytest.mark.usefixtures("database_uri")
@pytest.mark.parametrize("program", [by_pycocotools, by_datumaro, by_fiftyone, by_supervision])
def test_round_trip(
    handed_out: tuple[Workspace, Path], tmp_path: Path, program: Callable[[Path, Path, Path], Path]
) -> None:
    workspace, labeled = handed_out
    returned = program(labeled.parents[1] / "images" / "default", labeled, tmp_path / "returned")
    done = curate("label", returned, "-w", workspace.root)
    assert f"Handed out: {PICKED} frames, 0 of them not labelled yet" in done.stdout
    document = json.loads(labeled.read_text())
    labels = {export_stem(frame.frame_id): frame for frame in load_labels(workspace).frames}
    assert set(labels) == {Path(image["file_name"]).stem for image in document["images"]}
    names = {category["id"]: category["name"] for category in document["categories"]}
    for image in document["images"]:
        frame = labels[Path(image["file_name"]).stem]
        wanted = [one for one in document["annotations"] if one["image_id"] == image["id"]]
        found = _objects(frame)
        assert [category for category, _, _ in found] == sorted(names[one["category_id"]] for one in wanted)
        for one in wanted:
            x, y, width, height = one["bbox"]
            box, polygons = min(
                ((box, polygons) for category, box, polygons in found if category == names[one["category_id"]]),
                key=lambda pair: abs(pair[0][0] - x),
            )
            assert box == pytest.approx((x, y, x + width, y + height), abs=0.01)
            # supervision does not keep polygons, only boxes.
            if program is not by_supervision:
                # FiftyOne writes the corners of polygons without their decimals.
                loss_px = 1 if program is by_fiftyone else 0.01
                assert [pytest.approx(ring, abs=loss_px) for ring in one["segmentation"]] == polygons
        assert Path(frame.label_file).is_relative_to(returned)
        assert frame.label_file_sha256 == hashlib.sha256(Path(frame.label_file).read_bytes()).hexdigest()


def _objects(frame: LabeledFrame) -> list[tuple[str, tuple[float, ...], Any]]:
    """Category, box and polygons of each object, by category."""
    columns = zip(frame.categories, frame.boxes_xyxy, frame.segmentations, strict=True)
    return sorted((category, box, json.loads(text) if text else None) for category, box, text in columns)
