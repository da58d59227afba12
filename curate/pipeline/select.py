"""Select the frames to label from a score run, within a budget."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.browse.tags import current_tags, kept_tags
from curate.errors import CurateError, UsageError
from curate.labels.table import load_labels
from curate.media.reread import write_all_full_size
from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.scoring.run import ScoreRun
from curate.scoring.scorers import SCALAR_COLUMNS
from curate.selection.budget import Budget, duration
from curate.selection.candidates import Candidates, join
from curate.selection.choose import Choice, Known, choose
from curate.selection.cost import ASSUMED_BOXES, box_counts
from curate.selection.exclude import read_excluded
from curate.selection.explain import Explainer
from curate.selection.groups import labeled_groups, read_groups
from curate.selection.options import SelectOptions
from curate.selection.reasons import reasons
from curate.selection.registry import (
    COLD_ACQUISITION,
    DEFAULT_ACQUISITION,
    FEATURES,
    load_acquisition,
    needs_detector,
)
from curate.selection.write import SelectionInfo, write_selection
from curate.types import SelectedFrame, Skipped, Source, export_stem
from curate.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_OPTIONS = SelectOptions()
SHOWN_BOXES = 10


@dataclass(frozen=True)
class SelectResult:
    """A selection: what made it, the frames, best first, and the sources that could not be read again."""

    info: SelectionInfo
    selection: tuple[SelectedFrame, ...]
    skipped: tuple[Skipped, ...]


def select(
    workspace: Workspace,
    budget: Budget,
    options: SelectOptions = DEFAULT_OPTIONS,
    *,
    run: str | None = None,
    images: bool = True,
    fiftyone: bool = True,
    progress: Progress = SILENT,
) -> SelectResult:
    """Pick frames and write selection.csv, selection.jsonl and, with `images`, the frames at full size.

    `run` is a score run of the workspace (default: the newest). Without an acquisition function in `options` it is
    DEFAULT_ACQUISITION, or COLD_ACQUISITION where the run is a cold start. Frames that are tagged `rejected` in
    FiftyOne are not picked; without `fiftyone` it is not asked, and the tags as last read count.
    """
    options.check()
    excluded = read_excluded(options.exclude)
    # What a person refused once is not picked again, and costs no budget.
    rejected = (current_tags(workspace, progress=progress) if fiftyone else kept_tags(workspace)).rejected
    scores = ScoreRun(workspace.scores / _run_of(workspace, run))
    cold = scores.info.kind != "detector"
    acquisition = acquisition_of(options, cold=cold)
    pool = Pool.load(workspace)
    unlabeled, labeled = pool.in_state("unlabeled"), pool.in_state("labeled")
    balance = 0.0 if cold else options.balance
    wanted = budget.frames(unlabeled.num_rows)
    candidates = _candidates(workspace, scores, unlabeled, labeled, acquisition, balanced=balance > 0)
    if len(candidates) < unlabeled.num_rows:
        progress.say(f"{unlabeled.num_rows - len(candidates):,} frames have no score yet: run `curate score` for them")
    if budget.seconds is not None:
        candidates = _with_costs(candidates, scores, options, cold, progress)
    known = Known(
        wanted=wanted,
        excluded=excluded | rejected,
        labeled_of=labeled_groups(workspace.duplicates, labeled),
        labeled_classes=_labeled_classes(workspace, scores.info.categories) if balance > 0 else (),
    )
    skipped: dict[str, Skipped] = {}
    while True:
        readable = candidates.without_sources(skipped)
        choice = choose(readable, acquisition, budget, options, known)
        selection = _selected(readable, choice, acquisition, cold)
        lost = _write_images(workspace, selection, pool.sources, progress) if images else {}
        if not lost:
            break
        # A video that was moved or changed since it was read cannot be labelled: the budget goes to others.
        skipped |= lost
        progress.say(f"{len(lost)} sources cannot be read again; selecting from the others")
    if not selection:
        raise CurateError(_nothing_left(skipped, readable, choice))
    for wish in choice.unmet:
        progress.say(f"Not met: {wish}")
    found = _count_excluded(candidates, excluded)
    if rejected:
        progress.say(f"Tags of the App: {_count_excluded(candidates, rejected):,} rejected candidates are not picked")
    if excluded:
        progress.say(f"Excluded: {found:,} candidates, of {len(excluded):,} frames named by --exclude")
    info = SelectionInfo(
        run=scores.directory.name,
        acquisition=acquisition,
        unlabeled=unlabeled.num_rows,
        wanted=wanted,
        min_gap_s=options.gap.seconds,
        seed=options.seed,
        min_gap_frames=options.gap.frames,
        budget=str(budget),
        balance=balance,
        per_video_min=str(options.per_video_min) if options.per_video_min else None,
        per_video_max=str(options.per_video_max) if options.per_video_max else None,
        duplicates=options.duplicates,
        excluded=found,
        labeling_s=round(choice.rules.spent, 1) if budget.seconds is not None else None,
        unmet=choice.unmet,
    )
    if info.labeling_s is not None:
        progress.say(f"Labelling time: {duration(info.labeling_s)} expected, of {budget}")
    details = _details(readable, choice, acquisition, known, scores, cold)
    # The images came first: a selection.csv that is there is complete.
    write_selection(workspace.selection, selection, pool.sources, details, info)
    return SelectResult(info, tuple(selection), tuple(sorted(skipped.values(), key=lambda one: one.path)))


def newest_run(workspace: Workspace) -> str:
    """The score run that was scored last; CurateError where there is none."""
    parts = sorted(workspace.scores.glob("*/part-*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    if not parts:
        raise CurateError("no scores yet; run `curate score PATHS --budget 5%` first")
    return parts[-1].parent.name


def _run_of(workspace: Workspace, name: str | None) -> str:
    """The score run of that name, None: the newest; UsageError with the choices where it has no scores."""
    newest = newest_run(workspace)
    runs = sorted({path.parent.name for path in workspace.scores.glob("*/part-*.parquet")})
    if name is not None and name not in runs:
        raise UsageError(f"--run {name}: no such score run; there are {', '.join(runs)}")
    return newest if name is None else name


def acquisition_of(options: SelectOptions, *, cold: bool) -> str:
    """The name of the acquisition function that is used; UsageError where a cold start has not what it needs."""
    name = options.acquisition or (COLD_ACQUISITION if cold else DEFAULT_ACQUISITION)
    if cold and needs_detector(load_acquisition(name)):
        raise UsageError(
            f"--acquisition {name}: needs scores of a detector, and there are none yet; "
            "leave it out for a diverse first set, or give random or uniform"
        )
    return name


def _candidates(
    workspace: Workspace,
    scores: ScoreRun,
    unlabeled: "pa.Table",
    labeled: "pa.Table",
    acquisition: str,
    *,
    balanced: bool,
) -> Candidates:
    """The unlabelled frames with their near-duplicate groups and the score columns that this selection reads."""
    import pyarrow as pa

    columns = dict.fromkeys(("frame_id", *load_acquisition(acquisition).COLUMNS))
    if scores.info.kind == "detector":
        columns["uncertainty"] = None
        if balanced:
            columns["class_probabilities"] = None
    groups = pa.array(read_groups(workspace.duplicates, unlabeled["frame_id"]))
    frames = unlabeled.append_column("duplicate_group", groups)
    return join(frames, scores.read(list(columns)), labeled if FEATURES in columns else None)


def _with_costs(
    candidates: Candidates, scores: ScoreRun, options: SelectOptions, cold: bool, progress: Progress
) -> Candidates:
    """The candidates with what each costs to label, in the column cost_s."""
    import numpy as np
    import pyarrow as pa

    if cold:
        boxes = np.full(len(candidates), ASSUMED_BOXES)
        progress.say(f"Labelling time: no boxes are predicted yet; {ASSUMED_BOXES} a frame are assumed")
    else:
        boxes = box_counts(scores.parts(["frame_id", "scores"]), candidates.frames["frame_id"])
    costs = options.time.per_image_s + options.time.per_box_s * boxes
    return candidates.with_column("cost_s", pa.array(costs))


def _labeled_classes(workspace: Workspace, categories: Sequence[str]) -> tuple[int, ...]:
    """How many labelled frames hold each of these classes."""
    frames = Counter(name for frame in load_labels(workspace).frames for name in set(frame.categories))
    return tuple(frames[name] for name in categories)


def _count_excluded(candidates: Candidates, excluded: Set[str]) -> int:
    return sum(one in excluded for one in candidates.frames["frame_id"].to_pylist()) if excluded else 0


def _nothing_left(skipped: Mapping[str, Skipped], candidates: Candidates, choice: Choice) -> str:
    if len(candidates) and choice.rules.full:
        return "the budget is less than the labelling time of any frame; give more, or lower --seconds-per-box"
    if len(candidates):
        return f"nothing can be selected: {'; '.join(choice.unmet)}"
    if not skipped:
        return "no frame has a score yet; run `curate score PATHS --budget 5%` first"
    first = next(iter(skipped.values()))
    return f"no source of the unlabelled frames can be read again; the first is {first.path}: {first.reason}"


def _selected(candidates: Candidates, choice: Choice, acquisition: str, cold: bool) -> list[SelectedFrame]:
    """The picks as rows of selection.csv."""
    import numpy as np

    chosen = np.array([pick.index for pick in choice.picks], dtype=np.int64)
    rows = candidates.frames.take(chosen).select(["frame_id", "source", "frame_index", "timestamp_s"]).to_pylist()
    uncertainties = [None] * len(chosen) if cold else candidates.score("uncertainty")[chosen].tolist()
    sentences = reasons(acquisition, choice.picks, choice.utilities, cold=cold)
    return [
        SelectedFrame(
            rank=n + 1, **row, uncertainty=uncertainties[n], utility=choice.picks[n].utility, reason=sentences[n]
        )
        for n, row in enumerate(rows)
    ]


def _details(
    candidates: Candidates, choice: Choice, acquisition: str, known: Known, scores: ScoreRun, cold: bool
) -> dict[str, dict[str, Any]]:
    """What selection.jsonl says of each pick beside its row, by frame_id."""
    import numpy as np

    explainer = Explainer(
        candidates=candidates,
        rules=choice.rules,
        utilities=choice.utilities,
        by_score=needs_detector(load_acquisition(acquisition)),
        uncertainties=None if cold else candidates.score("uncertainty"),
        groups=np.asarray(candidates.frames["duplicate_group"].to_numpy(), dtype=np.int64),
        labeled_of=dict(known.labeled_of or {}),
        wanted=choice.wanted,
    )
    ids = candidates.frames["frame_id"].take([pick.index for pick in choice.picks]).to_pylist()
    found = dict(zip(ids, explainer.details(choice.picks), strict=True))
    if cold:
        return found
    columns = ["boxes_xyxy", "labels", "scores", "box_uncertainties"]
    rows = scores.rows(ids, ["frame_id", *SCALAR_COLUMNS, *columns])
    categories = scores.info.categories
    for row in rows.to_pylist():
        boxes = sorted(zip(*(row.pop(name) for name in columns), strict=True), key=lambda box: -box[3])
        shown = [
            {"box_xyxy": box, "category": categories[label], "score": score, "uncertainty": uncertainty}
            for box, label, score, uncertainty in boxes[:SHOWN_BOXES]
        ]
        frame_id = row.pop("frame_id")
        found[frame_id] = row | found[frame_id] | {"boxes": shown}
    return found


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
