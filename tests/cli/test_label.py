"""Labels go out and come back from the command line."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from commands import curate, one_line
from example import COLD, Example


def rows(workspace: Path) -> dict[str, dict[str, Any]]:
    return {row["frame_id"]: row for row in pq.read_table(workspace / "labels.parquet").to_pylist()}


@pytest.fixture
def exported(ranked: Path, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A workspace with four frames handed out, and the document that went with them: each object has a polygon."""
    workspace = tmp_path / "w"
    shutil.copytree(ranked, workspace)
    curate("export", "--with-predictions", "-w", workspace)
    document = json.loads((workspace / "exports" / "coco" / "annotations.json").read_text())
    # A detector trained for 30 steps may have found nothing.
    document["annotations"] = [
        {
            "id": 3 * n + k,
            "image_id": image["id"],
            "category_id": k + 1,
            "bbox": [10 + n / 7, 20 + k * 60 + n / 3, 40.3, 30.7],
            "area": 1,
            "iscrowd": 0,
            "segmentation": [[10 + n / 7, 20 + k * 60 + n / 3, 50.3, 30.1 + k * 60, 20.5, 50.1 + k * 60]],
            "score": 0.5,
        }
        for n, image in enumerate(document["images"])
        for k in range(3)
    ]
    return workspace, document


