"""The acquisition functions that there are."""

from typing import TYPE_CHECKING, Protocol, cast

from curate.registry import Registry
from curate.selection.candidates import Candidates

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from curate.selection.picking.types import Picking

ACQUISITIONS = Registry("curate.selection.acquisition", "acquisition function")
DEFAULT_ACQUISITION = "diverse"
COLD_ACQUISITION = "k-center"
"""The default where no detector has scored the frames."""
FEATURES = "embedding"
"""The score column that every run has, a cold start's too."""


class Acquisition(Protocol):
    """A module of `curate/selection/acquisition/`."""

    COLUMNS: tuple[str, ...]
    PICKING: "Picking"

    @staticmethod
    def utilities(candidates: Candidates, *, rng: "np.random.Generator") -> "npt.NDArray[np.float64]":
        """(N,), higher means label sooner, NaN means not a candidate."""


def load_acquisition(name: str) -> Acquisition:
    """The acquisition function of that name; UsageError with the choices where there is none."""
    return cast(Acquisition, ACQUISITIONS.load(name))


def needs_detector(acquisition: Acquisition) -> bool:
    """Whether it reads what only a detector can say."""
    return any(column != FEATURES for column in acquisition.COLUMNS)
