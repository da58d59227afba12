"""Bad input: one clear line, the right exit code, and nothing that was there is lost."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import curate, one_line
from example import COLD, Example
from folders import deep_folder


@pytest.fixture
def videos(example: Example, tmp_path: Path) -> Path:
    """A folder with one good video, to put bad things beside."""
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy2(sorted(example.videos.iterdir())[0], folder)
    return folder


def test_no_such_path(tmp_path: Path) -> None:
    line = one_line(curate("score", tmp_path / "nothing", "-w", tmp_path / "w", code=2))
    assert str(tmp_path / "nothing") in line
    assert not (tmp_path / "w").exists()


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    line = one_line(curate("score", tmp_path / "empty", "-w", tmp_path / "w", code=1))
    assert "no videos or images" in line


@pytest.mark.parametrize("budget", ["0%", "101%", "abc", "0", "-1"])
def test_budget_that_is_none(videos: Path, tmp_path: Path, budget: str) -> None:
    line = one_line(curate("score", videos, f"--budget={budget}", "-w", tmp_path / "w", code=2))
    assert f"'{budget}'" in line
    assert "5%" in line


def test_budget_larger_than_the_pool(videos: Path, tmp_path: Path) -> None:
    line = one_line(curate("score", videos, "--budget", 5000, *COLD, "-w", tmp_path / "w", code=1))
    assert "--budget 5000: the pool has 10 unlabelled frames" in line


def test_two_samplings_and_times_that_are_none(videos: Path, tmp_path: Path) -> None:
    for options, text in (
        (("--every", "1s", "--fps", "2"), "only one of"),
        (("--every", "soon"), "--every 'soon'"),
        (("--fps", "0"), "--fps 0"),
        (("--min-gap", "-1s"), "--min-gap"),
        (("--backend", "ffmpeg"), "--backend 'ffmpeg': choose from auto, decord, pyav"),
    ):
        assert text in one_line(curate("score", videos, *options, "-w", tmp_path / "w", code=2))


@pytest.mark.parametrize("kind", ["text", "empty", "truncated"])
def test_unreadable_video_is_skipped_named_and_the_rest_is_done(videos: Path, tmp_path: Path, kind: str) -> None:
    good = next(videos.iterdir())
    content = {"text": b"this is no video\n" * 100, "empty": b"", "truncated": good.read_bytes()[:20_000]}[kind]
    (videos / "bad.mp4").write_bytes(content)
    workspace = tmp_path / "w"
    arguments = ("score", videos, "--budget", 3, *COLD, "-w", workspace)
    for _ in range(2):  # the second run reads nothing and still says so
        done = curate(*arguments, code=3)
        assert "bad.mp4" in done.stderr
        report = json.loads((workspace / "report.json").read_text())
        assert [Path(skipped["path"]).name for skipped in report["skipped"]] == ["bad.mp4"]
        assert report["skipped"][0]["reason"]
        assert report["results"]["select"]["selected"] == 3
    assert report["results"]["index"]["read"] == 0


def test_names_that_are_not_utf8_and_folders_that_cannot_be_listed_are_skipped(videos: Path, tmp_path: Path) -> None:
    bad = videos / os.fsdecode(b"bad\xff.mp4")
    shutil.copy2(next(videos.iterdir()), bad)
    deep = deep_folder(videos)
    workspace = tmp_path / "w"
    done = curate("score", videos, bad, "--budget", 3, *COLD, "-w", workspace, code=3)
    assert "Skipped: 2 inputs could not be read" in done.stderr
    report = json.loads((workspace / "report.json").read_bytes().decode("utf-8"))
    assert report["options"]["paths"] == [str(videos), rf"{videos}/bad\xff.mp4"]
    assert [skipped["path"] for skipped in report["skipped"]] == [rf"{videos}/bad\xff.mp4", str(deep)]
    assert [skipped["reason"][:28] for skipped in report["skipped"]] == [
        "its path is not UTF-8, and c",
        "the folder cannot be listed ",
    ]
    assert report["results"]["select"]["selected"] == 3
    done = curate("probe", videos, "--json", code=3)
    assert len(done.stdout.splitlines()) == 1
    assert [line[: len(f"Skipped: {videos}/")] for line in done.stderr.splitlines()] == [f"Skipped: {videos}/"] * 2
    for command in ("score", "probe"):
        line = one_line(curate(command, bad, *(("-w", workspace) if command == "score" else ()), code=1))
        assert r"bad\xff.mp4: its path is not UTF-8" in line


def test_nothing_readable_at_all(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_text("text")
    line = one_line(curate("score", tmp_path / "bad.mp4", "-w", tmp_path / "w", code=1))
    assert "no frame could be read" in line
    assert "bad.mp4" in line
    (tmp_path / "worse.mp4").write_text("text")
    line = one_line(curate("score", tmp_path / "worse.mp4", "-w", tmp_path / "w", code=1))
    assert f"no frame could be read from 1 files; the first: {tmp_path / 'worse.mp4'}: " in line
    (tmp_path / "none.txt").write_text("# nothing yet")
    line = one_line(curate("score", f"@{tmp_path / 'none.txt'}", "-w", tmp_path / "w", code=2))
    assert "none.txt: an empty list" in line


def test_a_full_disk_is_one_line_and_leaves_no_part_of_a_file(example: Example, videos: Path, tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    shutil.copytree(example.workspace, old)
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    for arguments, workspace, file in (
        (("score", videos, *COLD), new, "frames/digits_00-"),
        (("label", example.labels), old, "labels.parquet"),
        (("export", "--classes", "a"), old, "exports/coco: "),
    ):
        done = curate(*arguments, "-w", workspace, code=1, file_limit_bytes=500)
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith(f"curate: {workspace}/{file}")
        assert "cannot be written" in line
        assert "File too large" in line
    assert {path.name for path in new.rglob("*") if path.is_file()} == {".lock", "workspace.json"}
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before


def test_a_full_disk_is_not_taken_for_videos_that_cannot_be_read(example: Example, tmp_path: Path) -> None:
    shutil.copytree(example.workspace, tmp_path / "w")
    shutil.rmtree(tmp_path / "w" / "selection")
    done = curate("select", "--no-fiftyone", "-w", tmp_path / "w", code=1, file_limit_bytes=500)
    assert done.stderr.startswith(f"curate: {tmp_path / 'w' / 'selection' / 'images'}/digits_")
    assert "cannot be written (File too large)" in done.stderr


def test_a_workspace_that_cannot_be_written_is_one_line(example: Example, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for arguments in (("score", example.videos, "-w", file / "w"), ("demo", "--folder", file)):
        line = one_line(curate(*arguments, code=1))
        assert f"{file}" in line
        assert "cannot be written" in line
    workspace = tmp_path / "w"
    shutil.copytree(example.workspace, workspace)
    (workspace / ".lock").unlink()
    (workspace / ".lock").mkdir()  # the lock cannot be taken, as in a folder that is read-only
    for arguments in (("select",), ("export", "--classes", "a"), ("label", example.labels), ("train",)):
        line = one_line(curate(*arguments, "-w", workspace, code=1))
        assert line.startswith(f"curate: --workspace {workspace}: cannot be written (")
    (workspace / ".lock").rmdir()
    shutil.rmtree(workspace / "exports", ignore_errors=True)
    (workspace / "exports").touch()
    line = one_line(curate("export", "--classes", "a", "-w", workspace, code=1))
    assert line.startswith(f"curate: {workspace / 'exports' / 'coco'}: cannot be written (")


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 1}', '{"format": 1, "imgsz": "large"}'])
def test_a_damaged_workspace_file_says_how_to_mend_it(example: Example, tmp_path: Path, damage: str) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(example.workspace, workspace)
    settings = workspace / "workspace.json"
    imgsz = json.loads(settings.read_text())["imgsz"]
    settings.write_text(damage)
    line = one_line(curate("select", "--no-fiftyone", "-w", workspace, code=1))
    assert line.startswith(f"curate: {settings}: damaged")
    settings.write_text(line[line.index("{") : line.index("}") + 1].replace("N", str(imgsz)))
    curate("select", "--no-fiftyone", "-w", workspace)


def bbox(*values: float) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["annotations"][0].update(bbox=list(values))


BAD_LABELS: dict[str, tuple[Callable[[dict[str, Any]], None] | str, str]] = {
    "not JSON": ("{'images': ", "JSON"),
    "unknown video": (lambda d: d["videos"][0].update(file_name="else.mp4"), "else.mp4"),
    "unknown image": (lambda d: d["images"][0].update(video_id=None, frame_index=None, file_name="x.jpg"), "x.jpg"),
    "bbox NaN": (bbox(float("nan"), 1, 2, 3), "annotation 1"),
    "bbox negative": (bbox(1, 1, -2, 3), "annotation 1"),
    "frame beyond the end": (lambda d: d["images"][0].update(frame_index=5000), "5000"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels(example: Example, tmp_path: Path, case: str) -> None:
    change, text = BAD_LABELS[case]
    document = json.loads(example.labels.read_text())
    document["annotations"] = [{**a, "id": n + 1} for n, a in enumerate(document["annotations"])]
    labels, workspace = tmp_path / "labels.json", tmp_path / "w"
    if isinstance(change, str):
        labels.write_text(change)
    else:
        change(document)
        labels.write_text(json.dumps(document))
    shutil.copytree(example.workspace, workspace)
    before = (workspace / "selection" / "selection.csv").read_bytes()
    done = curate("score", example.videos, *COLD, "--labels", labels, "-w", workspace, code=1)
    assert text in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (workspace / "labels.parquet").exists()
    assert (workspace / "selection" / "selection.csv").read_bytes() == before


def test_missing_label_file_unknown_detector_and_unknown_acquisition(example: Example, tmp_path: Path) -> None:
    workspace = example.workspace
    line = one_line(curate("score", example.videos, "--labels", tmp_path / "no.json", "-w", tmp_path / "w", code=2))
    assert "no.json" in line
    line = one_line(curate("score", example.videos, *COLD, "--detector", "best", "-w", workspace, code=2))
    assert "best" in line
    line = one_line(curate("select", "--acquisition", "magic", "-w", workspace, code=2))
    assert "magic" in line
    line = one_line(curate("select", "--run", "typo", "-w", workspace, code=2))
    assert line == "curate: --run typo: no such score run; there are cold-start"
    line = one_line(curate("select", "--acquisition", "mean-uncertainty", "-w", workspace, code=2))
    assert "leave it out for a diverse first set" in line
    line = one_line(curate("train", "--detector", "yolo", "-w", workspace, code=2))
    assert "yolo" in line
    assert "retinanet" in line


def test_what_cannot_be_selected_is_refused_before_training(example: Example, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(example.workspace, workspace)
    arguments = ("score", example.videos, *COLD, "--labels", example.labels, "-w", workspace)
    assert "magic" in one_line(curate(*arguments, "--acquisition", "magic", code=2))
    done = curate(*arguments, "--budget", 41, code=1)
    assert "40 unlabelled frames" in done.stderr
    assert not list((workspace / "detectors").glob("*"))


def test_what_cannot_be_done_is_refused_before_decoding(videos: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    for options, text in (
        (("--detector", "typo"), "--detector typo: no trained detector"),
        (("--start-from", "typo"), "--start-from typo: no trained detector"),
        (("--weights", "typo"), "--weights typo: no such file; give embedded, imagenet, none or a FILE"),
        (("--acquisition", "midl"), "--acquisition midl: needs scores of a detector, and there are none yet"),
    ):
        assert text in one_line(curate("score", videos, *options, *COLD, "-w", workspace, code=2))
    assert not (workspace / "index.parquet").exists()
    curate("score", videos, *COLD, "--budget", 3, "-w", workspace)
    labels = tmp_path / "labels.json"
    labels.write_text("not read")
    assert "--weights typo" in one_line(
        curate("train", "--labels", labels, "--weights", "typo", "-w", workspace, code=2)
    )


@pytest.mark.parametrize(
    "option",
    [
        ("--preset", "paper"),
        ("--steps", 5),
        ("--backbone", "vgg16"),
        ("--weights", "none"),
        ("--start-from", "other"),
        ("--batch-size", 2),
        ("--devices", 1),
        ("--holdout", 0.5),
    ],
)
def test_a_detector_that_is_there_is_not_trained(videos: Path, tmp_path: Path, option: tuple[str, object]) -> None:
    line = one_line(curate("score", videos, "--detector", "best", *option, *COLD, "-w", tmp_path / "w", code=2))
    assert f"{option[0]} is of a training, and --detector best is trained already; leave one of them out" in line
    assert not (tmp_path / "w").exists()


def test_weights_and_a_detector_to_start_from_contradict(videos: Path, tmp_path: Path) -> None:
    options = ("--start-from", "first", "--weights", "none", "-w", tmp_path / "w")
    for command in (("score", videos), ("train",)):
        line = one_line(curate(*command, *options, code=2))
        assert "--weights none: --start-from first brings all weights; leave one out" in line


@pytest.mark.parametrize("option", [("--steps", 5), ("--holdout", 0.5)])
def test_options_of_a_training_without_labels_are_said_to_do_nothing(
    videos: Path, tmp_path: Path, option: tuple[str, object]
) -> None:
    done = curate("score", videos, *COLD, "--budget", 3, *option, "-w", tmp_path / "w")
    assert "No labels: nothing is trained yet, so the options of the training have no say" in done.stdout


def test_no_workspace_no_labels_no_classes(example: Example, tmp_path: Path) -> None:
    for command in ("train", "select", "browse", "export"):
        assert "no workspace there" in one_line(curate(command, "-w", tmp_path / "w", code=1))
    assert "no labels" in one_line(curate("train", "-w", example.workspace, code=1))
    assert "--classes" in one_line(curate("export", "-w", example.workspace, code=2))
