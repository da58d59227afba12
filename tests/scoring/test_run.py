from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from curate.errors import CurateError
from curate.scoring.run import SHARD_FRAMES, RunInfo, ScoreRun

INFO = RunInfo("detector", "d", ("a", "b"), "f" * 64)


class Counting:
    """A shard scorer that can be told to fail at a shard, as a kill would."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.seen: list[list[str]] = []
        self.fail_at = fail_at

    def __call__(self, frame_ids: Sequence[str], paths: Sequence[Path]) -> pa.Table:
        if len(self.seen) == self.fail_at:
            raise KeyboardInterrupt
        self.seen.append(list(frame_ids))
        return pa.table({"frame_id": list(frame_ids), "uncertainty": [float(len(path.name)) for path in paths]})


def frame_ids(start: int, stop: int) -> list[str]:
    return [f"v-00000000:{i:08d}" for i in range(start, stop)]


def test_every_frame_once_in_shards(tmp_path: Path) -> None:
    run, scorer = ScoreRun(tmp_path), Counting()
    ids = frame_ids(0, 2 * SHARD_FRAMES + 1)
    run.plan(INFO, ids)
    assert run.score(run.pending(), scorer, Path) == len(ids)
    assert [len(shard) for shard in scorer.seen] == [SHARD_FRAMES, SHARD_FRAMES, 1]
    assert run.read(["frame_id", "uncertainty"])["frame_id"].to_pylist() == ids
    assert run.info == INFO
    assert run.pending() == {}


def test_interrupted_run_goes_on_with_the_same_shards(tmp_path: Path) -> None:
    ids = frame_ids(0, 3 * SHARD_FRAMES)
    whole, killed = ScoreRun(tmp_path / "whole"), ScoreRun(tmp_path / "killed")
    for run in (whole, killed):
        run.plan(INFO, ids)
    whole.score(whole.pending(), Counting(), Path)
    with pytest.raises(KeyboardInterrupt):
        killed.score(killed.pending(), Counting(fail_at=1), Path)
    resumed = ScoreRun(killed.directory)
    resumed.plan(INFO, ids)
    scorer = Counting()
    assert resumed.score(resumed.pending(), scorer, Path) == 2 * SHARD_FRAMES
    assert scorer.seen == [ids[SHARD_FRAMES : 2 * SHARD_FRAMES], ids[2 * SHARD_FRAMES :]]
    assert resumed.read(["frame_id", "uncertainty"]).equals(whole.read(["frame_id", "uncertainty"]))


def test_new_frames_are_planned_behind_the_old(tmp_path: Path) -> None:
    run = ScoreRun(tmp_path)
    run.plan(INFO, frame_ids(10, 12))
    run.score(run.pending(), Counting(), Path)
    run.plan(INFO, frame_ids(8, 12))
    scorer = Counting()
    run.score(run.pending(), scorer, Path)
    assert scorer.seen == [frame_ids(8, 10)]
    assert sorted(run.read(["frame_id"])["frame_id"].to_pylist()) == frame_ids(8, 12)


def test_damaged_part_is_named(tmp_path: Path) -> None:
    run = ScoreRun(tmp_path)
    run.plan(INFO, frame_ids(0, 1))
    run.score(run.pending(), Counting(), Path)
    (tmp_path / "part-000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(CurateError, match=r"part-000000\.parquet"):
        run.read(["frame_id"])
