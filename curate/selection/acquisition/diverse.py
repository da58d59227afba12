"""Diverse: frames unlike each other and unlike what is labelled, among the most uncertain. The default with a detector.

Two stages, as in PPAL (Yang et al., "Plug and Play Active Learning for Object Detection", CVPR 2024): the candidates of
the highest uncertainty, Eq. 7, and of these the core-set (Sener & Savarese, ICLR 2018). Uncertainty alone buys
neighbours, coverage alone buys frames with nothing in them. Uncertainty is its rank among the candidates, so neither
its scale nor outliers count.
"""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates
from curate.selection.picking.coverage import Coverage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

UNCERTAINTY = "uncertainty"
"""The score column: Eq. 7."""
TOP_SHARE = 0.2
"""Of the candidates, the most uncertain. docs/selection.md has what other shares gave on video."""

COLUMNS = (UNCERTAINTY, "embedding")
PICKING = Coverage(top_share=TOP_SHARE)


def utilities(candidates: Candidates, *, rng: "np.random.Generator") -> "npt.NDArray[np.float64]":
    """The share of the candidates that are at most as uncertain, the middle one for equal ones, (N,) in (0, 1]."""
    import numpy as np

    values = candidates.score(UNCERTAINTY)
    known = ~np.isnan(values)
    _, places, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    ranks = np.full(len(values), np.nan)
    ranks[known] = (np.cumsum(counts) - (counts - 1) / 2)[places] / max(1, known.sum())
    return ranks
