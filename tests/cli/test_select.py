"""`curate select` with every option, on generated scores of a detector."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from commands import curate, one_line, rows
from selection.pools import make_frames, write_workspace

from curate.tables import read_table, write_table

QUIET = ("--no-images", "--no-fiftyone")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Four videos of 60, 40, 30 and 20 frames, half a second and three frames apart, 10 images; two frames labelled."""
    return write_workspace(tmp_path / "w", videos=(60, 40, 30, 20), images=10, labeled=(5, 70)).root


def lines(workspace: Path) -> list[dict[str, Any]]:
    text = (workspace / "selection" / "selection.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def info(workspace: Path) -> dict[str, Any]:
    return json.loads((workspace / "selection" / "run.json").read_text())  # type: ignore[no-any-return]


def test_default_with_quotas_gap_in_frames_and_exclude(workspace: Path) -> None:
    curate("select", "-b", 30, *QUIET, "-w", workspace)
    before = workspace.parent / "previous.csv"
    before.write_bytes((workspace / "selection" / "selection.csv").read_bytes())
    earlier = {row["frame_id"] for row in rows(workspace)}
    assert len(earlier) == 30
    assert info(workspace)["acquisition"] == "diverse"
    assert info(workspace)["balance"] == 0

    options = ("--min-gap", "9f", "--per-video-min", 2, "--per-video-max", "20%", "--exclude", before)
    done = curate("select", "-b", 24, *options, *QUIET, "-w", workspace)
    picked = rows(workspace)
    assert len(picked) == 24
    assert not earlier & {row["frame_id"] for row in picked}
    videos: dict[str, list[int]] = {}
    for row in picked:
        videos.setdefault(row["source"], []).append(int(row["frame_index"]))
    clips = {name: sorted(indices) for name, indices in videos.items() if name.startswith("clip")}
    assert len(clips) == 4
    for indices in clips.values():
        assert 2 <= len(indices) <= 5
        assert all(b - a >= 9 for a, b in pairwise(indices))
    assert "Excluded: 30 candidates, of 30 frames" in done.stdout
    written = info(workspace)
    assert (written["min_gap_frames"], written["per_video_min"], written["per_video_max"]) == (9, "2", "20%")
    report = json.loads((workspace / "report.json").read_text())
    assert report["results"]["select"]["excluded"] == 30
    assert report["options"]["exclude"] == [str(before)]


def test_every_pick_is_explained(workspace: Path) -> None:
    curate("select", "-b", 12, "--min-gap", "2s", "--balance", 0.5, *QUIET, "-w", workspace)
    found = lines(workspace)
    scores = {}
    for part in sorted((workspace / "scores" / "run-1").glob("part-*")):
        scores |= {row["frame_id"]: row for row in read_table(part).to_pylist()}
    pool = {row["frame_id"]: row for row in make_frames((60, 40, 30, 20), 10).to_pylist()}
    chosen = {line["frame_id"] for line in found}
    assert len(found) == 12
    suppressed = 0
    for line in found:
        assert line["reason"].startswith("diverse: uncertainty ")
        parts = line["utility_parts"]
        assert set(parts) == {"uncertainty", "diversity", "balance"}
        assert line["utility"] == pytest.approx(parts["uncertainty"] * parts["diversity"], rel=1e-4)
        assert line["cluster_size"] >= 1
        assert line["duplicate_group"] is None
        mine = scores[line["frame_id"]]
        assert line["mean_uncertainty"] == pytest.approx(mine["mean_uncertainty"], rel=1e-5)
        uncertain = [box["uncertainty"] for box in line["boxes"]]
        assert len(uncertain) == len(mine["scores"])
        assert uncertain == sorted(uncertain, reverse=True)
        assert all(box["category"] in ("bolt", "nut", "wrench", "pin") for box in line["boxes"])
        suppressed += line["suppressed"]["count"]
        for other in line["suppressed"]["frames"]:
            assert (other["why"], other["of"]) == ("gap", line["frame_id"])
            assert pool[other["frame_id"]]["source"] == line["source"]
            assert abs(pool[other["frame_id"]]["timestamp_s"] - line["timestamp_s"]) < 2
        near = [
            scores[name]["uncertainty"]
            for name, row in pool.items()
            if row["source"] == line["source"]
            and abs(row["timestamp_s"] - line["timestamp_s"]) <= 5
            and name not in chosen
            and name not in ("clip000-00000000:00000015", "clip001-00000001:00000030")
        ]
        if near and max(near) > mine["uncertainty"]:
            assert line["left_out"]["uncertainty"] == pytest.approx(max(near), rel=1e-5)
            assert line["left_out"]["why"] in ("gap", "diversity", "class balance")
        else:
            assert line["left_out"] is None
    assert suppressed > 12
    assert any(line["left_out"] for line in found)


def test_near_duplicates_and_what_is_labelled_of_them(workspace: Path) -> None:
    ids = make_frames((60, 40, 30, 20), 10)["frame_id"].to_pylist()
    # A group with a labelled frame, one across two videos, one of images; -1 is no group.
    groups = {0: 1, 5: 1, 10: 2, 100: 2, 150: 3, 151: 3, 152: 3, 20: -1}
    table = {"frame_id": [ids[n] for n in groups], "duplicate_group": pa.array(groups.values(), pa.int64())}
    write_table(workspace / "duplicates.parquet", pa.table(table))
    arguments = ("select", "-b", 158, "--acquisition", "midl", "--min-gap", 0, *QUIET, "-w", workspace)
    done = curate(*arguments)
    assert "Not met: 154 of 158 frames: near-duplicates (--duplicates keep for more) left no more" in done.stdout
    assert info(workspace)["unmet"] == ["154 of 158 frames: near-duplicates (--duplicates keep for more) left no more"]
    found = {line["frame_id"]: line for line in lines(workspace)}
    assert ids[0] not in found
    assert len({ids[10], ids[100]} & set(found)) == 1
    assert len({ids[150], ids[151], ids[152]} & set(found)) == 1
    assert Counter(line["duplicate_group"] for line in found.values()) == {None: 152, 2: 1, 3: 1}
    (kept,) = {ids[150], ids[151], ids[152]} & set(found)
    assert found[kept]["suppressed"]["count"] == 2
    left_out = [line["left_out"] for line in found.values() if line["left_out"]]
    assert {"frame_id": ids[0], "why": "duplicate", "of": ids[5]}.items() <= {
        key: value for one in left_out if one["frame_id"] == ids[0] for key, value in one.items()
    }.items() or all(one["frame_id"] != ids[0] for one in left_out)
    curate(*arguments, "--duplicates", "keep")
    assert len(rows(workspace)) == 158


def test_a_labelling_time_is_not_exceeded(workspace: Path) -> None:
    times = ("--seconds-per-image", 10, "--seconds-per-box", 5)
    for acquisition in ("diverse", "entropy"):
        done = curate("select", "-b", "5m", "--acquisition", acquisition, *times, *QUIET, "-w", workspace)
        # Of a frame's boxes those of score 0.9, 0.65 and 0.4 count.
        spent = sum(10 + 5 * len(line["boxes"]) for line in lines(workspace))
        assert 290 < spent <= 300
        assert info(workspace)["labeling_s"] == spent
        assert info(workspace)["wanted"] is None
        assert "5 min of labelling" in done.stdout
    assert "less than the labelling time" in one_line(
        curate("select", "-b", "5s", *times, *QUIET, "-w", workspace, code=1)
    )


def test_cold_start_knows_time_and_baselines_but_no_scores(tmp_path: Path) -> None:
    workspace = write_workspace(tmp_path / "w", videos=(30, 30), kind="embedding").root
    done = curate("select", "-b", "20m", *QUIET, "-w", workspace)
    assert "2.4 a frame are assumed" in done.stdout
    assert len(rows(workspace)) == int(1200 / (7.8 + 2.4 * 25.5))
    first = lines(workspace)[0]
    assert first["reason"].startswith("cold start")
    assert set(first["utility_parts"]) == {"diversity"}
    assert first["left_out"] is None
    assert "boxes" not in first
    curate("select", "-b", 5, "--acquisition", "uniform", *QUIET, "-w", workspace)
    assert len(rows(workspace)) == 5
    line = one_line(curate("select", "--acquisition", "diverse", *QUIET, "-w", workspace, code=2))
    assert "leave it out for a diverse first set" in line


def test_wrong_options_and_old_scores_are_one_clear_line(workspace: Path, tmp_path: Path) -> None:
    for options, text in (
        (("--min-gap", "soon", "--budget", 3), "--min-gap 'soon'"),
        (("--balance", 1.5), "--balance 1.5"),
        (("--per-video-min", 5, "--per-video-max", 2), "--per-video-min 5: more than --per-video-max 2"),
        (("--exclude", tmp_path / "no.csv"), "no.csv"),
    ):
        assert text in one_line(curate("select", *options, *QUIET, "-w", workspace, code=2))
    (tmp_path / "all.txt").write_text("\n".join(make_frames((60, 40, 30, 20), 10)["frame_id"].to_pylist()))
    line = one_line(curate("select", "--exclude", tmp_path / "all.txt", *QUIET, "-w", workspace, code=1))
    assert "nothing can be selected" in line
    assert "--exclude" in line
    for part in (workspace / "scores" / "run-1").glob("part-*"):
        write_table(part, read_table(part).drop_columns(["embedding"]))
    line = one_line(curate("select", *QUIET, "-w", workspace, code=1))
    assert "no column embedding" in line
    assert "run `curate score` again" in line
