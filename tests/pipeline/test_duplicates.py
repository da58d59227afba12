"""duplicates.parquet follows the pool, and a kill costs little."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate.pipeline import duplicates
from curate.pipeline.duplicates import DuplicatesResult, find_duplicates
from curate.pool import Pool
from curate.types import Frame, Source, cache_path
from curate.workspace import Workspace

COLORS = {"a": (0, 0, 1, 2), "b": (1, 3), "c": (4, 2)}
"""By source, which picture each frame shows."""


def add(workspace: Workspace, *names: str) -> None:
    pool = Pool.load(workspace)
    for name in names:
        source = f"{name}-00000000"
        frames = []
        for index, picture in enumerate(COLORS[name]):
            path = cache_path(workspace.frames, source, index)
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(picture).integers(0, 256, (6, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((80, 60)).save(path, quality=90 - 10 * index)
            frames.append(Frame(f"{source}:{index:08d}", source, index, index / 10, 80, 60))
        pool.add([Source(source, f"/{name}.mp4", name * 64, 1, 1, "video", width=80, height=60)], frames)
    pool.save(workspace)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "w", imgsz=80)


def groups(workspace: Workspace) -> dict[str, int]:
    table = pq.read_table(workspace.duplicates)
    names = [f"{frame_id[0]}{int(frame_id[-1])}" for frame_id in table["frame_id"].to_pylist()]
    return dict(zip(names, table["duplicate_group"].to_pylist(), strict=True))


def test_groups_go_across_sources_and_new_frames_are_hashed_alone(workspace: Workspace) -> None:
    add(workspace, "a", "b")
    assert find_duplicates(workspace) == DuplicatesResult(hashed=6, groups=2, frames=4)
    assert groups(workspace) == {"a0": 0, "a1": 0, "a2": 1, "a3": -1, "b0": 1, "b1": -1}
    written = workspace.duplicates.stat().st_mtime_ns
    assert find_duplicates(workspace) == DuplicatesResult(hashed=0, groups=2, frames=4)
    assert workspace.duplicates.stat().st_mtime_ns == written
    add(workspace, "c")
    assert find_duplicates(workspace) == DuplicatesResult(hashed=2, groups=3, frames=6)
    assert groups(workspace) == {"a0": 0, "a1": 0, "a2": 1, "a3": 2, "b0": 1, "b1": -1, "c0": -1, "c1": 2}


def test_the_order_in_which_frames_come_changes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("c", "a", "b"):
        add(workspace, name)
        find_duplicates(workspace)
    other = Workspace.create(tmp_path / "other", imgsz=80)
    add(other, "a", "b", "c")
    find_duplicates(other)
    assert other.duplicates.read_bytes() == workspace.duplicates.read_bytes()


def test_a_kill_costs_what_was_not_saved(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(workspace, "a", "b", "c")
    find_duplicates(workspace)
    whole = workspace.duplicates.read_bytes()
    workspace.duplicates.unlink()
    monkeypatch.setattr(duplicates, "_SAVE_EVERY_FRAMES", 2)
    monkeypatch.setattr("curate.media.perceptual_hash._BATCH", 2)

    class Killed:
        done = 0

        def start(self, title: str, total: int | None, unit: str) -> None: ...
        def finish(self) -> None: ...
        def say(self, text: str) -> None: ...
        def advance(self, count: int = 1, detail: str = "") -> None:
            self.done += count
            if self.done > 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_duplicates(workspace, progress=Killed())
    assert set(groups(workspace).values()) == {-1}
    assert find_duplicates(workspace).hashed == 4
    assert workspace.duplicates.read_bytes() == whole


def test_an_empty_pool(workspace: Workspace) -> None:
    assert find_duplicates(workspace) == DuplicatesResult(hashed=0, groups=0, frames=0)
