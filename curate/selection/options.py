"""How a selection is made, beside its budget: one source of the defaults."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from curate.errors import UsageError
from curate.selection.cost import DEFAULT_TIME, LabelingTime
from curate.selection.gap import DEFAULT_GAP, Gap
from curate.selection.quota import Quota
from curate.selection.registry import load_acquisition

Duplicates = Literal["drop", "keep"]
DUPLICATES_CHOICES = get_args(Duplicates)


@dataclass(frozen=True)
class SelectOptions:
    """acquisition: None for the default of the score run's kind. per_video_min, per_video_max: None for no such wish.

    exclude: files that name frames not to pick. balance: 0 (off) to 1. duplicates: "drop" picks at most one frame of a
    near-duplicate group, and none where one is labelled.
    """

    acquisition: str | None = None
    gap: Gap = DEFAULT_GAP
    per_video_min: Quota | None = None
    per_video_max: Quota | None = None
    exclude: Sequence[Path] = ()
    balance: float = 0.0
    duplicates: Duplicates = "drop"
    time: LabelingTime = DEFAULT_TIME
    seed: int = 0

    def check(self) -> None:
        """UsageError where a value is not allowed."""
        if self.acquisition is not None:
            load_acquisition(self.acquisition)
        if not 0 <= self.balance <= 1:
            raise UsageError(f"--balance {self.balance:g}: give a number from 0 (off) to 1")
        least, most = self.per_video_min, self.per_video_max
        if least and most and any(_more(getattr(least, unit), getattr(most, unit)) for unit in ("count", "percent")):
            raise UsageError(f"--per-video-min {least}: more than --per-video-max {most}; lower one or raise the other")
        if self.duplicates not in DUPLICATES_CHOICES:
            raise UsageError(f"--duplicates {self.duplicates!r}: choose from {', '.join(DUPLICATES_CHOICES)}")


def _more(least: float | None, most: float | None) -> bool:
    return least is not None and most is not None and least > most
