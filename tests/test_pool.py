from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from curate.errors import CurateError, UsageError
from curate.pool import Pool
from curate.tables import read_table, to_column, write_table
from curate.types import (
    Frame,
    Sampling,
    Source,
    SourceKind,
    cache_path,
    cache_path_of,
    export_stem,
    frame_id,
    parse_export_stem,
    source_key,
)
from curate.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "w", imgsz=320)


def source(name: str, path: Path | str) -> Source:
    return Source(name, str(path), "0" * 64, 1, 1, "video", samplings="every 0.5 s")


def frame(source_name: str, index: int) -> Frame:
    return Frame(f"{source_name}:{index:08d}", source_name, index, index / 10, 32, 32)


def test_empty_pool(workspace: Workspace) -> None:
    pool = Pool.load(workspace)
    assert pool.frames.num_rows == 0
    assert pool.count("unlabeled") == 0


def test_round_trip_in_order_and_states_are_a_partition(workspace: Workspace) -> None:
    pool = Pool.load(workspace)
    pool.add([source("b", "/b"), source("a", "/a")], [frame("b", 1), frame("a", 5), frame("a", 2)])
    pool.set_state(["a:00000005"], "labeled")
    pool.set_state(["b:00000001"], "ignored")
    pool.save(workspace)
    loaded = Pool.load(workspace)
    assert loaded.frames["frame_id"].to_pylist() == ["a:00000002", "a:00000005", "b:00000001"]
    assert [loaded.count(state) for state in ("unlabeled", "labeled", "ignored")] == [1, 1, 1]
    assert loaded.sources == pool.sources


def test_columns_are_those_that_arrow_makes() -> None:
    for values, arrow_type in (
        ([], pa.string()),
        (["", "a", "Füße 足 🐾", ""], pa.string()),
        ([0, -1, 2**63 - 1], pa.int64()),
        ([0.0, -1.5, float("inf"), 3], pa.float64()),
    ):
        column = to_column(values, arrow_type)
        column.validate(full=True)
        assert column.equals(pa.array(values, arrow_type))
    with pytest.raises(TypeError):
        to_column([0.5], pa.int64())


def test_an_index_from_before_a_column_existed_still_loads(workspace: Workspace) -> None:
    pool = Pool.load(workspace)
    pool.add([replace(source("a", "/a"), time_base="1/15360")], [frame("a", 1)])
    pool.save(workspace)
    assert Pool.load(workspace).sources["a"].time_base == "1/15360"
    write_table(workspace.index, read_table(workspace.index).drop_columns(["time_base"]))
    assert Pool.load(workspace).sources == {"a": source("a", "/a")}


@pytest.mark.parametrize("name", ["index.parquet", "pool.parquet"])
def test_a_lost_table_is_an_empty_pool_and_a_damaged_one_says_how_to_read_all_again(
    workspace: Workspace, name: str
) -> None:
    pool = Pool.load(workspace)
    pool.add([source("a", "/a")], [frame("a", 1)])
    pool.save(workspace)
    table = workspace.root / name
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(CurateError, match=rf"{name}: not a readable Parquet table .*; delete it and run"):
        Pool.load(workspace)
    table.unlink()
    assert Pool.load(workspace).frames.num_rows == 0


def test_adding_a_frame_again_keeps_its_state(workspace: Workspace) -> None:
    pool = Pool.load(workspace)
    pool.add([source("a", "/a")], [frame("a", 1)])
    pool.set_state(["a:00000001"], "labeled")
    pool.add([], [frame("a", 1), frame("a", 0), frame("a", 0)])
    assert pool.frames["state"].to_pylist() == ["unlabeled", "labeled"]


def test_frames_without_an_index_row_are_left_out(workspace: Workspace) -> None:
    pool = Pool.load(workspace)
    pool.add([source("a", "/a")], [frame("a", 1), frame("unfinished", 1)])
    pool.save(workspace)
    assert Pool.load(workspace).frames["source"].to_pylist() == ["a"]


