"""MIDL as printed: the image uncertainty, Eq. 7, with Eq. 5 as the paper has it (docs/method.md has the difference)."""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates
from curate.selection.picking.best_first import best_first

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COLUMNS = ("printed_uncertainty",)
PICKING = best_first


def utilities(candidates: Candidates, *, rng: "np.random.Generator") -> "npt.NDArray[np.float64]":
    """The score column `printed_uncertainty`, (N,)."""
    return candidates.score("printed_uncertainty")
