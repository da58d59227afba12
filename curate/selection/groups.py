"""Near-duplicate groups: the table duplicates.parquet as a column of the candidates."""

from pathlib import Path
from typing import TYPE_CHECKING

from curate.tables import read_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


def read_groups(path: Path, frame_ids: "pa.ChunkedArray") -> "npt.NDArray[np.int64]":
    """The near-duplicate group of each frame, -1 for none; all -1 where there is no table. (N,)."""
    import numpy as np
    import pyarrow.compute as pc

    if not path.exists():
        return np.full(len(frame_ids), -1, dtype=np.int64)
    table = read_table(path, ["frame_id", "duplicate_group"])
    position = pc.index_in(frame_ids, value_set=table["frame_id"].combine_chunks())
    groups = pc.fill_null(table["duplicate_group"].take(position), -1)
    return np.asarray(groups.to_numpy(), dtype=np.int64)


def labeled_groups(path: Path, labeled: "pa.Table") -> dict[int, str]:
    """The groups that have a labelled frame, each with the first of these in frame_id order."""
    if not path.exists():
        return {}
    ids = labeled["frame_id"]
    pairs = zip(read_groups(path, ids).tolist(), ids.to_pylist(), strict=True)
    return dict(sorted(((group, frame_id) for group, frame_id in pairs if group >= 0), reverse=True))
