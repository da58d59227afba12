"""MI-AOD: the mean of the k most uncertain instances (Yuan et al., "Multiple Instance Active Learning for Object
Detection", CVPR 2021), from MIDL's instance uncertainty."""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates
from curate.selection.picking.best_first import best_first

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COLUMNS = ("top_k_uncertainty",)
PICKING = best_first


def utilities(candidates: Candidates, *, rng: "np.random.Generator") -> "npt.NDArray[np.float64]":
    """The score column `top_k_uncertainty`, (N,)."""
    return candidates.score("top_k_uncertainty")
