"""A score run on disk: which frame belongs to which shard, and the parts that are done.

The plan is written before the first shard is scored and only ever grows, so a run that was killed, or that meets
new frames, goes on with the same shards and ends with the same scores as one that was not.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import CurateError
from curate.progress import SILENT, Progress
from curate.tables import read_table, write_table
from curate.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

SHARD_FRAMES = 256
_SCORE_AGAIN = "delete the folder that it is in and run `curate score` again, which scores the frames anew"
ShardScorer = Callable[[Sequence[str], Sequence[Path]], "pa.Table"]
"""Scores one shard: frame_ids and their cached JPEGs in, one row a frame out. Pure, so that any executor may run it."""


@dataclass(frozen=True)
class RunInfo:
    """What made a score run: run.json. `kind` is "detector", or "embedding" (a cold start: features, no scores)."""

    kind: str
    detector: str
    categories: tuple[str, ...]
    weights_sha256: str


class ScoreRun:
    """One folder `scores/<run>/`: run.json, plan.parquet (frame_id, shard) and part-<shard>.parquet."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def info(self) -> RunInfo:
        """What made this run."""
        info: dict[str, Any] = Workspace.read_json(self.directory / "run.json")
        return RunInfo(**(info | {"categories": tuple(info["categories"])}))

    def plan(self, info: RunInfo, frame_ids: Sequence[str]) -> None:
        """Give every frame that has none yet a shard; `frame_ids` in pool order."""
        import pyarrow as pa
        import pyarrow.compute as pc

        path = self.directory / "plan.parquet"
        if path.exists():
            plan = self._plan()
        else:
            Workspace.write_json(self.directory / "run.json", vars(info))
            plan = pa.table({"frame_id": pa.array([], pa.string()), "shard": pa.array([], pa.int64())})
        wanted = pa.array(frame_ids, pa.string())
        new = wanted.filter(pc.invert(pc.is_in(wanted, value_set=plan["frame_id"].combine_chunks())))
        if len(new) == 0:
            return
        first = (pc.max(plan["shard"]).as_py() + 1) if plan.num_rows else 0
        shards = [first + i // SHARD_FRAMES for i in range(len(new))]
        write_table(path, pa.concat_tables([plan, pa.table({"frame_id": new, "shard": shards})]))

    def pending(self) -> dict[int, list[str]]:
        """The shards that have no part yet: shard number to frame_ids."""
        plan = self._plan()
        shards: dict[int, list[str]] = defaultdict(list)
        for frame_id, shard in zip(plan["frame_id"].to_pylist(), plan["shard"].to_pylist(), strict=True):
            shards[shard].append(frame_id)
        return {shard: frame_ids for shard, frame_ids in shards.items() if not self._part(shard).exists()}

    def score(
        self,
        pending: Mapping[int, Sequence[str]],
        scorer: ShardScorer,
        path_of: Callable[[str], Path],
        *,
        progress: Progress = SILENT,
    ) -> int:
        """Score the given shards, each written whole; returns how many frames that was."""
        total = sum(map(len, pending.values()))
        progress.start("Scoring", total, "frames")
        for shard, frame_ids in pending.items():
            write_table(self._part(shard), scorer(frame_ids, [path_of(frame_id) for frame_id in frame_ids]))
            progress.advance(len(frame_ids))
        progress.finish()
        return total

    def read(self, columns: list[str]) -> "pa.Table":
        """The columns of all parts that are done, in shard order; CurateError where one lacks a column."""
        import pyarrow as pa

        return pa.concat_tables(self.parts(columns))

    def rows(self, frame_ids: Sequence[str], columns: list[str]) -> "pa.Table":
        """The columns of these frames alone, in shard order; a part at a time, so that memory is that of the rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pa.array(frame_ids, pa.string())
        chosen = pc.is_in(self.read(["frame_id"])["frame_id"], value_set=wanted).combine_chunks()
        rows, start = [], 0
        for part in self.parts(columns):
            rows.append(part.filter(chosen.slice(start, part.num_rows)))
            start += part.num_rows
        return pa.concat_tables(rows)

    def parts(self, columns: list[str]) -> Iterator["pa.Table"]:
        """The columns of each part that is done, in shard order; CurateError where one lacks a column."""
        for path in sorted(self.directory.glob("part-*.parquet")):
            table = read_table(path, columns)
            missing = [name for name in columns if name not in table.column_names]
            if missing:
                raise CurateError(
                    f"{path}: no column {missing[0]}; an older version of curate scored these frames: "
                    "run `curate score` again, which scores them anew"
                )
            yield table

    def row(self, frame_id: str) -> dict[str, Any] | None:
        """All columns of one frame; None where it is not scored."""
        import pyarrow.compute as pc

        plan = self._plan()
        shards = plan.filter(pc.equal(plan["frame_id"], frame_id))["shard"].to_pylist()
        if not shards or not self._part(shards[0]).exists():
            return None
        part = read_table(self._part(shards[0]))
        rows: list[dict[str, Any]] = part.filter(pc.equal(part["frame_id"], frame_id)).to_pylist()
        return rows[0] if rows else None

    def _plan(self) -> "pa.Table":
        return read_table(self.directory / "plan.parquet", remedy=_SCORE_AGAIN)

    def _part(self, shard: int) -> Path:
        return self.directory / f"part-{shard:06d}.parquet"
