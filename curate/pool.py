"""Which sources and frames exist. Labelled, unlabelled and ignored is a partition of the frames."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from curate.tables import read_table, to_column, to_rows, to_table, write_table
from curate.types import Frame, FrameState, Source
from curate.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

_READ_AGAIN = "delete it and run `curate score` with all paths again: they are read anew, and the labels stay"


class Pool:
    """The sources of index.parquet and the frames of pool.parquet.

    A source is in the pool once its row is in index.parquet; `save` writes the frames first, so frames of a source
    whose row was not yet written (a kill between the two) are left out on `load` and extracted again.
    Frames are ordered by (source, frame_index).
    """

    def __init__(self, sources: Iterable[Source], frames: "pa.Table") -> None:
        self.sources: dict[str, Source] = {}
        self.duplicates: dict[str, Source] = {}
        self.frames = frames
        for source in sources:
            self._add_source(source)

    @classmethod
    def load(cls, workspace: Workspace) -> "Pool":
        """Read the pool; an empty one where the workspace has none yet, or lacks one of its two tables."""
        import pyarrow.compute as pc

        # `save` will need it, when there is less time: a pool is loaded beside other work.
        import pyarrow.parquet  # noqa: F401

        if not (workspace.index.exists() and workspace.pool.exists()):
            return cls([], to_table([], Frame))
        sources = to_rows(read_table(workspace.index, remedy=_READ_AGAIN), Source)
        frames = read_table(workspace.pool, remedy=_READ_AGAIN)
        known = pc.is_in(frames["source"], value_set=_strings(source.source for source in sources))
        return cls(sources, frames.filter(known))

    def save(self, workspace: Workspace) -> None:
        """Write both tables, frames first."""
        write_table(workspace.pool, self.frames)
        rows = [*self.sources.values(), *self.duplicates.values()]
        write_table(workspace.index, to_table(sorted(rows, key=lambda row: (row.source, row.path)), Source))

    def add(self, sources: Iterable[Source], frames: Iterable[Frame]) -> None:
        """Add or replace sources, and add frames. A frame that is in the pool already keeps its row and state.

        A source whose path now holds another file stays, with its labels, as superseded; its unlabelled frames are
        ignored from then on.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        by_path = self.by_path()
        for source in sources:
            before = by_path.get(source.path)
            if before is not None and before.source != source.source and before.status != "duplicate":
                self.sources[before.source] = replace(before, status="superseded")
                self.move([before.source], "unlabeled", "ignored")
            self._add_source(source)
        # Two files with the same content and name, read in one run, bring the same frames twice.
        new = to_table({frame.frame_id: frame for frame in frames}.values(), Frame)
        new = new.filter(pc.invert(pc.is_in(new["frame_id"], value_set=self.frames["frame_id"].combine_chunks())))
        joined = pa.concat_tables([self.frames, new])
        self.frames = joined.sort_by([("source", "ascending"), ("frame_index", "ascending")]).combine_chunks()

    def set_state(self, frame_ids: Iterable[str], state: FrameState) -> None:
        """Move frames to another part of the partition."""
        import pyarrow.compute as pc

        chosen = pc.is_in(self.frames["frame_id"], value_set=_strings(frame_ids))
        states = pc.if_else(chosen, _strings([state])[0], self.frames["state"])
        position = self.frames.schema.get_field_index("state")
        self.frames = self.frames.set_column(position, "state", states)

    def move(self, sources: Iterable[str], before: FrameState, after: FrameState) -> int:
        """Move the frames that sources have in one part of the partition to another; returns how many."""
        import pyarrow.compute as pc

        rows = self.in_state(before)
        frame_ids = rows.filter(pc.is_in(rows["source"], value_set=_strings(sources)))["frame_id"].to_pylist()
        self.set_state(frame_ids, after)
        return len(frame_ids)

    def in_state(self, state: FrameState) -> "pa.Table":
        """The frames in one part of the partition, in pool order."""
        return self.frames.filter(_equal(self.frames["state"], state))

    def not_ignored(self) -> "pa.Table":
        """The labelled and the unlabelled frames, in pool order."""
        import pyarrow.compute as pc

        return self.frames.filter(pc.invert(_equal(self.frames["state"], "ignored")))

    def count(self, state: FrameState) -> int:
        """How many frames are in one part of the partition."""
        return int(self.in_state(state).num_rows)

    def by_path(self) -> dict[str, Source]:
        """Sources and duplicates by absolute path; superseded ones are no longer anywhere."""
        rows = (*self.sources.values(), *self.duplicates.values())
        return {row.path: row for row in rows if row.status != "superseded"}

    def _add_source(self, source: Source) -> None:
        """A second path with the same content and name is a duplicate: remembered, so that it is not read again."""
        self.duplicates.pop(source.path, None)
        first = self.sources.get(source.source)
        if source.status == "duplicate" or (
            first is not None
            and first.path != source.path
            and first.status != "superseded"
            and Path(first.path).exists()
        ):
            self.duplicates[source.path] = replace(source, status="duplicate")
        else:
            self.sources[source.source] = source


def _equal(values: "pa.ChunkedArray", value: str) -> "pa.ChunkedArray":
    import pyarrow.compute as pc

    return pc.equal(values, _strings([value])[0])


def _strings(values: Iterable[str]) -> "pa.Array":
    import pyarrow as pa

    return to_column(list(values), pa.string())
