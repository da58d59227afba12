"""`curate export --task`: the labelled set to train on, split by source, read by the programs that train on it."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import curate, one_line
from handoff.readers import by_pycocotools, furthest
from PIL import Image
from pycocotools.coco import COCO
from videos import write_numbered_video

from curate.errors import UsageError
from curate.handoff.subset import Task
from curate.labels.coco import read_coco
from curate.labels.table import load_labels
from curate.pipeline.index import index
from curate.pipeline.label import label
from curate.pipeline.subset import SubsetResult, export_subset
from curate.pool import Pool
from curate.types import Sampling, export_stem
from curate.workspace import Workspace
from detectors.checkpoint import save_detector, write_json
from detectors.config import TrainConfig
from detectors.registry import build_detector

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT, FRAMES = 96, 64, 3
CLASSES = ("disc", "plate", "rag")
HEXAGON = [10.5, 8, 30.25, 8, 38, 20.125, 30.25, 32, 10.5, 32, 3, 20.125]
TRIANGLE = [50, 10, 90.75, 12.5, 70, 60]
BOW_TIE = [10, 10, 40, 30, 40, 10, 10, 30]


def annotation(category: int, segmentation: Any, iscrowd: int = 0, bbox: list[float] | None = None) -> dict[str, Any]:
    return {"category_id": category, "segmentation": segmentation, "iscrowd": iscrowd, "bbox": bbox or [2, 7, 90, 54]}


PHOTOS = {
    "empty": [],
    "bow_tie": [annotation(4, [BOW_TIE]), annotation(7, [TRIANGLE], iscrowd=1)],
    "box_only": [annotation(2, [], bbox=[20, 10, 40, 30]), annotation(4, [TRIANGLE])],
    "tiny": [annotation(2, [[10, 10, 10.5, 10, 10.5, 10.5]], bbox=[10, 10, 0.5, 0.5])],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace `w` of four videos and four pictures, all labelled, the last two not with masks alone."""
    folder = tmp_path_factory.mktemp("subset")
    sources = folder / "sources"
    sources.mkdir()
    videos, images, annotations = [], [], []

    def add(image: dict[str, Any], objects: list[dict[str, Any]]) -> None:
        images.append({"id": len(images) + 1, "width": WIDTH, "height": HEIGHT, **image})
        for one in objects:
            annotations.append({"id": len(annotations) + 1, "image_id": len(images), **one})

    for number in range(4):
        write_numbered_video(sources / f"clip{number}.mp4", frames=FRAMES, size=(WIDTH, HEIGHT), first_number=number)
        videos.append({"id": number + 1, "file_name": f"clip{number}.mp4"})
        for frame in range(FRAMES):
            objects = [annotation(2, [HEXAGON]), annotation(4, [HEXAGON, TRIANGLE])]
            add({"file_name": f"{number}/{frame}", "video_id": number + 1, "frame_index": frame}, objects)
    for number, (name, objects) in enumerate(PHOTOS.items()):
        Image.new("RGB", (WIDTH, HEIGHT), (10, 60 * number, 99)).save(sources / f"{name}.png")
        add({"file_name": f"{name}.png"}, objects)
    categories = [{"id": id_, "name": name} for id_, name in zip((2, 4, 7), CLASSES, strict=True)]
    document = {"videos": videos, "images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(document))
    workspace = Workspace.create(folder / "w", imgsz=64)
    index(workspace, [str(sources)], sampling=Sampling(stride=1))
    label(workspace, folder / "labels.json")
    return folder


@pytest.fixture(scope="module")
def exported(made: Path) -> Path:
    done = curate("export", "--task", "instance-segmentation", "--split", "0.6,0.2,0.2", "--zip", "-w", made / "w")
    # A video's content is the encoder's, and so is which split it comes to.
    counts = re.search(r"Exported 14 frames \(train (\d+), val (\d+), test (\d+)\) for instance-seg", done.stdout)
    assert counts is not None, done.stdout
    assert sum(map(int, counts.groups())) == 14
    assert "Masks: 26 objects, 1 mended, 0 predicted; 2 frames left out" in done.stdout
    return made / "w" / "exports" / "instance-segmentation"


def documents(folder: Path) -> dict[str, dict[str, Any]]:
    found = sorted((folder / "annotations").glob("instances_*.json"))
    return {path.stem.removeprefix("instances_"): json.loads(path.read_text()) for path in found}


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_labelled_set_is_not_handed_out(made: Path, exported: Path) -> None:
    done = curate("label", made / "labels.json", "-w", made / "w", "--dry-run")
    assert "Returned: " in done.stdout
    assert "Handed out" not in done.stdout


def test_splits_are_by_source(exported: Path) -> None:
    seen: dict[str, str] = {}
    for split, document in documents(exported).items():
        assert [category["id"] for category in document["categories"]] == [1, 2, 3]
        assert tuple(category["name"] for category in document["categories"]) == CLASSES
        for image in document["images"]:
            assert seen.setdefault(image["source_sha256"], split) == split
            assert (exported / "images" / split / image["file_name"]).is_file()
    assert set(seen.values()) == {"train", "val", "test"}
    assert len(list(exported.rglob("*.jpg"))) == 14


def test_masks_boxes_and_areas(exported: Path) -> None:
    polygons = []
    for split in documents(exported):
        coco = COCO(str(exported / "annotations" / f"instances_{split}.json"))
        for one in coco.anns.values():
            mask = coco.annToMask(one)
            assert mask.shape == (HEIGHT, WIDTH)
            ys, xs = np.nonzero(mask)
            x, y, width, height = one["bbox"]
            assert abs(x - xs.min()) <= 1
            assert abs(y - ys.min()) <= 1
            assert abs(x + width - xs.max() - 1) <= 1
            assert abs(y + height - ys.max() - 1) <= 1
            assert one["area"] == pytest.approx(mask.sum(), rel=0.1)
            assert isinstance(one["segmentation"], dict) == bool(one["iscrowd"])
            if isinstance(one["segmentation"], list):
                polygons.append(one["segmentation"])
    assert polygons.count([HEXAGON]) == 4 * FRAMES
    assert polygons.count([HEXAGON, TRIANGLE]) == 4 * FRAMES


def test_what_was_mended_and_left_out_is_listed(exported: Path) -> None:
    rows = [
        (row["frame_id"].rpartition("-")[0], row["object"], row["category"], row["what"], row["reason"])
        for row in csv.DictReader((exported / "objects.csv").open())
    ]
    assert rows == [
        ("bow_tie", "0", "plate", "mended", "a polygon crosses itself"),
        ("box_only", "0", "disc", "left out", "it has a box and no mask"),
        (
            "tiny",
            "0",
            "disc",
            "left out",
            "a part is under one square pixel: nothing of 1 square pixels is left of its mask",
        ),
    ]
    manifest = json.loads((exported / "manifest.json").read_text())
    assert manifest["counts"] == {"images": 14, "left_out": 2, "unreadable_sources": 0}
    assert sum(split["objects"]["disc"] for split in manifest["splits"].values()) == 4 * FRAMES


def test_equal_seeds_give_equal_bytes(made: Path, exported: Path) -> None:
    first = content(exported)
    arguments = ("export", "--task", "instance-segmentation", "--split", "0.6,0.2,0.2", "--zip", "-w", made / "w")
    curate(*arguments, "--seed", 0)
    assert content(exported) == first
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=exported, check=True)


