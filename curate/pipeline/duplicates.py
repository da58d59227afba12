"""Find near-duplicates among all frames of the pool: duplicates.parquet, a hash and a group for each."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.tables import read_table, write_table
from curate.types import cache_path_of
from curate.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

_SAVE_EVERY_FRAMES = 50_000


@dataclass(frozen=True)
class DuplicatesResult:
    """How many frames were hashed this time, and what near-duplicates there are: groups, and frames in them."""

    hashed: int
    groups: int
    frames: int


def find_duplicates(workspace: Workspace, *, progress: Progress = SILENT) -> DuplicatesResult:
    """Hash the frames that have no hash yet, and group all of them anew if there are any.

    duplicates.parquet has a row for each frame of the pool in frame_id order: frame_id, phash, and duplicate_group, -1
    for a frame like no other. The groups follow from the frames alone, whatever the order in which they came.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from curate.media.near_duplicates import group
    from curate.media.perceptual_hash import HASH_BYTES, hash_all

    wanted = Pool.load(workspace).frames.select(["frame_id"]).sort_by("frame_id")["frame_id"].combine_chunks()
    known = _table(pa.array([], pa.string()), np.zeros((0, HASH_BYTES), np.uint8), np.zeros(0, np.int64))
    if workspace.duplicates.exists():
        known = read_table(workspace.duplicates)
    if known["frame_id"].combine_chunks().equals(wanted):
        return _result(known, hashed=0)
    position = pc.index_in(wanted, value_set=known["frame_id"].combine_chunks())
    is_new = position.is_null().to_numpy(zero_copy_only=False)
    hashes = np.zeros((len(wanted), HASH_BYTES), np.uint8)
    hashes[~is_new] = _hashes(known)[position.drop_null().to_numpy()]
    rows = np.flatnonzero(is_new)
    paths = [cache_path_of(workspace.frames, frame_id) for frame_id in wanted.take(rows).to_pylist()]
    progress.start("Looking for near-duplicates", len(rows), "frames")
    done, saved = 0, 0
    for batch in hash_all(paths):
        hashes[rows[done : done + len(batch)]] = batch
        done += len(batch)
        progress.advance(len(batch))
        if done - saved >= _SAVE_EVERY_FRAMES and done < len(rows):
            # A part without groups: as rows are missing, the next run goes on here and groups them all.
            there = ~is_new
            there[rows[:done]] = True
            write_table(
                workspace.duplicates,
                _table(wanted.filter(pa.array(there)), hashes[there], np.full(there.sum(), -1)),
            )
            saved = done
    progress.finish()
    progress.start("Grouping near-duplicates", len(wanted), "frames")
    table = _table(wanted, hashes, group(hashes, on_frames=progress.advance))
    write_table(workspace.duplicates, table)
    progress.finish()
    return _result(table, hashed=len(rows))


def _table(frame_ids: "pa.Array", hashes: "npt.NDArray[np.uint8]", groups: "npt.NDArray[np.int64]") -> "pa.Table":
    import pyarrow as pa

    width = hashes.shape[1]
    stored = pa.Array.from_buffers(pa.binary(width), len(hashes), [None, pa.py_buffer(hashes)])
    return pa.table({"frame_id": frame_ids, "phash": stored, "duplicate_group": pa.array(groups, pa.int64())})


def _hashes(table: "pa.Table") -> "npt.NDArray[np.uint8]":
    """(N, HASH_BYTES), a row of the table each."""
    import numpy as np

    stored = table["phash"].combine_chunks()
    width = stored.type.byte_width
    start = stored.offset * width
    flat = np.frombuffer(stored.buffers()[1], dtype=np.uint8, count=len(stored) * width, offset=start)
    return flat.reshape(-1, width)


def _result(table: "pa.Table", *, hashed: int) -> DuplicatesResult:
    groups = table["duplicate_group"].to_numpy()
    return DuplicatesResult(hashed, int(groups.max(initial=-1)) + 1, int((groups >= 0).sum()))
