"""Diverse: uncertain frames that are unlike each other and unlike what is labelled. The default of a detector's run.

Three published parts. Clusters share the budget in proportion to the uncertainty in them (as weighted clustering does
in CLUE, Prabhu et al., ICCV 2021), so all of the pool is covered, and more densely where the detector is unsure. They
are clusters of the features within each video: as even over the videos as `uniform`. In a cluster each pick has the
largest uncertainty * distance to the nearest labelled frame or earlier pick: both are asked for at once, as by BADGE
(Ash et al., ICLR 2020), with the greedy choice of Core-set (Sener & Savarese, ICLR 2018). Uncertainty is its rank among
the candidates, so neither its scale nor outliers count.
"""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates
from curate.selection.picking.coverage import Coverage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

UNCERTAINTY = "uncertainty"
"""The score column: Eq. 7."""
EXPONENT = 1.0
"""Of the uncertainty's rank: 0 asks for coverage alone, more for more of what is uncertain."""
TOP_SHARE = 1.0
"""Only this share of the candidates, the most uncertain, is looked at (PPAL, Yang et al., CVPR 2024, does so)."""

COLUMNS = (UNCERTAINTY, "embedding")
PICKING = Coverage(picks_per_cluster=4, within_sources=True)


def utilities(candidates: Candidates, *, rng: "np.random.Generator") -> "npt.NDArray[np.float64]":
    """rank^EXPONENT with ranks in (0, 1], 1 = the most uncertain; NaN below TOP_SHARE, (N,)."""
    import numpy as np

    ranks = rank(candidates.score(UNCERTAINTY))
    return np.where(ranks > 1 - TOP_SHARE, ranks**EXPONENT, np.nan)


def rank(values: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
    """The share of the values that are at most as large, in (0, 1]; equal values have the middle of theirs. (N,)."""
    import numpy as np

    known = ~np.isnan(values)
    _, places, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    ranks = np.full(len(values), np.nan)
    ranks[known] = (np.cumsum(counts) - (counts - 1) / 2)[places] / max(1, known.sum())
    return ranks
