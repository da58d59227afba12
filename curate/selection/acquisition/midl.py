"""MIDL: the image uncertainty, Eq. 7, instance uncertainty weighted by class and objectness probability."""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates
from curate.selection.picking.best_first import best_first

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COLUMNS = ("uncertainty",)
PICKING = best_first


def utilities(candidates: Candidates, *, rng: "np.random.Generator") -> "npt.NDArray[np.float64]":
    """Image uncertainty p(I|x), (N,)."""
    return candidates.score("uncertainty")
