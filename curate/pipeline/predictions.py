"""What was handed out and what a detector predicted for it: read back from exports and score runs."""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.errors import CurateError
from curate.labels.compare import Predicted
from curate.pool import Pool
from curate.scoring.run import ScoreRun
from curate.selection.write import read_info
from curate.workspace import Workspace


@dataclass(frozen=True)
class HandedOut:
    """What the exports of a workspace hold: frame ids, classes in their order, and the score runs behind them."""

    frame_ids: frozenset[str]
    categories: tuple[str, ...]
    runs: tuple[str, ...]


def handed_out(workspace: Workspace) -> HandedOut:
    """Read the manifests of all selections that were exported. One that is damaged tells nothing, and hinders nothing.

    A labelled set, which has a task, was exported to train on: nothing of it is to come back.
    """
    frame_ids: set[str] = set()
    categories: list[str] = []
    runs: list[str] = []
    for path in sorted(workspace.exports.glob("*/manifest.json")):
        try:
            manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if "task" in manifest:
                continue
            of_frames = {str(frame["frame_id"]) for frame in manifest["frames"]}
            names, run = [str(name) for name in manifest["categories"]], str(manifest["run_id"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        frame_ids |= of_frames
        categories += names
        runs.append(run)
    return HandedOut(frozenset(frame_ids), tuple(dict.fromkeys(categories)), tuple(dict.fromkeys(runs)))


@dataclass(frozen=True)
class Predictions:
    """Predicted boxes by frame id, of every score, and the detectors that made them."""

    of_frames: dict[str, list[Predicted]]
    detectors: tuple[str, ...]


def predictions_of(workspace: Workspace, pool: Pool, frame_ids: Iterable[str], runs: Sequence[str]) -> Predictions:
    """What detectors predicted for these frames. A frame that several runs have scored is taken from the first.

    The order is: `runs`, the run of the current selection, then all others by name.
    """
    wanted = set(frame_ids)
    found: dict[str, list[Predicted]] = {}
    detectors: list[str] = []
    for directory in _detector_runs(workspace, runs):
        if wanted <= found.keys():
            break
        run = ScoreRun(directory)
        of_run = boxes_of(run, pool, wanted - found.keys())
        if of_run:
            found |= of_run
            detectors.append(run.info.detector)
    return Predictions(found, tuple(dict.fromkeys(detectors)))


def _detector_runs(workspace: Workspace, first: Sequence[str]) -> list[Path]:
    names = list(first)
    with suppress(CurateError):  # where nothing is selected
        names.append(read_info(workspace.selection).run)
    names += sorted(path.name for path in workspace.scores.glob("*"))
    folders = [workspace.scores / name for name in dict.fromkeys(names)]
    return [
        folder
        for folder in folders
        if (folder / "run.json").is_file() and any(folder.glob("part-*")) and ScoreRun(folder).info.kind == "detector"
    ]


def boxes_of(run: ScoreRun, pool: Pool, frame_ids: Iterable[str]) -> dict[str, list[Predicted]]:
    """The boxes of these frames that a run has, of every score, in pixels of the full-size picture."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = sorted(frame_ids)
    scores = run.rows(wanted, ["frame_id", "boxes_xyxy", "labels", "scores"])
    ids = pa.array(wanted, pa.string())
    scale = {}
    for row in pool.frames.filter(pc.is_in(pool.frames["frame_id"], value_set=ids)).to_pylist():
        source = pool.sources[row["source"]]
        scale[row["frame_id"]] = (source.width / row["width"], source.height / row["height"])
    categories = run.info.categories
    return {
        row["frame_id"]: [
            ((x1 * sx, y1 * sy, x2 * sx, y2 * sy), categories[label], score)
            for (x1, y1, x2, y2), label, score in zip(row["boxes_xyxy"], row["labels"], row["scores"], strict=True)
        ]
        for row in scores.to_pylist()
        if row["frame_id"] in scale
        for sx, sy in (scale[row["frame_id"]],)
    }
