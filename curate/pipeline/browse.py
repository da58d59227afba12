"""Show the workspace in FiftyOne: gather scores, selection and labels, and build the dataset."""

from collections.abc import Callable
from typing import TypeVar

from curate.browse.dataset import DatasetSummary, LabeledBox, build_dataset
from curate.errors import CurateError
from curate.labels.table import load_labels
from curate.pipeline.select import newest_run
from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.selection.details import read_details
from curate.selection.write import read_info, read_selection
from curate.types import SelectedFrame
from curate.workspace import Workspace

T = TypeVar("T")


def browse(workspace: Workspace, *, progress: Progress = SILENT) -> DatasetSummary:
    """Build or refresh the FiftyOne dataset of the workspace from its tables.

    The scores shown are those that the selection was made from; without a selection, the newest.
    Raises BrowseUnavailable (a CurateError) where MongoDB cannot start.
    """
    run, selection, details = _or_none(lambda: newest_run(workspace)), list[SelectedFrame](), {}
    if (workspace.selection / "selection.csv").exists():
        run, selection = read_info(workspace.selection).run, read_selection(workspace.selection)
        details = read_details(workspace.selection)
    ground_truth = {
        frame.frame_id: [
            LabeledBox(box, category) for box, category in zip(frame.boxes_xyxy, frame.categories, strict=True)
        ]
        for frame in load_labels(workspace).frames
    }
    return build_dataset(
        workspace,
        Pool.load(workspace),
        score_run=workspace.scores / run if run else None,
        selection=selection,
        details=details,
        ground_truth=ground_truth,
        progress=progress,
    )


def _or_none(read: Callable[[], T]) -> T | None:
    """A workspace may have no scores yet; it can be browsed all the same."""
    try:
        return read()
    except CurateError:
        return None
