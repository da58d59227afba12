"""Why a frame was picked, in a short sentence."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.selection.picking.types import Pick
from curate.selection.registry import load_acquisition, needs_detector

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def reasons(acquisition: str, picks: Sequence[Pick], utilities: "npt.NDArray[np.float64]", *, cold: bool) -> list[str]:
    """One sentence for each pick; `utilities` are those of all candidates, (N,)."""
    import numpy as np

    by_score = needs_detector(load_acquisition(acquisition))
    name = "cold start" if cold else acquisition
    place = np.empty(len(utilities), dtype=np.int64)
    place[np.argsort(-utilities, kind="stable")] = np.arange(1, len(utilities) + 1)
    return [_reason(name, pick, int(place[pick.index]), len(utilities), by_score) for pick in picks]


def _reason(name: str, pick: Pick, place: int, candidates: int, by_score: bool) -> str:
    if pick.distance is None:
        return f"{name}: utility {place:,} of {candidates:,}" if by_score else f"{name}: no score is asked"
    away = (
        f"distance {pick.distance:.3f} from the nearest labelled frame or earlier pick, "
        f"the nearest of {pick.cluster_size:,} candidates"
    )
    return f"{name}: uncertainty {place:,} of {candidates:,}, {away}" if by_score else f"{name}: {away}"
