"""A labelling budget in the user's terms: a share of the unlabelled candidates, or a number of frames."""

import re
from dataclasses import dataclass

from curate.errors import CurateError, UsageError

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True)
class Budget:
    """`percent` of the unlabelled candidates (0 < percent <= 100), or `count` frames (>= 1); exactly one is set."""

    percent: float | None = None
    count: int | None = None

    def frames(self, unlabeled: int) -> int:
        """How many frames this is of `unlabeled` candidates, rounded down, at least 1.

        Raises CurateError where the pool is smaller than the budget.
        """
        if unlabeled == 0:
            raise CurateError("no unlabelled frames are left to select from; add videos")
        if self.percent is not None:
            # The tolerance keeps 7% of 100 at 7, where floating point would give 6.
            return max(1, int(unlabeled * self.percent / 100 + 1e-9))
        assert self.count is not None
        if self.count > unlabeled:
            raise CurateError(
                f"--budget {self.count}: the pool has {unlabeled:,} unlabelled frames; "
                f"give at most {unlabeled}, or sample more densely (--every, --all-frames)"
            )
        return self.count

    def of(self, unlabeled: int) -> str:
        """The budget in words: "5% of 4,788", "20 of 363"."""
        return f"{f'{self.percent:g}%' if self.percent is not None else self.count} of {unlabeled:,}"

    def __str__(self) -> str:
        return f"{self.percent:g}%" if self.percent is not None else f"{self.count} frames"


def parse_budget(text: str) -> Budget:
    """Read `5%` or `500`; UsageError for anything else."""
    stripped = text.strip()
    percent = _PERCENT.fullmatch(stripped)
    if percent and 0 < float(percent[1]) <= 100:
        return Budget(percent=float(percent[1]))
    if stripped.isascii() and stripped.isdigit() and int(stripped) > 0:
        return Budget(count=int(stripped))
    raise UsageError(f"--budget {text!r}: give a share above 0% and up to 100% (5%), or a number of frames (500)")
