"""FiftyOne from the command line: the dataset over a real mongod, and every other stage without one."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from browse.mongod import free_port
from commands import curate, rows, selection
from example import COLD, Example

from curate.workspace import Workspace

WITH_FIFTYONE = [option for option in COLD if option != "--no-fiftyone"]


def dataset(workspace: Path) -> Any:
    import fiftyone as fo

    fo.config.show_progress_bars = False
    found = fo.load_dataset(Workspace.open(workspace).dataset_name)
    found.reload()
    return found


def ranking(workspace: Path) -> list[tuple[int, str]]:
    found = dataset(workspace).load_saved_view("selected").values(["rank", "frame_id"])
    return list(zip(*found, strict=True))


def written(workspace: Path) -> list[tuple[int, str]]:
    return [(int(row["rank"]), row["frame_id"]) for row in rows(workspace)]


@pytest.mark.usefixtures("database_uri")
def test_the_datasets_ranking_equals_the_selection(example: Example, ranked: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(ranked, workspace)
    done = curate("score", example.videos, "--budget", "10%", *WITH_FIFTYONE, "-w", workspace)
    assert "(50 samples): curate browse" in done.stdout
    assert selection(workspace) == selection(ranked)
    assert ranking(workspace) == written(workspace)
    assert dataset(workspace).load_saved_view("ranked").first().uncertainty_rank == 1
    best = dataset(workspace).load_saved_view("selected").first()
    assert best.frame_id == rows(workspace)[0]["frame_id"]
    assert best.uncertainty == pytest.approx(float(rows(workspace)[0]["uncertainty"]), rel=1e-5)
    assert "selected" in best.tags
    assert best.frame_number == best.frame_index + 1

    labeled = dataset(workspace).exists("ground_truth")
    assert set(labeled.values("frame_id")) == {row["frame_id"] for row in rows(example.workspace)}

    curate("select", "--budget", "7", "--acquisition", "mean-uncertainty", "--min-gap", "0", "-w", workspace)
    assert len(written(workspace)) == 7
    assert ranking(workspace) == written(workspace)


def test_without_a_database_everything_else_is_done(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIFTYONE_DATABASE_URI", f"mongodb://127.0.0.1:{free_port()}")
    workspace = tmp_path / "w"
    shutil.copytree(example.workspace, workspace)
    shutil.rmtree(workspace / "selection")
    done = curate("score", example.videos, "--budget", "20%", *WITH_FIFTYONE, "-w", workspace)
    (line,) = [line for line in done.stdout.splitlines() if "FiftyOne" in line]
    assert "not written" in line
    assert "unset the variable to use the mongod that comes with FiftyOne" in line
    assert selection(workspace) == selection(example.workspace)
    curate("export", "--classes", "zero", "-w", workspace)
    done = curate("browse", "--no-open", "-w", workspace, code=1)
    assert "no MongoDB answers" in done.stderr
