"""The example, made once for all tests of the command line."""

import pytest
from commands import curate
from example import COLD, Example

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
