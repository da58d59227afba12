"""Every receiver's files are read by real readers: the same frames, classes and boxes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from handoff.handover import PREDICTIONS, Handover
from handoff.readers import (
    Boxes,
    by_datumaro,
    by_fiftyone,
    by_label_studio_converter,
    by_pycocotools,
    by_supervision,
    furthest,
    of_tasks,
    of_voc,
    unzipped,
)

from curate.errors import UsageError
from curate.handoff.registry import PROFILES, load_profile

DOCS = Path(__file__).resolve().parents[2] / "docs" / "handoff.md"
WANTED: Boxes = {
    "clip_1-11111111_f00000042": [("bus", (0, 90, 200, 100)), ("car", (10.123, 20.456, 60.789, 80.1))],
    "photo-33333333": [("car", (0, 0, 63.999, 47.999))],
    "clip_1-11111111_f00000007": [],
}
# Where each profile has its images and its COCO file; None where it has none.
COCO = {
    "coco": "annotations.json",
    "cvat": "annotations/instances_default.json",
    "label-studio": "annotations.json",
    "roboflow": "images/_annotations.coco.json",
    "supervisely": "dataset/annotations/instances.json",
    "voc": None,
    "yolo": None,
}


@pytest.fixture
def folders(handover: Handover) -> Callable[..., Path]:
    def folder(name: str, **changed: Any) -> Path:
        return handover.export(profile=name, **({"predictions": PREDICTIONS} | changed)).folder

    return folder


def supervision_coco(folder: Path, annotations: Path) -> Boxes:
    import supervision

    return by_supervision(supervision.DetectionDataset.from_coco(str(folder), str(annotations)))


def test_every_profile_is_read_here_and_documented() -> None:
    assert set(COCO) == set(PROFILES.names())
    for name in PROFILES.names():
        assert f"| `{name}` |" in DOCS.read_text(), name


@pytest.mark.parametrize("name", PROFILES.names())
def test_zip_and_folder_hold_the_same(folders: Callable[..., Path], name: str, tmp_path: Path) -> None:
    folder = folders(name, zipped=True)
    packed = unzipped(folder / f"{name}.zip", tmp_path / "unzipped")
    ours = {"README.txt", "SHA256SUMS", "manifest.json", "selection.txt", f"{name}.zip"}
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - ours
    assert {path.relative_to(packed).as_posix() for path in packed.rglob("*") if path.is_file()} == files
    assert all((packed / file).read_bytes() == (folder / file).read_bytes() for file in files)
    first = (folder / f"{name}.zip").read_bytes()
    assert (folders(name, zipped=True) / f"{name}.zip").read_bytes() == first


@pytest.mark.parametrize("name", PROFILES.names())
def test_without_images(folders: Callable[..., Path], name: str) -> None:
    full, images = folders(name), load_profile(name).IMAGES
    labels = {p.relative_to(full): p.read_bytes() for p in full.rglob("*") if p.suffix in (".json", ".xml", ".yaml")}
    folder = folders(name, with_images=False)
    assert not list(folder.rglob("*.jpg"))
    assert json.loads((folder / "manifest.json").read_text())["with_images"] is False
    assert f"{images}/  the images" not in (folder / "README.txt").read_text()
    assert all((folder / file).read_bytes() == text for file, text in labels.items() if file.name != "manifest.json")


@pytest.mark.parametrize("name", [name for name, annotations in COCO.items() if annotations])
def test_coco_files_by_pycocotools_and_supervision(folders: Callable[..., Path], name: str) -> None:
    folder, annotations = folders(name), Path(str(COCO[name]))
    assert furthest(by_pycocotools(folder / annotations), WANTED) < 0.01
    images = folder / load_profile(name).IMAGES
    assert furthest(supervision_coco(images, folder / annotations), WANTED) < 0.01


@pytest.mark.parametrize("packed", [False, True], ids=["json", "zip"])
def test_cvat_imports_it_through_datumaro(folders: Callable[..., Path], tmp_path: Path, packed: bool) -> None:
    folder = folders("cvat", zipped=True)
    path = unzipped(folder / "cvat.zip", tmp_path / "temp") if packed else folder / str(COCO["cvat"])
    assert furthest(by_datumaro(path), WANTED) < 0.01
    labels = json.loads((folder / "labels.json").read_text())
    assert [label["name"] for label in labels] == ["car", "bus", "bicycle"]
    assert all(set(label) == {"name", "type", "attributes"} for label in labels)


def test_label_studio_reads_it(folders: Callable[..., Path], tmp_path: Path) -> None:
    from label_studio_sdk.converter import Converter
    from label_studio_sdk.label_interface import LabelInterface

    folder = folders("label-studio", detector="midl-1")
    assert furthest(by_label_studio_converter(folder / "annotations.json", tmp_path), WANTED) < 0.01
    interface = LabelInterface((folder / "label_config.xml").read_text())
    interface.validate()
    assert set(interface.get_control("label_rectangles").labels) == {"car", "bus", "bicycle"}
    tasks = json.loads((folder / "tasks.json").read_text())
    assert furthest(of_tasks(tasks), WANTED) < 0.01
    assert [path.name for path in (folder / "images").iterdir() if path.suffix == ".jpg"]
    for task in tasks:
        assert (folder / task["data"]["image"].removeprefix("/data/local-files/?d=")).is_file()
        for prediction in task.get("predictions", []):
            assert interface.validate_prediction(prediction, return_errors=True) == []
            assert prediction["model_version"] == "midl-1"
    scores = [
        [one["score"] for one in prediction["result"]] for task in tasks for prediction in task.get("predictions", [])
    ]
    assert scores == [[0.9, 0.4], [1.0]]
    # The same boxes as labels of a person, exported again by Label Studio's own converter.
    for number, task in enumerate(tasks, start=1):
        task |= {"id": number, "annotations": task.pop("predictions", [{"result": []}])}
        task["annotations"][0] |= {"id": number, "was_cancelled": False}
    (tmp_path / "labelled.json").write_text(json.dumps(tasks))
    converter = Converter((folder / "label_config.xml").read_text(), str(tmp_path), download_resources=False)
    converter.convert_to_coco(str(tmp_path / "labelled.json"), str(tmp_path / "back"), is_dir=False)
    back = by_pycocotools(tmp_path / "back" / "result.json")
    assert (
        furthest({stem: boxes for stem, boxes in back.items() if boxes}, {s: b for s, b in WANTED.items() if b}) < 0.01
    )


def test_yolo(folders: Callable[..., Path]) -> None:
    import supervision

    folder = folders("yolo")
    assert yaml.safe_load((folder / "data.yaml").read_text()) == {
        "train": "images/train",
        "names": {0: "car", 1: "bus", 2: "bicycle"},
    }
    paths = (folder / "images" / "train", folder / "labels" / "train", folder / "data.yaml")
    assert furthest(by_supervision(supervision.DetectionDataset.from_yolo(*map(str, paths))), WANTED) < 0.01


def test_voc(folders: Callable[..., Path]) -> None:
    import supervision

    folder = folders("voc")
    assert furthest(of_voc(folder / "Annotations"), WANTED) < 0.01
    assert furthest(by_datumaro(folder, "voc_detection"), WANTED) < 0.01
    # supervision counts pixels from 1, as the published data sets do: xmin and ymin are 1 less.
    dataset = supervision.DetectionDataset.from_pascal_voc(str(folder / "JPEGImages"), str(folder / "Annotations"))
    assert furthest(by_supervision(dataset), WANTED) == pytest.approx(1, abs=0.01)
    stems = (folder / "ImageSets" / "Main" / "default.txt").read_text().split()
    assert stems == ["clip_1-11111111_f00000042", "photo-33333333", "clip_1-11111111_f00000007"]


@pytest.mark.usefixtures("database_uri")
def test_fiftyone_reads_coco_yolo_and_voc(folders: Callable[..., Path]) -> None:
    coco = folders("coco")
    data = {"data_path": str(coco / "images"), "labels_path": str(coco / "annotations.json")}
    assert furthest(by_fiftyone("COCODetectionDataset", **data, label_types="detections"), WANTED) < 0.01
    yolo = folders("yolo")
    found = by_fiftyone("YOLOv5Dataset", dataset_dir=str(yolo), yaml_path="data.yaml", split="train")
    assert furthest(found, WANTED) < 0.01
    voc = folders("voc")
    places = {"data_path": str(voc / "JPEGImages"), "labels_path": str(voc / "Annotations")}
    # Whole pixels.
    assert furthest(by_fiftyone("VOCDetectionDataset", **places), WANTED) < 1


@pytest.mark.parametrize("name", ["a:b", "# comment"])
def test_voc_refuses_what_its_list_of_classes_cannot_name(handover: Handover, name: str) -> None:
    with pytest.raises(UsageError, match="rename it, or export as coco"):
        handover.export(profile="voc", categories=("car", "bus", name))
    assert not (handover.workspace.exports / "voc").exists()
