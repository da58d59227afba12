"""What a picking rule takes and gives."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from curate.selection.candidates import Candidates
from curate.selection.rules import Rules

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Pick:
    """A picked candidate. `utility` is what the selection is ranked by, higher = label sooner.

    distance: from the nearest labelled frame or earlier pick, 0-2. cluster_size: the candidates that are nearer to it
    than to any other pick or labelled frame, itself among them.
    """

    index: int
    utility: float
    distance: float | None = None
    cluster_size: int | None = None


class Picking(Protocol):
    """A picking rule: it picks through `rules` until nothing more is allowed."""

    def __call__(
        self,
        candidates: Candidates,
        utilities: "npt.NDArray[np.float64]",
        rules: Rules,
        rng: "np.random.Generator",
    ) -> list[Pick]:
        """The picks; `utilities` are (N,), NaN where a frame is not a candidate. Ties are ordered by `rng`."""
