"""The example, made once for all tests of the command line."""

import shutil
from pathlib import Path

import pytest
from commands import curate
from example import COLD, TRAIN, Example

from curate.demo import cut_labels, make_videos
from curate.selection.write import read_selection


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    folder = tmp_path_factory.mktemp("example")
    videos, truth = make_videos(folder, videos=5, frames=50)
    workspace = folder / "w"
    curate("score", videos, "--budget", "20%", *COLD, "-w", workspace)
    labels = folder / "labels.json"
    picked = [(f.source.rpartition("-")[0], f.frame_index) for f in read_selection(workspace / "selection")]
    cut_labels(truth, labels, picked)
    return Example(videos, truth, labels, workspace)


@pytest.fixture(scope="session")
def _second(example: Example, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    workspace = tmp_path_factory.mktemp("ranked") / "w"
    shutil.copytree(example.workspace, workspace)
    arguments = (example.videos, "--budget", "10%", *COLD, *TRAIN, "--labels", example.labels, "-w", workspace)
    return workspace, curate("score", *arguments).stdout


@pytest.fixture(scope="session")
def ranked(_second: tuple[Path, str]) -> Path:
    """A copy of the workspace after the second cycle. Tests that change it copy it first."""
    return _second[0]


@pytest.fixture(scope="session")
def second_cycle(_second: tuple[Path, str]) -> str:
    """What the second cycle printed."""
    return _second[1]
