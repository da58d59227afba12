"""What a frame costs to label, in seconds: so much for the frame and so much for each box that is predicted on it.

The default times are the medians of Su, Deng and Fei-Fei, "Crowdsourcing Annotations for Visual Object Detection"
(2012): 25.5 s to draw a box, 7.8 s to check a picture for objects that have none. Extreme clicking takes 7 s a box
(Papadopoulos et al., "Extreme clicking for efficient object annotation", ICCV 2017).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

BOX_SCORE = 0.3
"""A predicted box of this score or more is counted."""

ASSUMED_BOXES = 2.4
"""Boxes a frame where no detector has predicted any: 27,450 objects in the 11,540 images of PASCAL VOC 2012."""


@dataclass(frozen=True)
class LabelingTime:
    """Seconds to look at a frame (> 0), and to draw a box (>= 0)."""

    per_image_s: float = 7.8
    per_box_s: float = 25.5

    def __post_init__(self) -> None:
        if not 0 < self.per_image_s < float("inf"):
            raise UsageError(f"--seconds-per-image {self.per_image_s:g}: give a number of seconds above 0")
        if not 0 <= self.per_box_s < float("inf"):
            raise UsageError(f"--seconds-per-box {self.per_box_s:g}: give a number of seconds from 0")


DEFAULT_TIME = LabelingTime()


def box_counts(parts: "Iterable[pa.Table]", frame_ids: "pa.ChunkedArray") -> "npt.NDArray[np.float64]":
    """How many boxes of BOX_SCORE or more are predicted on each of these frames, (N,).

    `parts` have the columns frame_id and scores, the scores of a frame's boxes, and each frame once.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    ids, counts = [], []
    for part in parts:
        lists = part["scores"].combine_chunks()
        sure = pc.list_parent_indices(lists).filter(pc.greater_equal(lists.flatten(), BOX_SCORE))
        ids += part["frame_id"].chunks
        counts.append(np.bincount(sure.to_numpy(), minlength=part.num_rows))
    position = pc.index_in(frame_ids, value_set=pa.chunked_array(ids, pa.string()).combine_chunks())
    return np.asarray(np.concatenate([*counts, np.zeros(0)])[position.to_numpy()], dtype=np.float64)
