"""Select the frames to label from a score run, within a budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from curate.selection.write import SelectionInfo, write_selection
from curate.types import SelectedFrame, Skipped, Source, export_stem
from curate.workspace import Workspace

DEFAULT_MIN_GAP_S = 1.0
COLD_ACQUISITION = "k-center"


@dataclass(frozen=True)
class SelectResult:
    """A selection: what made it, the frames, best first, and the sources that could not be read again."""

    info: SelectionInfo
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
    if min_gap_s < 0:
        raise UsageError(f"--min-gap {min_gap_s}: give a number of seconds from 0")
    check_acquisition(acquisition)
    scores = ScoreRun(workspace.scores / (run or newest_run(workspace)))
    cold = scores.info.kind != "detector"
    if cold and acquisition not in (None, "random"):
        raise UsageError(
            f"--acquisition {acquisition}: needs scores of a detector, and there are none yet; "
            "leave it out for a diverse first set, or give random"
        )
    acquisition = acquisition or (COLD_ACQUISITION if cold else DEFAULT_ACQUISITION)
    pool = Pool.load(workspace)
    unlabeled = pool.in_state("unlabeled")
    wanted = budget.frames(unlabeled.num_rows)
    columns = ("embedding",) if cold else SCALAR_COLUMNS
    candidates = join(unlabeled, scores.read(["frame_id", *columns]))
    if len(candidates) < unlabeled.num_rows:
        progress.say(f"{unlabeled.num_rows - len(candidates):,} frames have no score yet: run `curate score` for them")
    skipped: dict[str, Skipped] = {}
    while True:
        readable = candidates.without_sources(skipped)
        selection = _pick(readable, acquisition, cold=cold, wanted=wanted, min_gap_s=min_gap_s, seed=seed)
        lost = _write_images(workspace, selection, pool.sources, progress) if images else {}
        if not lost:
            break
        # A video that was moved or changed since it was read cannot be labelled: the budget goes to others.
        skipped |= lost
        progress.say(f"{len(lost)} sources cannot be read again; selecting from the others")
    if not selection:
        raise CurateError(_nothing_left(skipped))
    if len(selection) < wanted:
        enough = len(readable) >= wanted
        why = f"a gap of {min_gap_s:g} s within a video leaves no more; lower --min-gap for more"
        progress.say(
            f"Selected {len(selection):,} of {wanted:,}: "
            + (why if enough else f"only {len(readable):,} frames are scored and can be read")
        )
    details = {f.frame_id: {} for f in selection} if cold else _details(readable, columns)
    info = SelectionInfo(scores.directory.name, acquisition, unlabeled.num_rows, wanted, min_gap_s, seed)
    # The images came first: a selection.csv that is there is complete.
    write_selection(workspace.selection, selection, pool.sources, details, info)
    return SelectResult(info, tuple(selection), tuple(sorted(skipped.values(), key=lambda one: one.path)))


def check_acquisition(name: str | None) -> None:
    """UsageError that lists the choices where there is no acquisition function of that name."""
    if name is not None:
        load_acquisition(name)


def newest_run(workspace: Workspace) -> str:
    """The score run that was scored last; CurateError where there is none."""
    parts = sorted(workspace.scores.glob("*/part-*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    if not parts:
        raise CurateError("no scores yet; run `curate score PATHS --budget 5%` first")
    return parts[-1].parent.name


def _nothing_left(skipped: Mapping[str, Skipped]) -> str:
    if not skipped:
        return "no frame has a score yet; run `curate score PATHS --budget 5%` first"
    first = next(iter(skipped.values()))
    return f"no source of the unlabelled frames can be read again; the first is {first.path}: {first.reason}"


def _pick(
    candidates: Candidates, acquisition: str, *, cold: bool, wanted: int, min_gap_s: float, seed: int
) -> list[SelectedFrame]:
    """The frames to label, best first, with their utility and the reason in words."""
    import numpy as np

    rng = np.random.default_rng(seed)
    places = candidates.frames["source"].to_pylist(), candidates.frames["timestamp_s"].to_pylist()
    if acquisition == COLD_ACQUISITION:
        picks = list(by_coverage(candidates.embeddings(), *places, budget=wanted, min_gap_s=min_gap_s, rng=rng))
        reasons = [
            f"cold start: distance {distance:.3f} from the nearest frame picked before"
            if n
            else "cold start: the most typical frame"
            for n, (_, distance) in enumerate(picks)
        ]
        return _ranked(candidates, [i for i, _ in picks], [distance for _, distance in picks], None, reasons)
    utilities = load_acquisition(acquisition).utilities(candidates, rng=rng)
    picked = by_utility(utilities, *places, budget=wanted, min_gap_s=min_gap_s, rng=rng)
    if cold:
        return _ranked(candidates, picked, utilities[picked].tolist(), None, [acquisition] * len(picked))
    position = np.empty(len(candidates), dtype=np.int64)
    position[np.argsort(-utilities, kind="stable")] = np.arange(1, len(candidates) + 1)
    reasons = [f"{acquisition}: utility {position[i]:,} of {len(candidates):,}" for i in picked]
    uncertainties = candidates.score("uncertainty")[picked].tolist()
    return _ranked(candidates, picked, utilities[picked].tolist(), uncertainties, reasons)


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
) -> dict[str, Skipped]:
    """Write the selected frames at full size and remove those of an earlier selection.

    Returns the sources that could not be read again, by key.
    """
    folder = workspace.selection / "images"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {folder / f"{export_stem(frame.frame_id)}.jpg": frame for frame in selection}
    for old in set(folder.iterdir()) - set(wanted):
        old.unlink()
    by_source: dict[str, dict[int, Path]] = {}
    for path, frame in wanted.items():
        if not path.exists():
            by_source.setdefault(frame.source, {})[frame.frame_index] = path
    if not by_source:
        return {}
    progress.start("Reading selected frames at full size", sum(map(len, by_source.values())), "frames")
    lost = {}
    for written in write_all_full_size([(sources[source], frames) for source, frames in sorted(by_source.items())]):
        original = written.source.path
        if written.reason:
            lost[written.source.source] = Skipped(original, written.reason.removeprefix(f"{original}: "))
        progress.advance(len(by_source[written.source.source]))
    progress.finish()
    return lost
