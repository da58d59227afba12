"""Mean uncertainty: the mean instance uncertainty over instances and classes (Eq. 6)."""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates
from curate.selection.picking.best_first import best_first

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COLUMNS = ("mean_uncertainty",)
PICKING = best_first


def utilities(candidates: Candidates, *, rng: "np.random.Generator") -> "npt.NDArray[np.float64]":
    """The score column `mean_uncertainty`, (N,)."""
    return candidates.score("mean_uncertainty")
