"""Entropy: how undecided the class probabilities of the predicted boxes are (Settles, "Active Learning Literature
Survey", 2009)."""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates
from curate.selection.picking.best_first import best_first

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COLUMNS = ("entropy",)
PICKING = best_first


def utilities(candidates: Candidates, *, rng: "np.random.Generator") -> "npt.NDArray[np.float64]":
    """The score column `entropy`, (N,)."""
    return candidates.score("entropy")
