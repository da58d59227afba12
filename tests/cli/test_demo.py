"""The demo, with fewer steps: killed in the middle, then to its end, then once more."""

import json
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
