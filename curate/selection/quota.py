"""How many frames of one video a selection may or should have: a number of frames, or a share of the budget."""

import math
import re
from dataclasses import dataclass

from curate.errors import UsageError

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True)
class Quota:
    """`count` frames (>= 0), or `percent` of the budget (0-100)."""

    count: int | None = None
    percent: float | None = None

    def least(self, budget: float) -> int:
        """The frames that a minimum asks for, a share rounded down."""
        return self.count if self.count is not None else int(budget * (self.percent or 0) / 100 + 1e-9)

    def most(self, budget: float) -> int:
        """The frames that a maximum allows, a share rounded up."""
        return self.count if self.count is not None else math.ceil(budget * (self.percent or 0) / 100 - 1e-9)

    def __str__(self) -> str:
        return f"{self.percent:g}%" if self.percent is not None else f"{self.count}"


def parse_quota(option: str, text: str, *, least: int) -> Quota:
    """Read `3`, from `least`, or `10%` of the budget; UsageError that names `option` for anything else."""
    stripped = text.strip()
    percent = _PERCENT.fullmatch(stripped)
    if stripped.isascii() and percent and 0 < float(percent[1]) <= 100:
        return Quota(percent=float(percent[1]))
    if stripped.isascii() and stripped.isdigit() and int(stripped) >= least:
        return Quota(count=int(stripped))
    raise UsageError(f"{option} {text!r}: give a number of frames from {least}, or a share of the budget (10%)")
