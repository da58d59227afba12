"""What a receiver profile is given to write, and what it must offer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from curate.types import SelectedFrame, Source

# A box (x1, y1, x2, y2) in pixels of the frame at full size, its category, and the detector's score in [0, 1].
Prediction = tuple[tuple[float, float, float, float], str, float]
Predictions = Mapping[str, Sequence[Prediction]]


@dataclass(frozen=True)
class HandoffImage:
    """A selected frame as it is handed over. `name` is its file name; the size is that of the JPEG, in pixels."""

    name: str
    frame: SelectedFrame
    source: Source
    file: Path
    width: int
    height: int
    predictions: tuple[Prediction, ...] = ()


@dataclass(frozen=True)
class Handoff:
    """Everything that is handed over, for any receiver: images best first, and the categories to label.

    `detector` has made the scores, with weights of that sha256; `min_score` is that of pre-annotations, None
    where there are none.
    """

    run_id: str
    seed: int | None
    detector: str | None
    images: tuple[HandoffImage, ...]
    categories: tuple[str, ...]
    detector_sha256: str | None = None
    min_score: float | None = None


class Profile(Protocol):
    """A module of `curate/handoff/profiles/`: the files that one receiver needs beside the images."""

    # Where the images go, relative to the export's folder.
    IMAGES: str
    # How the vendor reads this export in, for README.txt.
    HOW_TO_IMPORT: str

    @staticmethod
    def write(handoff: Handoff, folder: Path) -> int:
        """Write the receiver's files beside the images, which lie in `folder`; return how many objects they have."""
