"""The demo, with fewer steps: killed in the middle, then to its end, then once more."""

import json
import subprocess
import sys
from pathlib import Path

from commands import curate, curate_killed_when, rows


def test_demo(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    arguments = ("demo", "--folder", folder, "--steps", 10, "--no-fiftyone")
    curate_killed_when((folder / "labels.json").exists, *arguments)
    first = rows(folder / "workspace")
    assert len(first) == 50
    assert all(row["reason"].startswith("cold start") for row in first)

    done = curate(*arguments)
    assert "Cold start" not in done.stdout
    assert "Labels: 50 frames" in done.stdout
    ranked = rows(folder / "workspace")
    assert len(ranked) == 10
    assert all(float(row["uncertainty"]) > 0 for row in ranked)
    exported = json.loads((folder / "workspace" / "exports" / "coco" / "annotations.json").read_text())
    assert len(exported["images"]) == 10

    done = curate(*arguments)
    assert "was trained on the same labels and frames before" in done.stdout
    assert rows(folder / "workspace") == ranked


def test_the_videos_are_the_same_every_time(tmp_path: Path) -> None:
    # In processes of their own: what an encoder that is not exact leaves to chance is in the memory that it finds.
    code = "import sys, pathlib, curate.demo as demo; demo.make_videos(pathlib.Path(sys.argv[1]))"
    made = []
    for name in ("a", "b", "c", "d"):
        subprocess.run([sys.executable, "-c", code, tmp_path / name], check=True)
        videos = sorted((tmp_path / name / "videos").iterdir())
        made.append([path.read_bytes() for path in (tmp_path / name / "truth.json", *videos)])
    assert len(made[0]) == 11
    assert made[1:] == made[:1] * 3
