"""Hand the selection over: what a receiver profile writes from the selected frames at full size."""

from collections.abc import Sequence

from curate.errors import CurateError
from curate.handoff.boxes import MIN_SCORE
from curate.handoff.export import ExportResult
from curate.handoff.export import export as write_export
from curate.handoff.types import Prediction
from curate.labels.table import load_labels
from curate.pool import Pool
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
) -> ExportResult:
    """Write `exports/<profile>/` from the current selection.

    The categories are `classes` if given, otherwise those of the labels. `with_predictions` adds the detector's boxes
    of `min_score` and more as pre-annotations. Without `with_images` the images are described, but not put there.
    `zipped` adds a zip file of what the receiver reads.
    """
    selection = read_selection(workspace.selection)
    pool = Pool.load(workspace)
    made_by = read_info(workspace.selection)
    run = ScoreRun(workspace.scores / made_by.run)
    if with_predictions and run.info.kind != "detector":
        raise CurateError("--with-predictions: no detector has scored these frames yet; leave it out")
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


def _predictions(
    run: ScoreRun, pool: Pool, selection: Sequence[SelectedFrame], min_score: float
) -> dict[str, list[Prediction]]:
    """The predicted boxes of the selected frames, by frame_id, in pixels of the full-size picture."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array([frame.frame_id for frame in selection], pa.string())
    scores = run.read(["frame_id", "boxes_xyxy", "labels", "scores"])
    cached = pool.frames.filter(pc.is_in(pool.frames["frame_id"], value_set=wanted)).to_pylist()
    scale = {}
    for row in cached:
        source = pool.sources[row["source"]]
        scale[row["frame_id"]] = (source.width / row["width"], source.height / row["height"])
    return {
        row["frame_id"]: [
            ((x1 * sx, y1 * sy, x2 * sx, y2 * sy), run.info.categories[label], score)
            for (x1, y1, x2, y2), label, score in zip(row["boxes_xyxy"], row["labels"], row["scores"], strict=True)
            if score >= min_score
        ]
        for row in scores.filter(pc.is_in(scores["frame_id"], value_set=wanted)).to_pylist()
        for sx, sy in (scale[row["frame_id"]],)
    }
