"""The least distance between two picks of one video, in seconds or in frames."""

import re
from dataclasses import dataclass

from curate.errors import UsageError
from curate.types import duration_s

_FRAMES = re.compile(r"(\d+)\s*f")


@dataclass(frozen=True)
class Gap:
    """`seconds` (>= 0) between time stamps, or `frames` (>= 0) between frame indices where it is set."""

    seconds: float = 1.0
    frames: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < float("inf") or (self.frames is not None and self.frames < 0):
            raise UsageError(f"--min-gap {self}: give a number of seconds or frames from 0")

    def __str__(self) -> str:
        return f"{self.frames} frames" if self.frames is not None else f"{self.seconds:g} s"


DEFAULT_GAP = Gap()


def parse_gap(text: str) -> Gap:
    """Read `1s`, `200ms`, `2m` (a bare number is seconds) or `30f`, 30 frames; UsageError for anything else."""
    stripped = text.strip()
    frames = _FRAMES.fullmatch(stripped)
    if frames and stripped.isascii():
        return Gap(frames=int(frames[1]))
    seconds = duration_s(stripped)
    if seconds is not None and stripped.isascii():
        return Gap(seconds=seconds)
    raise UsageError(f"--min-gap {text!r}: give a time (1s, 200ms) or a number of frames (30f)")
