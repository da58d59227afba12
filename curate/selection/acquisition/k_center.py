"""k-center: k-center greedy on the features of the candidates alone. What a cold start uses."""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates
from curate.selection.picking.coverage import Coverage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COLUMNS = ("embedding",)
PICKING = Coverage(against_labeled=False)


def utilities(candidates: Candidates, *, rng: "np.random.Generator") -> "npt.NDArray[np.float64]":
    """The same for every frame, (N,)."""
    import numpy as np

    return np.ones(len(candidates))
