"""What comes back is merged: every tool's way of writing the same labels gives the same labels."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from labels.returns import (
    COCO,
    FRAMES,
    RUN,
    STEMS,
    VOC,
    YOLO,
    coco,
    make_workspace,
    picture,
    voc,
    write_coco,
    write_folder,
    write_zip,
)

from curate.errors import CurateError, UsageError
from curate.handoff.registry import PROFILES
from curate.labels.history import versions
from curate.labels.registry import FORMATS, load_format
from curate.labels.table import load_labels
from curate.labels.types import LabeledFrame
from curate.pipeline.export import export
from curate.pipeline.label import restore
from curate.pipeline.take_back import RefusedError, TakeBackOptions, TakeBackResult, take_back
from curate.pool import Pool
from curate.workspace import Workspace

TEXT = json.dumps(COCO)
ROBOFLOW = "_jpg.rf.0123456789abcdef0123456789abcdef"


def back(workspace: Workspace, *paths: Path, **options: Any) -> TakeBackResult:
    return take_back(workspace, paths, TakeBackOptions(**options))


def labels_of(workspace: Workspace) -> dict[str, LabeledFrame]:
    return {frame.frame_id: frame for frame in load_labels(workspace).frames}


def renamed(*names: str) -> dict[str, Any]:
    """The good document with other file names."""
    document = coco()
    for entry, name in zip(document["images"], names, strict=True):
        entry["file_name"] = name
    return document


def from_zero() -> dict[str, Any]:
    """As Label Studio and Roboflow count: images, annotations and classes from 0."""
    document = coco()
    for entry in (*document["images"], *document["annotations"], *document["categories"]):
        for key in ("id", "image_id", "category_id"):
            if key in entry:
                entry[key] -= 1
    return document


def roboflow() -> dict[str, Any]:
    """A root class above all, ids from 0, renamed pictures, at half size, as its resizing leaves them."""
    document = renamed(*(f"{stem}{ROBOFLOW}.jpg" for stem in STEMS))
    document["info"] = {"description": "Exported from roboflow.com", "contributor": "Roboflow"}
    document["categories"] = [
        {"id": 0, "name": "objects", "supercategory": "none"},
        {"id": 1, "name": "car", "supercategory": "objects"},
        {"id": 2, "name": "bus", "supercategory": "objects"},
    ]
    for entry in document["images"]:
        entry.update(id=entry["id"] - 1, license=1, width=entry["width"] // 2, height=entry["height"] // 2)
        entry["extra"] = {"name": "original.jpg"}
    for entry in document["annotations"]:
        entry.update(id=entry["id"] - 1, image_id=entry["image_id"] - 1, bbox=[value / 2 for value in entry["bbox"]])
        entry["segmentation"] = [[value / 2 for value in polygon] for polygon in entry.get("segmentation", [])]
    return document


def supervisely() -> dict[str, Any]:
    document = coco(licenses=[{"url": "None", "id": 0, "name": "None"}])
    for entry in document["images"]:
        entry.update(id=entry["id"] + 35_000_000, license="None", url="None", date_captured="2024-01-01T00:00:00Z")
    for entry in document["annotations"]:
        entry.update(image_id=entry["image_id"] + 35_000_000, segmentation=entry.get("segmentation", []))
    return document


GOOD: dict[str, Callable[[Path], Path]] = {
    "a file": lambda folder: write_coco(folder / "labels.json", COCO),
    "a file of another name": lambda folder: write_coco(folder / "labels.txt", COCO),
    "with a byte order mark": lambda folder: (
        write_folder(folder, {"a.json": b"\xef\xbb\xbf" + TEXT.encode()}) / "a.json"
    ),
    "with blank lines around it": lambda folder: write_folder(folder, {"a.json": f"\n\n {TEXT}\n\n"}) / "a.json",
    "ids from 0": lambda folder: write_coco(folder / "labels.json", from_zero()),
    "other extensions": lambda folder: write_coco(folder / "a.json", renamed(*(f"{stem}.png" for stem in STEMS))),
    "absolute paths": lambda folder: write_coco(folder / "a.json", renamed(*(f"/data/x/{s}.jpg" for s in STEMS))),
    "paths upwards": lambda folder: write_coco(folder / "a.json", renamed(*(f"../../x/{s}.jpg" for s in STEMS))),
    "backslashes": lambda folder: write_coco(folder / "a.json", renamed(*(f"C:\\x\\..\\{s}.jpg" for s in STEMS))),
    "names in capitals elsewhere": lambda folder: write_coco(
        folder / "a.json", renamed(*(f"Ü/{s}.JPG" for s in STEMS))
    ),
    "CVAT": lambda folder: write_zip(
        folder / "task.zip", {"annotations/instances_default.json": TEXT, f"images/default/{STEMS[0]}.jpg": b"-"}
    ),
    "Label Studio": lambda folder: write_zip(
        folder / "project.zip",
        {"result.json": json.dumps(renamed(*(f"images/3f2a1b4c-{stem}.jpg" for stem in STEMS)))},
    ),
    "Label Studio with local files": lambda folder: write_coco(
        folder / "result.json", renamed(*(f"../../data/local-files/?d=up/{stem}.jpg" for stem in STEMS))
    ),
    "Roboflow": lambda folder: write_zip(
        folder / "export.zip",
        {"README.roboflow.txt": "hello", "train/_annotations.coco.json": json.dumps(roboflow())},
    ),
    "Supervisely": lambda folder: write_folder(
        folder / "project",
        {
            "ds/annotations/instances.json": json.dumps(supervisely()),
            "ds/annotations/captions.json": '{"images": [], "annotations": []}',
            ".DS_Store": b"\0",
        },
    ),
    "an edited export beside its manifest": lambda folder: write_folder(
        folder / "coco", {"annotations.json": TEXT, "manifest.json": '{"images": 3}', "selection.txt": "a.jpg\n"}
    ),
    "macOS zip": lambda folder: write_zip(
        folder / "a.zip", {"labels.json": TEXT, "__MACOSX/._labels.json": b"\0\5\x16"}
    ),
    "a zip without its extension": lambda folder: write_zip(folder / "returned", {"labels.json": TEXT}),
    "Ultralytics": lambda folder: write_folder(folder / "yolo", YOLO),
    "Ultralytics with pictures": lambda folder: write_folder(
        folder / "yolo", YOLO | {f"images/train/{STEMS[2]}.png": picture(320, 240)}
    ),
    "CVAT YOLO 1.1": lambda folder: write_zip(
        folder / "yolo.zip",
        {
            "obj.names": "car\nbus\n",
            "obj.data": "classes = 2\nnames = obj.names\n",
            "train.txt": "".join(f"data/obj_train_data/{stem}.jpg\n" for stem in STEMS),
            **{f"obj_train_data/{stem}.txt": YOLO[f"labels/train/{stem}.txt"] for stem in STEMS},
        },
    ),
    "Label Studio YOLO": lambda folder: write_folder(
        folder / "yolo",
        {
            "classes.txt": "car\nbus",
            "notes.json": '{"categories": [{"id": 0, "name": "car"}], "info": {"contributor": "Label Studio"}}',
            **{f"labels/3f2a1b4c-{stem}.txt": YOLO[f"labels/train/{stem}.txt"] for stem in STEMS},
        },
    ),
    "Roboflow Darknet": lambda folder: write_folder(
        folder / "yolo",
        {
            "README.dataset.txt": "hello",
            "train/_darknet.labels": "car\nbus\n",
            **{f"train/{stem}{ROBOFLOW}.txt": YOLO[f"labels/train/{stem}.txt"] for stem in STEMS},
        },
    ),
    "numbered YOLO names": lambda folder: write_folder(
        folder / "yolo", YOLO | {"data.yaml": "nc: 2\nnames:\n  0: car\n  1: bus\n"}
    ),
    "Windows lines": lambda folder: write_folder(
        folder / "yolo", {name: text.replace("\n", "\r\n") for name, text in YOLO.items()}
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_the_same_labels_come_from_every_tool(workspace: Workspace, tmp_path: Path, name: str) -> None:
    result = back(workspace, GOOD[name](tmp_path))
    assert (result.labels.added, result.labels.replaced, result.labels.kept) == (3, 0, 1)
    labels = labels_of(workspace)
    assert load_labels(workspace).categories == ("car", "bus")
    assert labels[FRAMES[0]].boxes_xyxy == (pytest.approx((10, 20, 40, 60)),)
    assert labels[FRAMES[1]].boxes_xyxy == ()
    photo = labels[FRAMES[2]]
    assert (photo.width, photo.height, photo.categories) == (640, 480, ("bus", "car"))
    assert photo.boxes_xyxy[0] == pytest.approx((64, 48, 384, 288))
    if photo.boxes_xyxy[1][0] == 1:
        assert json.loads(photo.segmentations[1]) == [[1, 1, 3, 1, 3, 3]]
    else:  # the polygon of the YOLO return
        assert json.loads(photo.segmentations[1])[0] == pytest.approx([64, 48, 128, 48, 128, 144])
        assert photo.boxes_xyxy[1] == pytest.approx((64, 48, 128, 144))


def test_voc_with_roboflows_polygon(workspace: Workspace, tmp_path: Path) -> None:
    corners = "".join(
        f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in enumerate([(64, 48), (384, 48), (384, 288)], 1)
    )
    name = f"{STEMS[2]}.xml"
    text = VOC[name].replace("</object>", f"<polygon>{corners}</polygon></object>")
    back(workspace, write_folder(tmp_path / "voc", VOC | {name: text, "readme.txt": "hello"}))
    labels = labels_of(workspace)
    assert labels[FRAMES[0]].boxes_xyxy == ((10, 20, 40, 60),)
    assert labels[FRAMES[0]].label_file == str(tmp_path / "voc" / f"{STEMS[0]}.xml")
    assert labels[FRAMES[1]].boxes_xyxy == ()
    assert json.loads(labels[FRAMES[2]].segmentations[0]) == [[64, 48, 384, 48, 384, 288]]


def test_voc_in_another_encoding_and_without_a_file_name(workspace: Workspace, tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="ISO-8859-1"?>' + voc(STEMS[0], (200, 100), ("car", 1, 2, 3, 4))
    text = text.replace(f"<filename>{STEMS[0]}.jpg</filename>", "<owner>Jürgen</owner>")
    path = write_folder(tmp_path, {f"{STEMS[0]}.xml": text.encode("latin-1")}) / f"{STEMS[0]}.xml"
    assert [frame.frame_id for frame in back(workspace, path).returned.frames] == [FRAMES[0]]


def test_the_registry_describes_each_format() -> None:
    assert set(FORMATS.names()) == {"coco", "voc", "yolo"}
    assert all(load_format(name).DESCRIPTION for name in FORMATS.names())


def test_a_forced_format_is_the_only_one_looked_for(workspace: Workspace, tmp_path: Path) -> None:
    both = write_folder(tmp_path / "both", YOLO | {"a.json": TEXT})
    assert back(workspace, both, format="yolo", dry_run=True).returns[0].format == "yolo"
    with pytest.raises(RefusedError, match=r"no label file of voc.*\[no-labels\]"):
        back(workspace, both, format="voc")
    with pytest.raises(UsageError, match="label format 'csv': unknown; choose from coco, voc, yolo"):
        back(workspace, both, format="csv")


def test_splits_of_a_folder_are_read_together_and_their_ids_are_their_own(workspace: Workspace, tmp_path: Path) -> None:
    first, second = coco(), coco()
    first["images"], first["annotations"] = first["images"][:2], first["annotations"][:1]
    second["images"], second["annotations"] = second["images"][2:], second["annotations"][1:]
    second["categories"].reverse()
    files = {"train/_annotations.coco.json": json.dumps(first), "valid/_annotations.coco.json": json.dumps(second)}
    result = back(workspace, write_folder(tmp_path / "splits", files))
    assert result.labels.added == 3
    assert result.returns[0].files == 2
    photo = labels_of(workspace)[FRAMES[2]]
    assert photo.label_file == str(tmp_path / "splits" / "valid" / "_annotations.coco.json")
    second["annotations"][0]["bbox"] = [1]
    files["valid/_annotations.coco.json"] = json.dumps(second)
    with pytest.raises(RefusedError, match=r"valid/_annotations.coco.json: annotation 2: bbox is \[1\]"):
        back(workspace, write_folder(tmp_path / "splits", files))


def test_boxes_a_little_past_the_edge_are_clipped_and_said(workspace: Workspace, tmp_path: Path) -> None:
    document = coco()
    document["annotations"][0]["bbox"] = [-1.5, 20, 30, 81]
    document["annotations"][1]["bbox"] = [600, 400, 46, 84]
    result = back(workspace, write_coco(tmp_path / "a.json", document))
    assert (result.returns[0].placed.clipped, result.returns[0].placed.overshoot_px) == (2, 6)
    assert labels_of(workspace)[FRAMES[0]].boxes_xyxy == ((0, 20, 28.5, 100),)
    assert labels_of(workspace)[FRAMES[2]].boxes_xyxy[0] == (600, 400, 640, 480)


def test_stretched_pictures_are_taken_when_it_is_said_but_not_turned_ones(workspace: Workspace, tmp_path: Path) -> None:
    document = coco()
    document["images"][2] |= {"width": 320, "height": 320}
    document["annotations"] = [{"id": 1, "image_id": 3, "category_id": 1, "bbox": [32, 32, 160, 160]}]
    path = write_coco(tmp_path / "a.json", document)
    back(workspace, path, stretched=True)
    assert labels_of(workspace)[FRAMES[2]].boxes_xyxy == ((64, 48, 384, 288),)
    document["images"][2] |= {"width": 480, "height": 640}
    with pytest.raises(RefusedError, match="sides are swapped"):
        back(workspace, write_coco(path, document), stretched=True)


def test_new_classes_are_taken_when_it_is_said_and_unused_ones_never(workspace: Workspace, tmp_path: Path) -> None:
    document = coco()
    document["categories"] += [{"id": 3, "name": "lorry"}, {"id": 4, "name": "unused"}]
    document["annotations"][0]["category_id"] = 3
    path = write_coco(tmp_path / "a.json", document)
    with pytest.raises(RefusedError, match=r'annotation 1: class "lorry", known are car, bus;.*--add-classes'):
        back(workspace, path)
    assert back(workspace, path, add_classes=True).new_classes == ("lorry",)
    assert load_labels(workspace).categories == ("car", "bus", "lorry")


def test_classes_of_an_export_are_known_before_there_are_labels(workspace: Workspace, tmp_path: Path) -> None:
    workspace.labels.unlink()
    document = coco(categories=[{"id": 2, "name": "bus"}, {"id": 1, "name": "car"}])
    path = write_coco(tmp_path / "a.json", document)
    export(workspace, classes=["tram", "car"])
    with pytest.raises(RefusedError, match='class "bus", known are tram, car'):
        back(workspace, path)
    result = back(workspace, path, add_classes=True)
    assert result.labels.categories == ("car", "bus")
    assert (result.handed_out, result.missing) == (3, ())


@pytest.mark.parametrize("profile", PROFILES.names())
def test_an_export_comes_back_as_it_was_predicted(tmp_path: Path, profile: str) -> None:
    predictions = {
        FRAMES[0]: [
            ((10.123, 20.456, 60.789, 80.1), "car", 0.9),
            ((0.0, 0.0, 200.0, 100.0), "bus", 0.8),
            ((5.0, 5.0, 5.5, 20.0), "car", 0.7),
        ],
        FRAMES[2]: [((0.0, 0.0, 1.0, 1.0), "car", 0.9), ((638.99, 479.01, 640.0, 480.0), "bus", 0.5)],
    }
    workspace = make_workspace(tmp_path / "w", predictions)
    exported = export(workspace, profile=profile, with_predictions=True)
    returned = shutil.copytree(exported.folder, tmp_path / "returned")
    result = back(workspace, returned)
    assert (result.labels.added, result.missing) == (3, ())
    labels = labels_of(workspace)
    # Written on a grid of 1/128 pixel.
    for frame_id in FRAMES:
        wanted = predictions.get(frame_id, [])
        assert labels[frame_id].categories == tuple(name for _, name, _ in wanted)
        for box, (corners, _, _) in zip(labels[frame_id].boxes_xyxy, wanted, strict=True):
            assert box == pytest.approx(corners, abs=1 / 256 + 1e-5)


def test_a_part_of_the_export_comes_back_and_the_rest_is_missing(workspace: Workspace, tmp_path: Path) -> None:
    export(workspace)
    document = coco()
    document["images"], document["annotations"] = document["images"][:1], document["annotations"][:1]
    result = back(workspace, write_coco(tmp_path / "a.json", document))
    assert (result.handed_out, result.missing) == (3, tuple(FRAMES[1:]))
    assert result.as_dict()["missing_frames"] == list(FRAMES[1:])


def test_pictures_without_objects_can_be_left_out(workspace: Workspace, tmp_path: Path) -> None:
    path = write_coco(tmp_path / "a.json", COCO)
    assert back(workspace, path, dry_run=True).empty == (FRAMES[1],)
    result = back(workspace, path, skip_empty=True)
    assert result.returns[0].placed.skipped_empty == 1
    assert set(labels_of(workspace)) == {"clip-11111111:00000000", FRAMES[0], FRAMES[2]}


def test_a_second_return_replaces_the_first_and_says_what_changed(workspace: Workspace, tmp_path: Path) -> None:
    back(workspace, write_coco(tmp_path / "a.json", COCO))
    document = coco()
    document["images"], document["annotations"] = document["images"][:2], document["annotations"][:1]
    document["annotations"][0]["bbox"] = [11, 20, 30, 40]
    result = back(workspace, write_coco(tmp_path / "b.json", document))
    assert (result.labels.added, result.labels.replaced, result.labels.kept) == (0, 2, 2)
    assert (result.replaced, result.changed) == ((FRAMES[0], FRAMES[1]), (FRAMES[0],))
    labels = labels_of(workspace)
    assert labels[FRAMES[0]].boxes_xyxy == ((11, 20, 41, 60),)
    assert labels[FRAMES[0]].label_file == str(tmp_path / "b.json")
    assert labels[FRAMES[2]].label_file == str(tmp_path / "a.json")


def test_of_several_files_all_are_checked_first_and_the_last_counts(workspace: Workspace, tmp_path: Path) -> None:
    good, later = write_coco(tmp_path / "good.json", COCO), coco()
    later["images"], later["annotations"] = later["images"][:1], later["annotations"][:1]
    later["annotations"][0]["category_id"] = 2
    bad = write_coco(tmp_path / "bad.json", {"images": []})
    worse = write_coco(tmp_path / "worse.json", coco(categories=[]))
    before = workspace.labels.read_bytes()
    with pytest.raises(RefusedError) as caught:
        back(workspace, good, bad, worse)
    assert [error.path for error in caught.value.errors] == [bad, worse]
    assert f"refused as well: {worse} (unknown-category-id)" in str(caught.value)
    assert workspace.labels.read_bytes() == before
    assert not versions(workspace)
    result = back(workspace, good, write_coco(tmp_path / "later.json", later))
    assert result.twice == (FRAMES[0],)
    assert labels_of(workspace)[FRAMES[0]].categories == ("bus",)


def test_nothing_is_written_in_a_dry_run(workspace: Workspace, tmp_path: Path) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}

    before = content()
    result = back(workspace, write_coco(tmp_path / "a.json", COCO), dry_run=True)
    assert (result.labels.frames, result.before) == (4, None)
    assert content() == before


def test_the_same_return_twice_changes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    path = write_coco(tmp_path / "a.json", COCO)
    back(workspace, path)
    before = workspace.labels.read_bytes()
    result = back(workspace, path)
    assert (len(result.replaced), result.changed, result.before) == (3, (), None)
    assert workspace.labels.read_bytes() == before
    assert len(versions(workspace)) == 2


def test_every_state_can_be_restored(workspace: Workspace, tmp_path: Path) -> None:
    states = [workspace.labels.read_bytes()]
    for n in range(3):
        document = coco()
        document["annotations"][0]["bbox"][0] = 10 + n
        result = back(workspace, write_coco(tmp_path / f"{n}.json", document))
        assert result.before is not None
        assert result.before.number == n + 1
        states.append(workspace.labels.read_bytes())
    assert [version.path.read_bytes() for version in versions(workspace)] == states
    pool = Pool.load(workspace)
    assert (pool.count("labeled"), pool.count("unlabeled")) == (4, 7)
    restored = restore(workspace, 1)
    assert (restored.before.number, restored.frames, restored.boxes) == (4, 1, 1)
    assert workspace.labels.read_bytes() == states[0]
    pool = Pool.load(workspace)
    assert (pool.count("labeled"), pool.count("unlabeled")) == (1, 10)
    restore(workspace, 4)
    assert workspace.labels.read_bytes() == states[3]
    assert Pool.load(workspace).count("labeled") == 4


def test_versions_that_cannot_be_restored(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--restore 1: no such version of the labels; none is kept yet"):
        restore(workspace, 1)
    back(workspace, write_coco(tmp_path / "a.json", COCO))
    with pytest.raises(UsageError, match="--restore 3: no such version of the labels; there are 1 to 2"):
        restore(workspace, 3)
    version = versions(workspace)[0]
    version.path.write_bytes(version.path.read_bytes() + b"!")
    before = workspace.labels.read_bytes()
    with pytest.raises(CurateError, match="changed since it was kept"):
        restore(workspace, 1)
    assert workspace.labels.read_bytes() == before


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"PAR1 not"), Path.unlink])
def test_labels_that_are_damaged_or_gone_come_back_from_the_newest_version(
    workspace: Workspace, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    back(workspace, write_coco(tmp_path / "a.json", COCO))
    whole, pool = workspace.labels.read_bytes(), workspace.pool.read_bytes()
    damage(workspace.labels)
    with pytest.raises(CurateError, match=r"labels\.parquet: .*; `curate label --restore NUMBER` brings back"):
        back(workspace, tmp_path / "a.json")
    spoilt = workspace.labels.read_bytes() if workspace.labels.exists() else None
    restored = restore(workspace, 2)
    assert workspace.labels.read_bytes() == whole
    assert workspace.pool.read_bytes() == pool
    assert [version.number for version in versions(workspace)] == [1, 2]
    assert (restored.damaged.read_bytes() if restored.damaged else None) == spoilt


def test_labels_against_predictions(workspace: Workspace, tmp_path: Path) -> None:
    document = coco()
    # As predicted; one moved by 4 pixels of 40; one added. The third prediction is taken out.
    document["annotations"][:1] = [
        {"id": 11, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40]},
        {"id": 12, "image_id": 1, "category_id": 2, "bbox": [104, 20, 40, 40]},
        {"id": 13, "image_id": 1, "category_id": 2, "bbox": [60, 70, 20, 20]},
    ]
    comparison = back(workspace, write_coco(tmp_path / "a.json", document)).comparison
    assert comparison.detectors == ("retinanet-1",)
    first, second, photo = comparison.changes
    assert (first.frame_id, first.ious, first.flips) == (FRAMES[0], (1.0, round(36 / 44, 4)), ())
    assert (first.added, first.removed) == (1, 1)
    assert (second.ious, second.added, second.removed) == ((), 0, 0)
    assert (photo.ious, photo.flips, photo.added, photo.removed) == ((1.0,), (("car", "bus"),), 1, 0)
    report = comparison.as_dict()
    assert (report["matched"], report["added"], report["removed"]) == (3, 2, 1)
    assert report["class_flips"] == [{"predicted": "car", "labelled": "bus", "count": 1}]
    # Class: sure of a car where a bus is labelled. Missed: sure of a car where nothing is. Unseen: a label of 2 pixels.
    assert [(one.kind, one.frame_id) for one in comparison.suspects] == [
        ("class", FRAMES[2]),
        ("missed", FRAMES[0]),
        ("unseen", FRAMES[2]),
    ]
    assert [one.suspicion for one in comparison.suspects] == [0.95, 0.8, 0.5]
    assert comparison.suspects[0].detail == "labelled bus, the detector sees car (0.95) at IoU 1.00"


def test_without_predictions_there_is_nothing_to_compare(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.scores / RUN / "part-000000.parquet").unlink()
    comparison = back(workspace, write_coco(tmp_path / "a.json", COCO)).comparison
    assert (comparison.detectors, comparison.changes, comparison.suspects) == ((), (), ())


def test_no_file_and_no_such_file(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no label file is given"):
        back(workspace)
    with pytest.raises(UsageError, match=r"none\.json: cannot be read \(No such file"):
        back(workspace, tmp_path / "none.json")


def test_links_within_a_folder_are_followed(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "return", {"real/labels.json": TEXT})
    (folder / "again").symlink_to(folder / "real")
    assert back(workspace, folder).labels.added == 3


def test_a_kill_before_the_labels_are_written_is_mended_by_the_same_command(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_coco(tmp_path / "a.json", COCO)
    before = workspace.labels.read_bytes()

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("curate.pipeline.label.save_labels", killed)
        with pytest.raises(KeyboardInterrupt):
            back(workspace, path)
    assert workspace.labels.read_bytes() == before
    assert back(workspace, path).labels.added == 3
    assert [version.path.read_bytes() for version in versions(workspace)] == [before, workspace.labels.read_bytes()]