def test_every_picture_is_its_frame(made: Path, exported: Path) -> None:
    done = curate("verify", exported, "--all", "-w", made / "w")
    assert "Verified 14 of 14 frames" in done.stdout


def test_it_comes_back_as_the_same_labels(made: Path, exported: Path) -> None:
    workspace = Workspace.open(made / "w")
    labels = {frame.frame_id: frame for frame in load_labels(workspace).frames}
    sources = Pool.load(workspace).sources.values()
    back = [
        f for s in documents(exported) for f in read_coco(exported / f"annotations/instances_{s}.json", sources).frames
    ]
    assert len(back) == len({frame.frame_id for frame in back}) == 14
    for frame in back:
        before = labels[frame.frame_id]
        assert (frame.categories, frame.iscrowd) == (before.categories, before.iscrowd)
        if not frame.frame_id.startswith("bow_tie"):
            assert [json.loads(s) for s in frame.segmentations] == [json.loads(s) for s in before.segmentations]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_datumaro_and_supervision_read_it(exported: Path, split: str) -> None:
    import datumaro
    import supervision
    from datumaro.components.environment import Environment
    from handoff.readers import by_supervision

    annotations = exported / "annotations" / f"instances_{split}.json"
    coco = COCO(str(annotations))
    wanted = {Path(image["file_name"]).stem: coco.imgToAnns[id_] for id_, image in coco.imgs.items()}
    found = supervision.DetectionDataset.from_coco(str(exported / "images" / split), str(annotations))
    assert furthest(by_supervision(found), by_pycocotools(annotations)) < 0.01
    for path, _, detections in found:
        # It keeps masks as pixels, with corners rounded to whole ones.
        for drawn, one in zip(detections.mask if len(detections) else [], wanted[Path(path).stem], strict=True):
            ours = coco.annToMask(one).astype(bool)
            assert (drawn & ours).sum() / (drawn | ours).sum() > 0.8
    dataset = datumaro.Dataset.import_from(str(exported), "coco_instances", env=Environment())
    items = {item.id: item for item in dataset if item.subset == split}
    assert set(items) == set(wanted)
    for stem, item in items.items():
        rings = sorted(list(one.points) for one in item.annotations if one.type == datumaro.AnnotationType.polygon)
        given = sorted(ring for one in wanted[stem] if not one["iscrowd"] for ring in one["segmentation"])
        assert len(rings) == len(given)
        assert all(np.allclose(a, b, atol=0.01) for a, b in zip(rings, given, strict=True))


