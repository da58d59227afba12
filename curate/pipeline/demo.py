"""The demo: make labelled videos, then do what a curator does, with the known labels in the vendor's place."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from curate.demo import cut_labels, make_videos
from curate.errors import cannot_write
from curate.pipeline.export import export
from curate.pipeline.run import RunOptions, RunResult, run
from curate.progress import SILENT, Progress
from curate.report import Report
from curate.selection.budget import Budget
from curate.selection.gap import Gap
from curate.selection.options import SelectOptions
from curate.types import Sampling
from curate.workspace import Workspace

if TYPE_CHECKING:
    from curate.handoff.export import ExportResult

FIRST_BUDGET = Budget(percent=20)
SECOND_BUDGET = Budget(percent=5)
SAMPLING = Sampling(every_s=0.2)
STEPS = 240


@dataclass(frozen=True)
class DemoResult:
    """Where the demo put things, and what the second cycle selected."""

    videos: Path
    labels: Path
    workspace: Path
    ranked: RunResult
    exported: "ExportResult"


def demo(
    folder: Path,
    *,
    steps: int = STEPS,
    fiftyone: bool = True,
    progress: Progress = SILENT,
    heading: Callable[[str], None] = lambda text: None,
) -> DemoResult:
    """Make the videos under `folder` and run two cycles: a cold start, then MIDL with labels for what it selected.

    A demo that was killed goes on where it stopped; one that is done does nothing anew.
    """
    from detectors.config import TrainConfig

    heading("1. Make labelled videos: handwritten digits over photographs")
    try:
        videos, truth = make_videos(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    workspace = Workspace.create(folder / "workspace", imgsz=320)
    labels = folder / "labels.json"
    with workspace.lock():
        if not labels.exists():
            heading("2. Cold start: a diverse first set to label")
            first = RunOptions(
                [str(videos)], FIRST_BUDGET, sampling=SAMPLING, select=SelectOptions(gap=Gap(0)), fiftyone=False
            )
            selection = run(workspace, first, Report("demo", {}), progress=progress).selection.selection
            cut_labels(truth, labels, [(frame.source.rpartition("-")[0], frame.frame_index) for frame in selection])
        heading("3. Its labels come back: train a MIDL detector, score every other frame, select, show in FiftyOne")
        second = RunOptions(
            [str(videos)],
            SECOND_BUDGET,
            sampling=SAMPLING,
            labels=labels,
            train_config=TrainConfig(steps=steps),
            select=SelectOptions(gap=Gap(0.5)),
            fiftyone=fiftyone,
        )
        ranked = run(workspace, second, Report("demo", {}), progress=progress)
        heading("4. Export the selection for a labelling vendor")
        exported = export(workspace)
    return DemoResult(videos, labels, workspace.root, ranked, exported)
