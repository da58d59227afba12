"""Max uncertainty: the highest instance uncertainty of the frame (Table 5, "Max Unc.")."""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates
from curate.selection.picking.best_first import best_first

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COLUMNS = ("max_uncertainty",)
PICKING = best_first


def utilities(candidates: Candidates, *, rng: "np.random.Generator") -> "npt.NDArray[np.float64]":
    """The score column `max_uncertainty`, (N,)."""
    return candidates.score("max_uncertainty")
