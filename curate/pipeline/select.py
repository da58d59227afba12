"""Select the frames to label from a score run, within a budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import CurateError, UsageError
from curate.media.reread import write_all_full_size
from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.scoring.run import ScoreRun
from curate.scoring.scorers import SCALAR_COLUMNS
from curate.selection.budget import Budget
from curate.selection.candidates import Candidates, join
from curate.selection.pick import by_coverage, by_utility
from curate.selection.registry import DEFAULT_ACQUISITION, load_acquisition
from curate.selection.write import write_selection
from curate.types import SelectedFrame, Skipped, Source, export_stem
from curate.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

DEFAULT_MIN_GAP_S = 1.0


@dataclass(frozen=True)
class SelectResult:
    """A selection: the run it came from, how many frames were asked for of how many, the frames, best first."""

    run: str
    unlabeled: int
    wanted: int
    selection: tuple[SelectedFrame, ...]
    skipped: tuple[Skipped, ...]


def select(
    workspace: Workspace,
    budget: Budget,
    *,
    run: str | None = None,
    acquisition: str | None = None,
    min_gap_s: float = DEFAULT_MIN_GAP_S,
    seed: int = 0,
    images: bool = True,
    progress: Progress = SILENT,
) -> SelectResult:
    """Pick frames and write selection.csv, selection.jsonl and, with `images`, the frames at full size.

    `run` is a score run of the workspace (default: the newest). `acquisition` defaults to MIDL's image uncertainty, or
    to coverage of the feature space (k-center greedy) where the run is a cold start.
    """
    import numpy as np

    if min_gap_s < 0:
        raise UsageError(f"--min-gap {min_gap_s}: give a number of seconds from 0")
    scores = ScoreRun(workspace.scores / (run or newest_run(workspace)))
    info = scores.info
    pool = Pool.load(workspace)
    unlabeled = pool.in_state("unlabeled")
    wanted = budget.frames(unlabeled.num_rows)
    columns = SCALAR_COLUMNS if info.kind == "detector" else ("embedding",)
    candidates = join(unlabeled, scores.read(["frame_id", *columns]))
    if len(candidates) < unlabeled.num_rows:
        progress.say(f"{unlabeled.num_rows - len(candidates):,} frames have no score yet: run `curate score` for them")
    rng = np.random.default_rng(seed)
    if info.kind == "detector":
        selection = _by_utility(candidates, acquisition or DEFAULT_ACQUISITION, wanted, min_gap_s, rng)
    elif acquisition is None or acquisition == "random":
        selection = _cold_start(candidates, acquisition, wanted, min_gap_s, rng)
    else:
        raise UsageError(
            f"--acquisition {acquisition}: needs scores of a detector, and there are none yet; "
            "leave it out for a diverse first set, or give random"
        )
    if len(selection) < wanted:
        progress.say(
            f"Selected {len(selection):,} of {wanted:,}: a gap of {min_gap_s:g} s within a video leaves no more; "
            "lower --min-gap for more"
        )
    details = _details(candidates, columns) if info.kind == "detector" else {f.frame_id: {} for f in selection}
    # The images come first: a selection.csv that is there is complete.
    skipped = _write_images(workspace, selection, pool.sources, progress) if images else ()
    write_selection(workspace.selection, selection, pool.sources, details)
    return SelectResult(scores.directory.name, unlabeled.num_rows, wanted, tuple(selection), tuple(skipped))


def newest_run(workspace: Workspace) -> str:
    """The score run that was scored last; CurateError where there is none."""
    parts = sorted(workspace.scores.glob("*/part-*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    if not parts:
        raise CurateError("no scores yet; run `curate score PATHS --budget 5%` first")
    return parts[-1].parent.name


def _by_utility(
    candidates: Candidates, acquisition: str, wanted: int, min_gap_s: float, rng: "np.random.Generator"
) -> list[SelectedFrame]:
    import numpy as np

    utilities = load_acquisition(acquisition).utilities(candidates, rng=rng)
    picked = by_utility(utilities, *_places(candidates), budget=wanted, min_gap_s=min_gap_s, rng=rng)
    uncertainty = candidates.score("uncertainty")
    position = np.empty(len(candidates), dtype=np.int64)
    position[np.argsort(-utilities, kind="stable")] = np.arange(1, len(candidates) + 1)
    reasons = [f"{acquisition}: utility {position[i]:,} of {len(candidates):,}" for i in picked]
    return _ranked(candidates, picked, utilities[picked].tolist(), uncertainty[picked].tolist(), reasons)


def _cold_start(
    candidates: Candidates, acquisition: str | None, wanted: int, min_gap_s: float, rng: "np.random.Generator"
) -> list[SelectedFrame]:
    if acquisition == "random":
        utilities = load_acquisition("random").utilities(candidates, rng=rng)
        picked = by_utility(utilities, *_places(candidates), budget=wanted, min_gap_s=min_gap_s, rng=rng)
        return _ranked(candidates, picked, utilities[picked].tolist(), None, ["random"] * len(picked))
    picks = list(
        by_coverage(candidates.embeddings(), *_places(candidates), budget=wanted, min_gap_s=min_gap_s, rng=rng)
    )
    reasons = [
        f"cold start: distance {distance:.3f} from the nearest frame picked before"
        if n
        else "cold start: the most typical frame"
        for n, (_, distance) in enumerate(picks)
    ]
    return _ranked(candidates, [i for i, _ in picks], [distance for _, distance in picks], None, reasons)


def _places(candidates: Candidates) -> tuple[list[str], list[float]]:
    return candidates.frames["source"].to_pylist(), candidates.frames["timestamp_s"].to_pylist()


def _ranked(
    candidates: Candidates,
    picked: Sequence[int],
    utilities: Sequence[float],
    uncertainties: Sequence[float] | None,
    reasons: Sequence[str],
) -> list[SelectedFrame]:
    rows = candidates.frames.take(picked).select(["frame_id", "source", "frame_index", "timestamp_s"]).to_pylist()
    return [
        SelectedFrame(
            rank=n + 1,
            **row,
            uncertainty=None if uncertainties is None else uncertainties[n],
            utility=utilities[n],
            reason=reasons[n],
        )
        for n, row in enumerate(rows)
    ]


def _details(candidates: Candidates, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    rows = candidates.scores.select(["frame_id", *columns]).to_pylist()
    return {row.pop("frame_id"): row for row in rows}


def _write_images(
    workspace: Workspace, selection: Sequence[SelectedFrame], sources: Mapping[str, Source], progress: Progress
) -> list[Skipped]:
    """Write the selected frames at full size; images of an earlier selection that are not in this one are removed."""
    folder = workspace.selection / "images"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {folder / f"{export_stem(frame.frame_id)}.jpg": frame for frame in selection}
    for old in set(folder.iterdir()) - set(wanted):
        old.unlink()
    by_source: dict[str, dict[int, Path]] = {}
    for path, frame in wanted.items():
        if not path.exists():
            by_source.setdefault(frame.source, {})[frame.frame_index] = path
    progress.start("Reading selected frames at full size", sum(map(len, by_source.values())), "frames")
    skipped = []
    for written in write_all_full_size([(sources[source], frames) for source, frames in sorted(by_source.items())]):
        if written.reason:
            skipped.append(Skipped(written.source.path, written.reason))
        progress.advance(len(by_source[written.source.source]))
    progress.finish()
    return sorted(skipped, key=lambda one: one.path)
