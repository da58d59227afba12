"""What an acquisition function sees: the unlabelled, scored frames as columns of one length."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


@dataclass(frozen=True)
class Candidates:
    """Unlabelled frames in frame_id order.

    `frames` has the columns of pool.parquet, duplicate_group (-1 for none), and cost_s where the budget is a time;
    `scores` has those of a score run. `labeled` are frame_id, source and features of labelled frames, which
    coverage keeps away from; None where the run has no features.
    """

    frames: "pa.Table"
    scores: "pa.Table"
    labeled: "pa.Table | None" = None

    def __len__(self) -> int:
        return int(self.frames.num_rows)

    def without_sources(self, sources: Collection[str]) -> "Candidates":
        """Those that are of none of these sources."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not sources:
            return self
        kept = pc.invert(pc.is_in(self.frames["source"], value_set=pa.array(sorted(sources), pa.string())))
        return replace(self, frames=self.frames.filter(kept), scores=self.scores.filter(kept))

    def with_column(self, name: str, values: "pa.Array") -> "Candidates":
        """These with one more column in `frames`, (N,)."""
        return replace(self, frames=self.frames.append_column(name, values))

    def score(self, column: str) -> "npt.NDArray[np.float64]":
        """A scalar score column, (N,); NaN where there is no value."""
        import numpy as np

        return np.asarray(self.scores[column].to_numpy(), dtype=np.float64)

    def embeddings(self) -> "npt.NDArray[np.float32]":
        """The feature column, (N, D)."""
        return vectors(self.scores, "embedding")

    def labeled_embeddings(self) -> "npt.NDArray[np.float32]":
        """The features of labelled frames, (L, D); L is 0 where the run has none."""
        import numpy as np

        if self.labeled is None or self.labeled.num_rows == 0:
            return np.zeros((0, 0), dtype=np.float32)
        return vectors(self.labeled, "embedding")

    def class_probabilities(self) -> "npt.NDArray[np.float32]":
        """Eq. 8 of each frame, (N, C)."""
        return vectors(self.scores, "class_probabilities")

    def source_codes(self) -> "npt.NDArray[np.int64]":
        """The source of each frame as a number from 0, in the order of their names, (N,)."""
        import numpy as np

        return np.unique(self.frames["source"].to_numpy(), return_inverse=True)[1].astype(np.int64)


def join(frames: "pa.Table", scores: "pa.Table", labeled: "pa.Table | None" = None) -> Candidates:
    """The frames that have a score, with it, ordered by frame_id whatever the order of the tables.

    `labeled` are the labelled frames of the pool.
    """
    import pyarrow.compute as pc

    frames = frames.sort_by("frame_id")
    ids = scores["frame_id"].combine_chunks()
    position = pc.index_in(frames["frame_id"], value_set=ids)
    found = pc.is_valid(position)
    known = None
    if labeled is not None and "embedding" in scores.column_names:
        labeled = labeled.sort_by("frame_id")
        place = pc.index_in(labeled["frame_id"], value_set=ids)
        known = scores.select(["frame_id", "embedding"]).take(place.drop_null())
        known = known.append_column("source", labeled["source"].filter(pc.is_valid(place)))
    return Candidates(frames.filter(found), scores.take(position.filter(found)), known)


def vectors(table: "pa.Table", column: str) -> "npt.NDArray[np.float32]":
    """A column of lists of one length as a matrix, (rows, length)."""
    import numpy as np

    lists = table[column].combine_chunks()
    if table.num_rows == 0:
        return np.zeros((0, 0), dtype=np.float32)
    return np.asarray(lists.flatten().to_numpy(zero_copy_only=False), np.float32).reshape(table.num_rows, -1)
