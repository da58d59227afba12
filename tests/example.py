"""What the tests of the command line share: a small labelled set of videos with a first cycle done."""

from dataclasses import dataclass
from pathlib import Path

COLD = ("--every", "0.2s", "--min-gap", "0", "--imgsz", 96, "--no-fiftyone")
TRAIN = ("--steps", 30, "--batch-size", 2)


@dataclass(frozen=True)
class Example:
    """Five videos of 50 frames at 25 frames/s, a cold start of 20% in `workspace`, and the labels of its selection."""

    videos: Path
    truth: Path
    labels: Path
    workspace: Path
