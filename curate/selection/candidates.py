"""What an acquisition function sees: the unlabelled, scored frames as columns of one length."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


@dataclass(frozen=True)
class Candidates:
    """Unlabelled frames in frame_id order. `frames` has the columns of pool.parquet, `scores` those of a score run."""

    frames: "pa.Table"
    scores: "pa.Table"

    def __len__(self) -> int:
        return int(self.frames.num_rows)

    def without_sources(self, sources: Collection[str]) -> "Candidates":
        """Those that are of none of these sources."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kept = pc.invert(pc.is_in(self.frames["source"], value_set=pa.array(sorted(sources), pa.string())))
        return Candidates(self.frames.filter(kept), self.scores.filter(kept))

    def score(self, column: str) -> "npt.NDArray[np.float64]":
        """A scalar score column, (N,)."""
        import numpy as np

        return np.asarray(self.scores[column].to_numpy(), dtype=np.float64)

    def embeddings(self) -> "npt.NDArray[np.float32]":
        """The feature column, (N, D)."""
        import numpy as np

        column = self.scores["embedding"].combine_chunks()
        return np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.float32).reshape(len(self), -1)


def join(frames: "pa.Table", scores: "pa.Table") -> Candidates:
    """The frames that have a score, with it, ordered by frame_id whatever the order of the two tables."""
    import pyarrow.compute as pc

    frames = frames.sort_by("frame_id")
    position = pc.index_in(frames["frame_id"], value_set=scores["frame_id"].combine_chunks())
    found = pc.is_valid(position)
    return Candidates(frames.filter(found), scores.take(position.filter(found)))
