"""Max uncertainty: the highest instance uncertainty of the frame (Table 5, "Max Unc.")."""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def utilities(candidates: Candidates, *, rng: "np.random.Generator") -> "npt.NDArray[np.float64]":
    """The score column `max_uncertainty`, (N,)."""
    return candidates.score("max_uncertainty")
