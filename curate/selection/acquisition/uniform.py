"""Uniform: evenly in time over all videos. The baseline to beat on video."""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates
from curate.selection.picking.evenly import evenly

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COLUMNS = ()
PICKING = evenly


def utilities(candidates: Candidates, *, rng: "np.random.Generator") -> "npt.NDArray[np.float64]":
    """The same for every frame, (N,)."""
    import numpy as np

    return np.ones(len(candidates))
