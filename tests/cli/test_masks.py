"""A detector that makes masks: trained on labels that have some, and measured."""

import json
import shutil
from pathlib import Path

from commands import curate
from example import Example
from PIL import Image

from curate.workspace import Workspace
from detectors.checkpoint import save_detector, write_json
from detectors.config import TrainConfig
from detectors.registry import build_detector


def test_masks_of_the_labels_are_learned(example: Example, tmp_path: Path) -> None:
    document = json.loads(example.labels.read_text())
    workspace = tmp_path / "w"
    shutil.copytree(example.workspace, workspace)
    train = ("train", "--detector", "mask-rcnn", "--steps", 1, "--batch-size", 8, "-w", workspace)
    assert "no label has a mask" in curate(*train, "--labels", example.labels).stdout
    for annotation in document["annotations"]:
        x, y, width, height = annotation["bbox"]
        annotation["segmentation"] = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    labels = tmp_path / "masks.json"
    labels.write_text(json.dumps(document))
    done = curate(*train, "--labels", labels)
    assert "no label has a mask" not in done.stdout
    runs = [json.loads(path.read_text()) for path in (workspace / "detectors").glob("mask-rcnn-*/metrics.json")]
    assert sorted(run["stages"][0]["mean_losses"]["mask"] > 0 for run in runs) == [False, True]
    assert all(run["masks_learned"] == (run["stages"][0]["mean_losses"]["mask"] > 0) for run in runs)


def test_masks_are_measured_beside_boxes(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "w", imgsz=64)
    directory = workspace.detectors / "mask-rcnn-1"
    directory.mkdir(parents=True)
    config = TrainConfig(detector="mask-rcnn", weights="none")
    detector = build_detector("mask-rcnn", num_classes=1, backbone=config.backbone, weights="none")
    save_detector(directory, detector, config, categories=("zero",), labels_sha256="")
    write_json(directory / "metrics.json", {})
    Image.new("RGB", (64, 48), "gray").save(tmp_path / "a.png")
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [8, 8, 20, 20], "area": 400, "iscrowd": 0}
    truth = {
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}],
        "annotations": [box | {"segmentation": [[8, 8, 28, 8, 28, 28, 8, 28]]}],
        "categories": [{"id": 1, "name": "zero"}],
    }
    for name, annotations in (("masks", truth["annotations"]), ("boxes", [box])):
        (tmp_path / f"{name}.json").write_text(json.dumps(truth | {"annotations": annotations}))
        done = curate("evaluate", tmp_path / f"{name}.json", "--images", tmp_path, "-w", tmp_path / "w")
        lines = done.stdout.splitlines()
        assert lines[0].startswith("mask-rcnn-1 on 1 images: AP 0.")
        assert any(line.startswith("masks: AP 0.") for line in lines) == (name == "masks")
