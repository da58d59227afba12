"""Score the frames: with a detector all of MIDL's scores, without one the features for a cold start."""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from curate.errors import CurateError, UsageError
from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.scoring.run import RunInfo, ScoreRun
from curate.types import cache_path_of
from curate.workspace import Workspace

COLD_START = "cold-start"


@dataclass(frozen=True)
class ScoreResult:
    """A score run of the workspace, and how many frames it scored this time."""

    run: str
    frames: int


def score(workspace: Workspace, *, detector: str | None, progress: Progress = SILENT) -> ScoreResult:
    """Score every frame that this detector has not scored yet, and that is not ignored.

    Of the labelled frames the features count: what is picked should be far from them.

    `detector` is the name of a trained detector of the workspace or the path of its folder; None computes features
    with the embedded pretrained backbone. A killed run goes on with the shards that are missing.
    """
    from curate.scoring.scorers import DETECTOR_FORMAT, detector_scorer, embedding_scorer

    pool = Pool.load(workspace)
    if pool.count("unlabeled") == 0:
        raise CurateError("every frame of the pool is labelled or ignored: nothing to score; add videos")
    if detector is None:
        info = RunInfo("embedding", "", (), "")
        name = COLD_START
    else:
        directory = find_detector(workspace, detector)
        weights = hashlib.sha256((directory / "weights.safetensors").read_bytes()).hexdigest()
        categories = workspace.read_json(directory / "config.json")["categories"]
        info = RunInfo("detector", directory.name, tuple(categories), weights)
        name = f"{directory.name}-{weights[:8]}-v{DETECTOR_FORMAT}"
    run = ScoreRun(workspace.scores / name)
    frame_ids = pool.not_ignored()["frame_id"].to_pylist()
    run.plan(info, frame_ids)
    pending = run.pending()
    if not pending:
        progress.say(f"Scores: all {len(frame_ids):,} frames were scored before ({name})")
        return ScoreResult(name, 0)
    scorer = embedding_scorer() if detector is None else detector_scorer(directory)
    frames = run.score(pending, scorer, partial(cache_path_of, workspace.frames), progress=progress)
    return ScoreResult(name, frames)


def find_detector(workspace: Workspace, detector: str, *, option: str = "--detector") -> Path:
    """The folder of a finished detector, given by name or path; UsageError that lists the choices otherwise."""
    for directory in (workspace.detectors / detector, Path(detector)):
        if (directory / "metrics.json").is_file():
            return directory.absolute()
    names = sorted(path.parent.name for path in workspace.detectors.glob("*/metrics.json"))
    raise UsageError(
        f"{option} {detector}: no trained detector of that name or path; "
        + (f"there are {', '.join(names)}" if names else "train one with `curate train --labels FILE`")
    )