@pytest.mark.usefixtures("database_uri")
def test_fiftyone_reads_it(exported: Path) -> None:
    import fiftyone

    dataset = fiftyone.Dataset.from_dir(
        dataset_type=fiftyone.types.COCODetectionDataset,
        data_path=str(exported / "images" / "train"),
        labels_path=str(exported / "annotations" / "instances_train.json"),
        label_types="segmentations",
        use_polylines=True,
    )
    document = documents(exported)["train"]
    given = {image["file_name"]: [] for image in document["images"]}
    names = {image["id"]: image["file_name"] for image in document["images"]}
    for one in document["annotations"]:
        if not one["iscrowd"]:
            given[names[one["image_id"]]] += one["segmentation"]
    found = {Path(sample.filepath).name: _rings(sample) for sample in dataset}
    assert set(found) == set(given)
    for name, rings in given.items():
        assert len(found[name]) == len(rings)
        for one, other in zip(sorted(found[name]), sorted(rings), strict=True):
            assert np.allclose(one, other, atol=0.01)
    dataset.delete()


def _rings(sample: Any) -> list[list[float]]:
    fields = [sample[name] for name in ("ground_truth", "segmentations") if sample.has_field(name) and sample[name]]
    lines = [line for field in fields for line in field.polylines if not line.get_attribute_value("iscrowd", None)]
    return [[value for x, y in ring for value in (x * WIDTH, y * HEIGHT)] for line in lines for ring in line.points]


