"""Least confidence: how improbable the best class of the predicted boxes is (Lewis & Gale, "A Sequential Algorithm for
Training Text Classifiers", SIGIR 1994)."""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates
from curate.selection.picking.best_first import best_first

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COLUMNS = ("least_confidence",)
PICKING = best_first


def utilities(candidates: Candidates, *, rng: "np.random.Generator") -> "npt.NDArray[np.float64]":
    """The score column `least_confidence`, (N,)."""
    return candidates.score("least_confidence")
