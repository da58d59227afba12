"""Hand the selection over: what a receiver profile writes from the selected frames at full size."""

from collections.abc import Sequence

from curate.handoff.export import ExportResult
from curate.handoff.export import export as write_export
from curate.labels.table import load_labels
from curate.pool import Pool
from curate.selection.write import read_selection
from curate.workspace import Workspace


def export(
    workspace: Workspace, *, profile: str = "coco", classes: Sequence[str] = (), predictions: bool = False
) -> ExportResult:
    """Write `exports/<profile>/` from the current selection.

    The categories are `classes` if given, otherwise those of the labels. `predictions` adds the detector's boxes as
    pre-annotations with their score.
    """
    selection = read_selection(workspace.selection)
    pool = Pool.load(workspace)
    return write_export(
        workspace=workspace,
        selection=selection,
        sources=pool.sources,
        categories=tuple(classes) or load_labels(workspace).categories,
        profile=profile,
    )
