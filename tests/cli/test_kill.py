"""`kill -9` in decode, training and scoring: the same command again ends as a run that was not killed."""

import shutil
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from commands import curate, curate_killed_when, curate_struck_when, selection
from example import COLD, Example

from curate.demo import make_videos

# Every frame, so that scoring has several shards.
DENSE = ("--all-frames", "--min-gap", "0.2s", "--imgsz", 64, "--no-fiftyone", "--budget", 20)
TRAIN = ("--steps", 40, "--batch-size", 2)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_videos(tmp_path_factory.mktemp("dense"), videos=6, frames=100)[0]


def test_killed_in_decode(videos: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    curate("score", videos, *DENSE, "-w", whole)
    arguments = ("score", videos, *DENSE, "--workers", 1, "-w", killed)
    curate_killed_when(lambda: len(list((killed / "frames").glob("*/*.jpg"))) > 150, *arguments)
    assert not (killed / "selection").exists()
    curate(*arguments)
    assert selection(killed) == selection(whole)
    assert pq.read_table(killed / "pool.parquet").equals(pq.read_table(whole / "pool.parquet"))


def test_interrupted_in_decode(videos: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    arguments = ("score", videos, *DENSE, "--workers", 1, "-w", workspace)
    code, output = curate_struck_when(lambda: any((workspace / "frames").glob("*/*.jpg")), signal.SIGINT, *arguments)
    assert (code, output.splitlines()[-1]) == (130, "curate: interrupted; run the same command again to go on")
    assert "Traceback" not in output
    curate(*arguments)


def test_killed_in_training(example: Example, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for workspace in (whole, killed):
        shutil.copytree(example.workspace, workspace)
    arguments = ("score", example.videos, *COLD, *TRAIN, "--budget", 4, "--labels", example.labels, "-w")
    curate(*arguments, whole)

    curate_killed_when(lambda: any((killed / "detectors").glob("*/resume.pt")), *arguments, killed)
    assert not list(killed.glob("detectors/*/metrics.json"))
    done = curate(*arguments, killed)
    assert "resumed" in done.stdout
    name = next((whole / "detectors").iterdir()).name
    weights = [(workspace / "detectors" / name / "weights.safetensors").read_bytes() for workspace in (whole, killed)]
    assert weights[0] == weights[1]
    assert selection(killed) == selection(whole)


def test_killed_in_scoring(example: Example, videos: Path, tmp_path: Path) -> None:
    trained = tmp_path / "trained"
    shutil.copytree(example.workspace, trained)
    curate("train", "--labels", example.labels, "--steps", 4, "--batch-size", 2, "--name", "small", "-w", trained)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    arguments = ("score", videos, *DENSE, "--detector", trained / "detectors" / "small", "-w")
    curate(*arguments, whole)

    curate_killed_when(lambda: any(killed.glob("scores/*/part-*.parquet")), *arguments, killed)
    done_before = {path: path.stat().st_mtime_ns for path in killed.glob("scores/*/part-*.parquet")}
    assert 1 <= len(done_before) < 3
    curate(*arguments, killed)
    assert all(path.stat().st_mtime_ns == mtime for path, mtime in done_before.items())
    parts = [sorted(workspace.glob("scores/*/part-*.parquet")) for workspace in (whole, killed)]
    assert [path.name for path in parts[0]] == [path.name for path in parts[1]]
    assert pq.read_table(parts[0]).equals(pq.read_table(parts[1]))
    assert selection(killed) == selection(whole)