def test_a_copy_is_a_duplicate_and_known_by_its_path(workspace: Workspace, tmp_path: Path) -> None:
    first, copy = tmp_path / "one.mp4", tmp_path / "copy" / "one.mp4"
    first.touch()
    pool = Pool.load(workspace)
    pool.add([source("a", first)], [frame("a", 0)])
    pool.add([source("a", copy)], [frame("a", 0)])
    pool.save(workspace)
    loaded = Pool.load(workspace)
    assert loaded.sources["a"].path == str(first)
    assert loaded.by_path()[str(copy)].status == "duplicate"
    assert loaded.frames.num_rows == 1


def test_a_moved_file_is_the_same_source(workspace: Workspace, tmp_path: Path) -> None:
    pool = Pool.load(workspace)
    pool.add([source("a", tmp_path / "gone.mp4")], [frame("a", 0)])
    pool.add([source("a", tmp_path / "there.mp4")], [frame("a", 0)])
    assert pool.sources["a"].path == str(tmp_path / "there.mp4")
    assert pool.duplicates == {}


def test_another_file_at_a_path_supersedes_but_keeps_labels(workspace: Workspace) -> None:
    pool = Pool.load(workspace)
    pool.add([source("old", "/a")], [frame("old", 0), frame("old", 1)])
    pool.set_state(["old:00000000"], "labeled")
    pool.add([replace(source("new", "/a"))], [frame("new", 0)])
    assert pool.by_path()["/a"].source == "new"
    assert pool.sources["old"].status == "superseded"
    states = dict(zip(pool.frames["frame_id"].to_pylist(), pool.frames["state"].to_pylist(), strict=True))
    assert states == {"old:00000000": "labeled", "old:00000001": "ignored", "new:00000000": "unlabeled"}


def test_names() -> None:
    key = source_key(Path("/x/Küche 1 (kopie).mp4"), "ab12cd34" + "0" * 56)
    assert key == "K_che_1_kopie-ab12cd34"
    assert frame_id(key, "video", 42) == f"{key}:00000042"
    assert frame_id(key, "image") == key
    for name in (frame_id(key, "video", 42), frame_id(key, "image")):
        assert parse_export_stem(export_stem(name)) == name
    assert parse_export_stem("holiday_f00000001") is None


def test_cache_path_of_a_frame_and_of_an_image() -> None:
    source = source_key(Path("my clip: 1.mp4"), "0" * 64)
    kinds: list[tuple[SourceKind, int]] = [("video", 17), ("image", 0)]
    for kind, index in kinds:
        assert cache_path_of(Path("f"), frame_id(source, kind, index)) == cache_path(Path("f"), source, index)


def test_sampling() -> None:
    assert [str(Sampling(every_s=0.5)), str(Sampling(stride=1)), str(Sampling(stride=3))] == [
        "every 0.5 s",
        "all frames",
        "every 3 frames",
    ]
    for wrong in ({}, {"every_s": 1.0, "stride": 2}, {"every_s": 0.0}, {"every_s": float("nan")}, {"stride": 0}):
        with pytest.raises(UsageError):
            Sampling(**wrong)


def test_workspace_refuses_a_folder_of_other_things_and_another_size(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(CurateError, match="other things"):
        Workspace.create(tmp_path, imgsz=320)
    Workspace.create(tmp_path / "w", imgsz=320)
    with pytest.raises(CurateError, match="--imgsz 320"):
        Workspace.create(tmp_path / "w", imgsz=640)
    with pytest.raises(CurateError, match="no workspace there"):
        Workspace.open(tmp_path / "nothing")


def test_only_one_writer(workspace: Workspace) -> None:
    with workspace.lock(), pytest.raises(CurateError, match="another curate is writing"), workspace.lock():
        pass
    with workspace.lock():
        pass
