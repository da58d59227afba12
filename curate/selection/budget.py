"""A labelling budget in the user's terms: a share of the unlabelled candidates, a number of frames, or a time."""

import re
from dataclasses import dataclass

from curate.errors import CurateError, UsageError

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600}


@dataclass(frozen=True)
class Budget:
    """One of three: `percent` of the unlabelled candidates (0 < percent <= 100), `count` frames (>= 1), or
    `seconds` of labelling time (> 0).
    """

    percent: float | None = None
    count: int | None = None
    seconds: float | None = None

    def check(self, unlabeled: int) -> None:
        """CurateError where a pool of `unlabeled` candidates is empty, or smaller than a number of frames asked for."""
        if unlabeled == 0:
            raise CurateError("no unlabelled frames are left to select from; add videos")
        if self.count is not None and self.count > unlabeled:
            raise CurateError(
                f"--budget {self.count}: the pool has {unlabeled:,} unlabelled frames; "
                f"give at most {unlabeled}, or sample more densely (--every, --all-frames)"
            )

    def frames(self, unlabeled: int) -> int | None:
        """How many frames this is of `unlabeled` candidates, rounded down, at least 1; None for a labelling time.

        Raises CurateError as `check` does.
        """
        self.check(unlabeled)
        if self.percent is not None:
            # The tolerance keeps 7% of 100 at 7, where floating point would give 6.
            return max(1, int(unlabeled * self.percent / 100 + 1e-9))
        return self.count

    def of(self, unlabeled: int) -> str:
        """The budget in words: "5% of 4,788", "20 of 363", "2 h of labelling, of 363"."""
        if self.seconds is not None:
            return f"{self} of labelling, of {unlabeled:,}"
        return f"{f'{self.percent:g}%' if self.percent is not None else self.count} of {unlabeled:,}"

    def __str__(self) -> str:
        if self.seconds is not None:
            return duration(self.seconds)
        return f"{self.percent:g}%" if self.percent is not None else f"{self.count} frames"


def parse_budget(text: str) -> Budget:
    """Read `5%`, `500`, `2h`, `90m` or `600s`; UsageError for anything else."""
    stripped = text.strip()
    percent = _PERCENT.fullmatch(stripped)
    if percent and 0 < float(percent[1]) <= 100:
        return Budget(percent=float(percent[1]))
    if stripped.isascii() and stripped.isdigit() and int(stripped) > 0:
        return Budget(count=int(stripped))
    time = _TIME.fullmatch(stripped)
    if stripped.isascii() and time and float(time[1]) > 0:
        return Budget(seconds=float(time[1]) * _SECONDS[time[2]])
    raise UsageError(
        f"--budget {text!r}: give a share above 0% and up to 100% (5%), a number of frames (500), "
        "or a labelling time (2h, 90m)"
    )


def duration(seconds: float) -> str:
    """A time in words: "2 h", "90 min", "42 s"."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and (seconds / size * 10).is_integer():
            return f"{seconds / size:g} {unit}"
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
