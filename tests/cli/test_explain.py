"""`curate explain` as a user calls it."""

import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from commands import curate, one_line, rows
from example import Example
from PIL import Image

from curate.cli.explain import describe
from curate.errors import UsageError
from curate.pipeline.explain import explain
from curate.workspace import Workspace


def lines_of(workspace: Path, name: str) -> list[str]:
    return list(describe(explain(Workspace.open(workspace), name, picture=False)))


def test_the_first_pick_with_its_picture(ranked: Path, tmp_path: Path) -> None:
    out = tmp_path / "why.png"
    done = curate("explain", "1", "--out", out, "-w", ranked)
    picked = rows(ranked)[0]
    text = done.stdout.splitlines()
    assert text[0].startswith(f"{picked['frame_id']}: digits_0")
    assert text[1].startswith("Picked: rank 1 of 4 by ")
    assert any(re.match(r"Image uncertainty \(Eq\. 7\) .*, place \d+ of 40 unlabelled frames;", line) for line in text)
    assert text[-1] == f"Picture: {out}"
    with Image.open(out) as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 4 * 480
        panel = sheet.crop((12 + 3 * 492, 26, 3 * 492 + 480, 26 + 360))
        assert len(panel.getcolors(maxcolors=480 * 360) or ()) > 500, "a heat map over a picture"


def test_a_frame_by_any_of_its_names(ranked: Path) -> None:
    picked = rows(ranked)[1]
    name = picked["frame_id"]
    exported = name.replace(":", "_f")
    first = lines_of(ranked, "2")
    assert first[0].startswith(name)
    for other in (name, exported, f"{exported}.jpg", f"some/folder/{exported}.JPG"):
        assert lines_of(ranked, other) == first


def test_a_frame_that_was_not_picked(ranked: Path) -> None:
    picked = {row["frame_id"] for row in rows(ranked)}
    pool = pq.read_table(ranked / "pool.parquet").to_pylist()
    other = next(row for row in pool if row["state"] == "unlabeled" and row["frame_id"] not in picked)
    text = lines_of(ranked, other["frame_id"])
    assert text[1].startswith("Not picked among the 4 frames")
    assert any(" of 40 unlabelled frames" in line for line in text)
    labeled = next(row for row in pool if row["state"] == "labeled")
    text = lines_of(ranked, labeled["frame_id"])
    assert text[1] == "Not picked: it is labelled"
    assert text[2].startswith("Image uncertainty")
    assert "place" not in text[2]


def test_all_that_a_selection_says(ranked: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(ranked, workspace)
    path = workspace / "selection" / "selection.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    pool = pq.read_table(workspace / "pool.parquet").to_pylist()
    free = [row["frame_id"] for row in pool if row["state"] == "unlabeled"]
    free = [frame_id for frame_id in free if frame_id not in {line["frame_id"] for line in lines}]
    lines[0] |= {
        "utility_parts": {"uncertainty": 0.75, "diversity": 0.5},
        "cluster_size": 1200,
        "suppressed": {"count": 12, "frames": [{"frame_id": free[0], "uncertainty": 0.25, "why": "gap"}]},
        "left_out": {"frame_id": free[1], "uncertainty": 0.5, "why": "quota"},
    }
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = lines_of(workspace, "1")
    assert "  parts of the utility: uncertainty 0.75, diversity 0.5" in text
    assert "  nearest pick or labelled frame of 1,200 candidates" in text
    assert "  kept out 12 candidates, the most uncertain of them:" in text
    assert f"    {free[0]}  uncertainty 0.25  gap" in text
    assert f"  left out although more uncertain and near: {free[1]}  uncertainty 0.5  quota" in text
    assert f"  kept out by rank 1, {lines[0]['frame_id']}: gap" in lines_of(workspace, free[0])
    assert f"  kept out by rank 1, {lines[0]['frame_id']}: quota" in lines_of(workspace, free[1])


def test_a_cold_start_has_text_alone(example: Example) -> None:
    done = curate("explain", "1", "-w", example.workspace)
    assert "Picked: rank 1 of 10 by k-center" in done.stdout
    assert "No picture: no detector has scored the frames yet (cold start)" in done.stdout
    assert not (example.workspace / "explain").exists()


def test_a_detector_from_elsewhere_must_be_the_one_that_scored(ranked: Path, tmp_path: Path) -> None:
    workspace, moved = tmp_path / "w", tmp_path / "moved"
    shutil.copytree(ranked, workspace)
    detector = next((workspace / "detectors").iterdir())
    shutil.move(detector, moved)
    space = Workspace.open(workspace)
    assert explain(space, "1").no_picture == (
        f"the detector {detector.name} is not in the workspace; give --detector FOLDER"
    )
    picture = explain(space, "1", detector=str(moved)).picture
    assert picture is not None
    assert list((workspace / "explain").iterdir()) == [picture]
    weights = moved / "weights.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(UsageError, match="its weights are not those that scored the frames"):
        explain(space, "1", detector=str(moved))
    shutil.move(moved, detector)
    assert "was trained again since" in explain(space, "1").no_picture


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("5", "no frame of that rank; the selection has ranks 1 to 4"),
        ("nonsense", "no such frame in the pool; give a frame_id"),
    ],
)
def test_names_of_no_frame(ranked: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        explain(Workspace.open(ranked), name, picture=False)


def test_a_frame_that_was_not_sampled(ranked: Path) -> None:
    source = rows(ranked)[0]["source"]
    with pytest.raises(UsageError, match="the pool has this video, but not this frame"):
        explain(Workspace.open(ranked), f"{source}:00000003", picture=False)


def test_the_picture_must_be_a_png(ranked: Path, tmp_path: Path) -> None:
    assert "ends in .png" in one_line(curate("explain", "1", "--out", tmp_path / "a.jpg", "-w", ranked, code=2))
