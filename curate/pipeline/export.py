"""Hand the selection over: what a receiver profile writes from the selected frames at full size."""

from collections.abc import Sequence

from curate.errors import CurateError
from curate.handoff.boxes import MIN_SCORE
from curate.handoff.export import ExportResult
from curate.handoff.export import export as write_export
from curate.handoff.types import Prediction
from curate.labels.table import load_labels
from curate.pipeline.predictions import boxes_of
from curate.pipeline.tags import tagged_selection
from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.scoring.run import ScoreRun
from curate.selection.write import read_info, read_selection
from curate.types import SelectedFrame
from curate.workspace import Workspace


def export(
    workspace: Workspace,
    *,
    profile: str = "coco",
    classes: Sequence[str] = (),
    with_predictions: bool = False,
    min_score: float = MIN_SCORE,
    with_images: bool = True,
    zipped: bool = False,
    progress: Progress = SILENT,
) -> ExportResult:
    """Write `exports/<profile>/` from the current selection, as a person changed it with tags in the FiftyOne App.

    The categories are `classes` if given, otherwise those of the labels. `with_predictions` adds the detector's boxes
    of `min_score` and more as pre-annotations. Without `with_images` the images are described, but not put there.
    `zipped` adds a zip file of what the receiver reads. Frames that were labelled since are left out;
    CurateError where no other is left.
    """
    selection: Sequence[SelectedFrame] = read_selection(workspace.selection)
    pool = Pool.load(workspace)
    made_by = read_info(workspace.selection)
    run = ScoreRun(workspace.scores / made_by.run)
    if with_predictions and run.info.kind != "detector":
        raise CurateError("--with-predictions: no detector has scored these frames yet; leave it out")
    selection = tagged_selection(workspace, pool, run, selection, progress=progress).frames
    selection = _not_labeled(pool, selection, progress)
    return write_export(
        workspace=workspace,
        selection=selection,
        sources=pool.sources,
        categories=tuple(classes) or load_labels(workspace).categories,
        profile=profile,
        predictions=_predictions(run, pool, selection, min_score) if with_predictions else None,
        run_id=made_by.run,
        seed=made_by.seed,
        detector=run.info.detector or None,
        detector_sha256=run.info.weights_sha256 or None,
        min_score=min_score if with_predictions else None,
        with_images=with_images,
        zipped=zipped,
    )


def _not_labeled(pool: Pool, selection: Sequence[SelectedFrame], progress: Progress) -> Sequence[SelectedFrame]:
    labeled = set(pool.in_state("labeled")["frame_id"].to_pylist())
    left = [frame for frame in selection if frame.frame_id not in labeled]
    if selection and not left:
        raise CurateError(
            f"all {len(selection):,} selected frames are labelled: nothing to export; "
            "run `curate score PATHS` or `curate select` for the next ones"
        )
    if len(left) < len(selection):
        progress.say(f"Left out: {len(selection) - len(left):,} of {len(selection):,} frames, labelled already")
    return left


def _predictions(
    run: ScoreRun, pool: Pool, selection: Sequence[SelectedFrame], min_score: float
) -> dict[str, list[Prediction]]:
    boxes = boxes_of(run, pool, (frame.frame_id for frame in selection))
    return {frame_id: [box for box in found if box[2] >= min_score] for frame_id, found in boxes.items()}
