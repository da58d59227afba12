"""Show the workspace in FiftyOne: gather scores, selection and labels, and build the dataset."""

from collections.abc import Callable
from typing import TypeVar

from curate.browse.dataset import DatasetSummary, LabeledBox, build_dataset
from curate.errors import CurateError
from curate.labels.table import load_labels
from curate.pipeline.select import newest_run
from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.selection.write import read_selection
from curate.types import SelectedFrame
from curate.workspace import Workspace

T = TypeVar("T")


def browse(workspace: Workspace, *, run: str | None = None, progress: Progress = SILENT) -> DatasetSummary:
    """Build or refresh the FiftyOne dataset of the workspace from its tables.

    Raises BrowseUnavailable (a CurateError) where MongoDB cannot start.
    """
    name = run or _or_none(lambda: newest_run(workspace))
    selection: list[SelectedFrame] = _or_none(lambda: read_selection(workspace.selection)) or []
    ground_truth = {
        frame.frame_id: [
            LabeledBox(box, category) for box, category in zip(frame.boxes_xyxy, frame.categories, strict=True)
        ]
        for frame in load_labels(workspace).frames
    }
    return build_dataset(
        workspace,
        Pool.load(workspace),
        score_run=workspace.scores / name if name else None,
        selection=selection,
        ground_truth=ground_truth,
        progress=progress,
    )


def _or_none(read: Callable[[], T]) -> T | None:
    """A workspace may have no scores or no selection yet; it can be browsed all the same."""
    try:
        return read()
    except CurateError:
        return None
