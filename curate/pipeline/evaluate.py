"""Measure a trained detector on labelled images outside the pool."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.errors import CurateError, UsageError
from curate.pipeline.score import find_detector
from curate.workspace import Workspace


@dataclass(frozen=True)
class EvaluateResult:
    """What `detectors.evaluation.evaluate` measured of one detector over so many images."""

    detector: str
    images: int
    metrics: dict[str, Any]


def evaluate(workspace: Workspace, annotations: Path, images: Path, *, detector: str | None = None) -> EvaluateResult:
    """Evaluate a detector of the workspace (default: the one trained last) on a COCO file and its image folder.

    Raises UsageError for a path that does not exist and CurateError for labels that cannot be used.
    """
    for option, path in (("COCO.json", annotations), ("--images", images)):
        if not path.exists():
            raise UsageError(f"{option} {path}: no such file or folder")
    directory = find_detector(workspace, detector or _newest(workspace))

    from detectors.data import load_coco
    from detectors.evaluation import evaluate as measure
    from detectors.inference import Scorer, load_detector

    scorer = Scorer(load_detector(directory))
    try:
        labeled, categories = load_coco(annotations, images, categories=scorer.categories)
        metrics = measure(scorer, labeled, categories)
    except (ValueError, OSError) as error:
        raise CurateError(f"{annotations}: {error}") from error
    if metrics["AP"] is None:
        raise CurateError(f"{annotations}: no boxes to measure with; give labels that have some")
    return EvaluateResult(directory.name, len(labeled), metrics)


def _newest(workspace: Workspace) -> str:
    finished = sorted(workspace.detectors.glob("*/metrics.json"), key=lambda path: path.stat().st_mtime_ns)
    if not finished:
        raise CurateError("no trained detector in the workspace; train one with `curate train --labels FILE`")
    return finished[-1].parent.name
