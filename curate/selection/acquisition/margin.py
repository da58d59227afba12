"""Margin: how close the two best classes of the predicted boxes are (Scheffer et al., "Active Hidden Markov Models for
Information Extraction", 2001)."""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates
from curate.selection.picking.best_first import best_first

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COLUMNS = ("margin",)
PICKING = best_first


def utilities(candidates: Candidates, *, rng: "np.random.Generator") -> "npt.NDArray[np.float64]":
    """The score column `margin`, which is higher the closer they are, (N,)."""
    return candidates.score("margin")
