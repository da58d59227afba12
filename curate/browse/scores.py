"""Pool and score tables joined by frame_id, a batch at a time, so that memory does not grow with the boxes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.pool import Pool
from curate.tables import read_table, to_rows
from curate.types import Frame
from curate.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_FRAMES = 256


@dataclass(frozen=True)
class ScoredFrame:
    """A frame of the pool with its row of the score table (None: not scored) and its rank by uncertainty, from 1."""

    frame: Frame
    scores: Mapping[str, Any] | None = None
    uncertainty_rank: int | None = None


class ScoreTables:
    """The parts of a score run that are done. Without a run, or with one of embeddings only, nothing is scored."""

    def __init__(self, run: Path | None) -> None:
        self.run = run
        self.info: dict[str, Any] = Workspace.read_json(run / "run.json") if run is not None else {}
        scored = run is not None and self.info["kind"] == "detector"
        self.parts = sorted(run.glob("part-*.parquet")) if run is not None and scored else []

    @property
    def categories(self) -> list[str]:
        """The names of the detector's classes; `labels` of the parts index them."""
        return list(self.info.get("categories", ()))


def duplicate_groups(workspace: Workspace) -> dict[str, int]:
    """The near-duplicate group of each frame that is in one; empty where none were looked for."""
    import pyarrow.compute as pc

    if not workspace.duplicates.exists():
        return {}
    table = read_table(workspace.duplicates, ["frame_id", "duplicate_group"])
    table = table.filter(pc.greater_equal(table["duplicate_group"], 0))
    return dict(zip(table["frame_id"].to_pylist(), table["duplicate_group"].to_pylist(), strict=True))


def frame_batches(pool: Pool, tables: ScoreTables) -> Iterator[list[ScoredFrame]]:
    """Every frame of the pool once: those that are scored in the order of the parts, then the others in pool order."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    pool_ids = pool.frames["frame_id"].combine_chunks()
    unlabeled = pool.in_state("unlabeled")["frame_id"].combine_chunks()
    ids, ranks = _uncertainty_ranks(tables.parts, unlabeled)
    position = 0
    for part in tables.parts:
        table = read_table(part)
        # Of no use to a viewer, and slow as Python's numbers.
        table = table.select([name for name in table.column_names if name != "embedding"])
        rows = pc.index_in(table["frame_id"].combine_chunks(), value_set=pool_ids)
        part_ranks = ranks[position : position + table.num_rows]
        position += table.num_rows
        # A source may have left the pool since the run: its frames have scores, but there is nothing to show.
        known = np.flatnonzero(rows.is_valid().to_numpy(zero_copy_only=False))
        frames = to_rows(pool.frames.take(rows.take(pa.array(known))), Frame)
        scores = table.take(pa.array(known)).to_pylist()
        yield [
            ScoredFrame(frame, row, int(part_ranks[k]) or None)
            for frame, row, k in zip(frames, scores, known, strict=True)
        ]

    others = pool.frames.filter(pc.invert(pc.is_in(pool_ids, value_set=ids)))
    for start in range(0, others.num_rows, BATCH_FRAMES):
        yield [ScoredFrame(frame) for frame in to_rows(others.slice(start, BATCH_FRAMES), Frame)]


def _uncertainty_ranks(parts: list[Path], unlabeled: "pa.Array") -> "tuple[pa.Array, Any]":
    """The scored frame_ids in the order of the parts, and each one's rank: 1 = most uncertain, 0 = none.

    Equal uncertainties are ordered by frame_id. NaN and frames that are not unlabelled have no rank.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    tables = [read_table(part, ["frame_id", "uncertainty"]) for part in parts]
    if not tables:
        return pa.array([], pa.string()), np.zeros(0, dtype=np.int64)
    table = pa.concat_tables(tables).combine_chunks()
    ids = table["frame_id"].combine_chunks()
    usable = pc.and_(pc.is_in(ids, value_set=unlabeled), pc.is_finite(table["uncertainty"]))
    usable = pc.fill_null(usable, False).to_numpy(zero_copy_only=False)
    order = pc.sort_indices(table, sort_keys=[("uncertainty", "descending"), ("frame_id", "ascending")]).to_numpy()
    order = order[usable[order]]
    ranks = np.zeros(table.num_rows, dtype=np.int64)
    ranks[order] = np.arange(1, len(order) + 1)
    return ids, ranks