def test_torchvision_trains_on_it(exported: Path) -> None:
    script = [sys.executable, ROOT / "examples" / "train_mask_rcnn.py", exported, "--steps", "1", "--evaluate", "train"]
    done = subprocess.run(list(map(str, script)), capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "1/1 (" in done.stdout
    assert "loss_mask" in done.stdout
    assert "train after 1 steps: box AP 0." in done.stdout
    assert "mask AP 0." in done.stdout


def test_detection_takes_boxes(made: Path) -> None:
    done = curate("export", "--task", "detection", "--split", "1", "-w", made / "w")
    assert "Exported 16 frames (train 16) for detection" in done.stdout
    (document,) = documents(made / "w" / "exports" / "detection").values()
    labels = {f"{export_stem(f.frame_id)}.jpg": f for f in load_labels(Workspace.open(made / "w")).frames}
    names = {image["id"]: image["file_name"] for image in document["images"]}
    assert set(names.values()) == set(labels)
    assert len(document["annotations"]) == sum(len(frame.boxes_xyxy) for frame in labels.values())
    for one in document["annotations"]:
        x, y, width, height = one["bbox"]
        assert (x, y, x + width, y + height) in labels[names[one["image_id"]]].boxes_xyxy
        assert one["segmentation"] == []
        assert one["area"] == width * height


def add_detector(
    workspace: Workspace, name: str, classes: tuple[str, ...], kind: str = "mask-rcnn", *, learned: bool
) -> None:
    """A detector with its first weights, which says whether it has learned masks."""
    torch.manual_seed(0)
    config = TrainConfig(detector=kind, weights="none")
    detector = build_detector(kind, num_classes=len(classes), backbone=config.backbone, weights="none")
    (workspace.detectors / name).mkdir(parents=True)
    save_detector(workspace.detectors / name, detector, config, categories=classes, labels_sha256="")
    write_json(workspace.detectors / name / "metrics.json", {"masks_learned": learned})


def test_a_mask_rcnn_draws_the_masks_that_are_missing(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "w", tmp_path / "w", ignore=shutil.ignore_patterns("exports"))
    workspace = Workspace.open(tmp_path / "w")

    def exported_with(detector: str | None) -> SubsetResult:
        shares = (0.6, 0.2, 0.2)
        task: Task = "instance-segmentation"
        return export_subset(workspace, task=task, shares=shares, predict_masks=True, detector=detector)

    add_detector(workspace, "boxes-1", CLASSES, learned=False)
    add_detector(workspace, "retinanet-1", CLASSES, "retinanet", learned=False)
    with pytest.raises(UsageError, match=r"no mask-rcnn in the workspace has learned masks; .* trains one"):
        exported_with(None)
    with pytest.raises(UsageError, match=r"--detector boxes-1: a mask-rcnn that has learned no masks; .* trains one"):
        exported_with("boxes-1")
    with pytest.raises(UsageError, match=r"--detector retinanet-1: a retinanet that has learned no masks"):
        exported_with("retinanet-1")
    add_detector(workspace, "mask-rcnn-1", CLASSES, learned=True)
    add_detector(workspace, "mask-rcnn-2", ("other",), learned=True)
    result = exported_with("mask-rcnn-1")
    assert (result.objects, result.mended, result.predicted, result.left_out) == (28, 1, 1, 1)
    (one,) = [a for document in documents(result.folder).values() for a in document["annotations"] if "predicted" in a]
    x, y, width, height = one["bbox"]
    assert 19 <= x < x + width <= 61
    assert 9 <= y < y + height <= 41
    assert isinstance(one["segmentation"], dict)
    assert one["predicted"] is True
    manifest = json.loads((result.folder / "manifest.json").read_text())
    assert manifest["mask_detector"] == "mask-rcnn-1"
    assert sum(split["predicted_masks"] for split in manifest["splits"].values()) == 1
    assert "disc,predicted,mask by mask-rcnn-1" in (result.folder / "objects.csv").read_text()
    assert exported_with("mask-rcnn-2").left_out == 2
    assert "no mask: the detector was not trained on disc" in (result.folder / "objects.csv").read_text()
    assert len(list(result.folder.rglob("*.jpg"))) == 14


def test_sources_that_are_gone_are_named(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "copy")
    workspace = tmp_path / "copy" / "w"
    (made / "sources" / "clip0.mp4").rename(tmp_path / "away.mp4")
    try:
        done = curate("export", "--task", "detection", "-w", workspace, code=3)
    finally:
        (tmp_path / "away.mp4").rename(made / "sources" / "clip0.mp4")
    assert "clip0.mp4: the original cannot be read" in done.stderr
    folder = workspace / "exports" / "detection"
    assert len(list(folder.rglob("*.jpg"))) == 13 == sum(len(d["images"]) for d in documents(folder).values())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--task", "segmentation"), "--task 'segmentation': choose from instance-segmentation, detection"),
        (("--task", "detection", "--split", "0.8,0.1"), "the shares sum to 0.9"),
        (("--task", "detection", "--split", "80,10,10"), "give one to three shares above 0"),
        (("--task", "detection", "--for", "cvat"), "--for is of the selection; leave it out, or --task"),
        (("--task", "detection", "--no-images"), "--no-images is of the selection"),
        (("--task", "detection", "--with-predictions"), "--with-predictions is of the selection"),
        (("--task", "detection", "--predict-masks"), "detection has no masks"),
        (("--task", "instance-segmentation", "--detector", "x"), "give --predict-masks too"),
        (("--split", "0.8,0.2"), "--split is of the labelled set; give --task too"),
        (("--seed", "3"), "--seed is of the labelled set; give --task too"),
        (("--min-score", "0.5"), "give --with-predictions too"),
    ],
)
def test_options_that_do_not_fit(made: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in one_line(curate("export", *arguments, "-w", made / "w", code=2))


def test_without_labels(tmp_path: Path) -> None:
    Workspace.create(tmp_path / "w", imgsz=64)
    assert "no labels in the workspace" in one_line(
        curate("export", "--task", "detection", "-w", tmp_path / "w", code=1)
    )


def test_where_no_mask_can_be_drawn_what_was_given_is_not_advised(tmp_path: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "photo.png")
    box = annotation(1, [], bbox=[20, 10, 40, 30]) | {"id": 1, "image_id": 1}
    document = {
        "images": [{"id": 1, "file_name": "photo.png", "width": WIDTH, "height": HEIGHT}],
        "annotations": [box],
        "categories": [{"id": 1, "name": "disc"}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(document))
    workspace = Workspace.create(tmp_path / "w", imgsz=64)
    index(workspace, [str(tmp_path / "photo.png")])
    label(workspace, tmp_path / "labels.json")
    add_detector(workspace, "other", ("plate",), learned=True)
    export = ("export", "--task", "instance-segmentation", "-w", tmp_path / "w")
    line = one_line(curate(*export, code=1))
    assert line.endswith("it has a box and no mask; label masks, or give --predict-masks or --task detection")
    line = one_line(curate(*export, "--predict-masks", "--detector", "other", code=1))
    assert line.endswith("the detector was not trained on disc; label masks, or give --task detection")
