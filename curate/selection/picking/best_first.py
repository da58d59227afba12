"""Best first: by falling utility."""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates
from curate.selection.picking.types import Pick
from curate.selection.rules import Rules

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_CHUNK = 4096


def best_first(
    candidates: Candidates, utilities: "npt.NDArray[np.float64]", rules: Rules, rng: "np.random.Generator"
) -> list[Pick]:
    """See `Picking`."""
    import numpy as np

    order = np.lexsort((rng.permutation(len(utilities)), -utilities))
    order = order[~np.isnan(utilities[order])]
    for _ in rules.phases():
        for start in range(0, len(order), _CHUNK):
            if rules.full:
                break
            chunk = order[start : start + _CHUNK]
            # Most are closed when their turn comes; those that a pick of this chunk closes are asked for one by one.
            for i in chunk[rules.open(chunk)].tolist():
                if not rules.full and rules.open(np.array([i]))[0]:
                    rules.pick(i)
    place = np.empty(len(utilities), dtype=np.int64)
    place[order] = np.arange(len(order))
    return [Pick(i, float(utilities[i])) for i in sorted(rules.picked, key=lambda i: int(place[i]))]
