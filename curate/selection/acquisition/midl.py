"""MIDL: the image uncertainty, Eq. 7, instance uncertainty weighted by class and objectness probability."""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def utilities(candidates: Candidates, *, rng: "np.random.Generator") -> "npt.NDArray[np.float64]":
    """Image uncertainty p(I|x), (N,)."""
    return candidates.score("uncertainty")