def test_unchanged_labels_come_back_without_loss(exported: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    workspace, document = exported
    before = rows(workspace)
    returned = tmp_path / "returned.json"
    returned.write_text(json.dumps(document))
    done = curate("label", returned, "-w", workspace)
    assert "Returned: 4 frames with 12 boxes (coco): 4 new, 0 labelled before" in done.stdout
    assert "Handed out: 4 frames, 0 of them not labelled yet" in done.stdout
    labels = rows(workspace)
    assert {id_: row for id_, row in labels.items() if id_ in before} == before
    frame_ids = {
        image["id"]: image["file_name"].removesuffix(".jpg").replace("_f", ":") for image in document["images"]
    }
    assert set(labels) - set(before) == set(frame_ids.values())
    names = {category["id"]: category["name"] for category in document["categories"]}
    for image_id, frame_id in frame_ids.items():
        row = labels[frame_id]
        objects = [one for one in document["annotations"] if one["image_id"] == image_id]
        assert row["categories"] == [names[one["category_id"]] for one in objects]
        for box, one in zip(row["boxes_xyxy"], objects, strict=True):
            x, y, width, height = one["bbox"]
            assert box == pytest.approx([x, y, x + width, y + height], abs=0.01)
        assert [json.loads(one) for one in row["segmentations"]] == [one["segmentation"] for one in objects]
        assert row["label_file"] == str(returned)
        assert row["label_file_sha256"] == hashlib.sha256(returned.read_bytes()).hexdigest()
    report = json.loads((workspace / "report.json").read_text())
    assert report["command"] == "label"
    assert report["results"]["label"]["files"][0]["format"] == "coco"
    assert report["results"]["label"]["against_predictions"]["frames_compared"] == 4
    assert report["results"]["label"]["version_before"] == 2


def test_the_exported_folder_itself_is_a_return(ranked: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(ranked, workspace)
    curate("export", "-w", workspace)
    done = curate("label", workspace / "exports" / "coco", "-w", workspace, "--skip-empty")
    assert "Returned: 0 frames with 0 boxes (coco)" in done.stdout
    assert "4 pictures without objects were left out" in done.stdout
    assert "Handed out: 4 frames, 4 of them not labelled yet" in done.stdout


def test_frames_that_came_back_are_not_handed_out_again(exported: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    workspace, document = exported
    returned, images = tmp_path / "returned.json", document["images"]
    returned.write_text(json.dumps(document | {"images": images[:3], "annotations": []}))
    curate("label", returned, "-w", workspace)
    done = curate("export", "-w", workspace)
    assert "Left out: 3 of 4 frames, labelled already" in done.stdout
    assert "Exported 1 frames for coco" in done.stdout
    again = json.loads((workspace / "exports" / "coco" / "annotations.json").read_text())
    assert [image["file_name"] for image in again["images"]] == [images[3]["file_name"]]
    returned.write_text(json.dumps(document | {"images": images[3:], "annotations": []}))
    curate("label", returned, "-w", workspace)
    line = one_line(curate("export", "-w", workspace, code=1))
    assert line.startswith("curate: all 4 selected frames are labelled: nothing to export; run `curate score ")
    assert (workspace / "exports" / "coco" / "annotations.json").exists()


def test_edited_labels_replace_the_first_and_can_be_taken_back(
    exported: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    workspace, document = exported
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    first.write_text(json.dumps(document))
    document["annotations"][0]["bbox"][0] += 3
    second.write_text(json.dumps(document))
    curate("label", first, "-w", workspace)
    before = (workspace / "labels.parquet").read_bytes()
    pool = (workspace / "pool.parquet").read_bytes()
    report = (workspace / "report.json").read_bytes()
    done = curate("label", second, "--dry-run", "-w", workspace)
    assert "0 new, 4 labelled before (1 of them changed)" in done.stdout
    assert "Dry run: nothing is written" in done.stdout
    assert (workspace / "labels.parquet").read_bytes() == before
    assert (workspace / "report.json").read_bytes() == report
    done = curate("label", second, "-w", workspace)
    assert "before: version 3 (`curate label --restore 3` brings it back)" in done.stdout
    assert (workspace / "labels.parquet").read_bytes() != before
    done = curate("label", "--restore", 3, "-w", workspace)
    assert "Labels: version 3 again, 14 frames" in done.stdout
    assert "version 4" in done.stdout
    assert (workspace / "labels.parquet").read_bytes() == before
    assert (workspace / "pool.parquet").read_bytes() == pool


def unknown_class(document: dict[str, Any]) -> None:
    document["categories"][0]["name"] = "Zero"


def outside(document: dict[str, Any]) -> None:
    document["annotations"][0]["bbox"] = [9000, 0, 10, 10]


@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [(unknown_class, "unknown-class", '(meant "zero"?)'), (outside, "bbox-outside", "320x240")],
)
def test_a_refused_return_is_one_line_and_all_of_it_is_in_the_report(
    exported: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    spoil: Callable[[dict[str, Any]], None],
    kind: str,
    said: str,
) -> None:
    workspace, document = exported
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(document))
    spoil(document)
    bad.write_text(json.dumps(document))
    before = (workspace / "labels.parquet").read_bytes()
    line = one_line(curate("label", good, bad, "-w", workspace, code=1))
    assert f"{bad}: annotation 0:" in line
    assert f"[{kind}]" in line
    assert said in line
    assert (workspace / "labels.parquet").read_bytes() == before
    (refused,) = json.loads((workspace / "report.json").read_text())["results"]["label"]["refused"]
    assert refused["path"] == str(bad)
    assert refused["problems"][0]["kind"] == kind
    assert refused["problems"][0]["what_to_do"]


def test_json_is_the_whole_report(exported: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    workspace, document = exported
    returned = tmp_path / "returned.json"
    returned.write_text(json.dumps(document))
    printed = json.loads(curate("label", returned, "--json", "--dry-run", "-w", workspace).stdout)
    assert (printed["added"], printed["returned_boxes"]) == (4, 12)
    assert len(printed["against_predictions"]["frames"]) == 4


def test_frames_that_are_no_candidates_are_read_from_their_videos(example: Example, tmp_path: Path) -> None:
    from curate.demo import cut_labels

    workspace, labels = tmp_path / "w", tmp_path / "odd.json"
    shutil.copytree(example.workspace, workspace)
    cut_labels(example.truth, labels, [("digits_00", 13), ("digits_01", 7)])
    done = curate("label", labels, "--dry-run", "-w", workspace)
    assert "2 frames are no candidates and would be read from their videos" in done.stdout
    curate("label", labels, "-w", workspace)
    assert {(row["source"][:9], row["frame_index"]) for row in rows(workspace).values()} == {
        ("digits_00", 13),
        ("digits_01", 7),
    }
    curate("label", "--restore", 1, "-w", workspace)
    assert rows(workspace) == {}


def test_damaged_labels_stop_every_command_until_a_version_is_restored(ranked: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(ranked, workspace)
    whole = (workspace / "labels.parquet").read_bytes()
    (workspace / "labels.parquet").write_bytes(whole[: len(whole) // 2])
    line = one_line(curate("train", "-w", workspace, code=1))
    assert "`curate label --restore NUMBER` brings back a version of labels-history/" in line
    done = curate("label", "--restore", 2, "-w", workspace)
    assert "Labels: version 2 again, 10 frames" in done.stdout
    assert "labels.parquet could not be read; it is now " in done.stdout
    assert (workspace / "labels.parquet").read_bytes() == whole
    assert (workspace / "labels-history" / "damaged-1.parquet").read_bytes() == whole[: len(whole) // 2]


@pytest.mark.parametrize("name", ["index.parquet", "pool.parquet"])
def test_a_lost_pool_is_read_again_and_its_labels_stay(
    example: Example, ranked: Path, tmp_path: Path, name: str
) -> None:
    from curate.demo import cut_labels

    workspace, odd = tmp_path / "w", tmp_path / "odd.json"
    shutil.copytree(ranked, workspace)
    cut_labels(example.truth, odd, [("digits_00", 13)])  # that no sampling draws
    curate("label", odd, "-w", workspace)
    before = pq.read_table(workspace / "pool.parquet")
    labels = (workspace / "labels.parquet").read_bytes()
    (workspace / name).unlink()
    assert "run `curate score PATHS`" in one_line(curate("train", "--steps", 2, "-w", workspace, code=1))
    arguments = ("--budget", 3, *COLD, "--detector", next((ranked / "detectors").iterdir()).name, "-w", workspace)
    curate("score", example.videos, *arguments)
    assert pq.read_table(workspace / "pool.parquet").equals(before)
    assert (workspace / "labels.parquet").read_bytes() == labels


def test_labels_of_videos_that_a_new_pool_lacks_are_trained_on(example: Example, ranked: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(ranked, workspace)
    (workspace / "index.parquet").unlink()
    videos = sorted(example.videos.iterdir())
    arguments = ("--budget", 3, *COLD, "--detector", next((ranked / "detectors").iterdir()).name, "-w", workspace)
    done = curate("score", videos[0], *arguments)
    assert "Labelled, but not in the pool: digits_01-" in done.stdout
    curate("train", "--steps", 2, "--batch-size", 2, "-w", workspace)
    shutil.rmtree(workspace / "frames" / next(path.name for path in (workspace / "frames").glob("digits_01-*")))
    line = one_line(curate("train", "--steps", 3, "--batch-size", 2, "-w", workspace, code=1))
    assert "run `curate score` with the path of its video" in line


def test_what_was_typed_wrongly(example: Example, tmp_path: Path) -> None:
    workspace = example.workspace
    (tmp_path / "a.json").write_text("{}")
    for arguments, text in (
        ((), "no label file is given"),
        ((tmp_path / "a.json", "--format", "csv"), "choose from coco, voc, yolo"),
        ((tmp_path / "a.json", "--restore", 1), "give one of them"),
    ):
        assert text in one_line(curate("label", *arguments, "-w", workspace, code=2))
    assert "no workspace there" in one_line(curate("label", tmp_path / "a.json", "-w", tmp_path / "w", code=1))
