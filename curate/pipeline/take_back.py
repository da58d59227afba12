"""Take returned labels back: all files checked before any is merged, compared with what was predicted, reported."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from curate.errors import CurateError, UsageError
from curate.handoff.boxes import MIN_SCORE
from curate.labels.compare import FrameChange, Predicted, Suspect, compare, flip_counts, same_objects, suspects
from curate.labels.history import Version
from curate.labels.place import Rules
from curate.labels.problems import ADVICE, LabelError
from curate.labels.read import ReadReturn, read_return
from curate.labels.table import load_labels, merge
from curate.labels.types import EMPTY, LabeledFrame, LabelSet
from curate.pipeline.label import LabelResult, frames_to_read, keep_labels, labelable, result_of
from curate.pipeline.predictions import handed_out, predictions_of
from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.workspace import Workspace


@dataclass(frozen=True)
class TakeBackOptions:
    """What `curate label` was asked for. `format` None: found by content. For the others see Rules."""

    format: str | None = None
    add_classes: bool = False
    stretched: bool = False
    skip_empty: bool = False
    dry_run: bool = False


class RefusedError(CurateError):
    """Returns that were refused. Nothing of any file was taken over; `errors` has one for each refused file."""

    def __init__(self, errors: Sequence[LabelError]) -> None:
        others = [f"{error.path} ({', '.join(problem.kind for problem in error.problems)})" for error in errors[1:]]
        super().__init__(str(errors[0]) + (f"; refused as well: {'; '.join(others)}" if others else ""))
        self.errors = tuple(errors)

    def as_dict(self) -> list[dict[str, Any]]:
        """Every problem of every file, for report.json."""
        return [
            {
                "path": str(error.path),
                "problems": [asdict(problem) | {"what_to_do": ADVICE[problem.kind]} for problem in error.problems],
            }
            for error in self.errors
        ]


@dataclass(frozen=True)
class Comparison:
    """Labels against predictions of `min_score` and more of these detectors; frames without predictions are left out.

    `suspects` looks at every frame of the return, most suspicious first.
    """

    detectors: tuple[str, ...]
    min_score: float
    changes: tuple[FrameChange, ...]
    suspects: tuple[Suspect, ...]

    def as_dict(self) -> dict[str, Any]:
        """The sums, each frame, and the suspects, for report.json."""
        ious = [iou for change in self.changes for iou in change.ious]
        return {
            "detectors": list(self.detectors),
            "min_score": self.min_score,
            "frames_compared": len(self.changes),
            "matched": len(ious),
            "mean_iou": round(sum(ious) / len(ious), 4) if ious else None,
            "class_flips": [
                {"predicted": before, "labelled": after, "count": count}
                for before, after, count in flip_counts(self.changes)
            ],
            "added": sum(change.added for change in self.changes),
            "removed": sum(change.removed for change in self.changes),
            "frames": [asdict(change) for change in self.changes],
            "suspects": [asdict(suspect) for suspect in self.suspects],
        }


@dataclass(frozen=True)
class TakeBackResult:
    """What came back and what became of it.

    `replaced` frames had labels before, `changed` of them other ones (by more than rounding); `twice` were in several
    of the files, and have the labels of the last. `missing` were handed out and have no labels yet. `to_read` are no
    candidates, and are read from their videos. `before` is the version that holds the labelled set before, None where
    nothing changed.
    """

    returns: tuple[ReadReturn, ...]
    labels: LabelResult
    returned: LabelSet
    replaced: tuple[str, ...]
    changed: tuple[str, ...]
    twice: tuple[str, ...]
    new_classes: tuple[str, ...]
    handed_out: int
    missing: tuple[str, ...]
    to_read: int
    comparison: Comparison
    before: Version | None

    @property
    def empty(self) -> tuple[str, ...]:
        """The returned frames that have no objects."""
        return tuple(frame.frame_id for frame in self.returned.frames if not frame.boxes_xyxy)

    def as_dict(self) -> dict[str, Any]:
        """The whole report, for report.json."""
        return {
            "files": [
                {
                    "path": str(one.path),
                    "format": one.format,
                    "label_files": one.files,
                    "frames": len(one.placed.labels.frames),
                    "boxes": sum(len(frame.boxes_xyxy) for frame in one.placed.labels.frames),
                    "clipped_boxes": one.placed.clipped,
                    "most_past_edge_px": round(one.placed.overshoot_px, 4),
                    "skipped_empty": one.placed.skipped_empty,
                }
                for one in self.returns
            ],
            **asdict(self.labels),
            "returned_frames": len(self.returned.frames),
            "returned_boxes": sum(len(frame.boxes_xyxy) for frame in self.returned.frames),
            "new_classes": list(self.new_classes),
            "replaced_frames": list(self.replaced),
            "changed_frames": list(self.changed),
            "frames_in_several_files": list(self.twice),
            "empty_frames": list(self.empty),
            "handed_out": self.handed_out,
            "missing_frames": list(self.missing),
            "read_from_videos": self.to_read,
            "version_before": self.before.number if self.before else None,
            "against_predictions": self.comparison.as_dict(),
        }


def take_back(
    workspace: Workspace, paths: Sequence[Path], options: TakeBackOptions, *, progress: Progress = SILENT
) -> TakeBackResult:
    """Merge returned label files, folders and zips into the labelled set, those given later over those before.

    Classes are known that the labels or an export have; where there are none yet, all are taken. With
    `options.dry_run` everything is checked and nothing is written. Raises RefusedError with what is wrong with any of
    the files; then none of them is merged.
    """
    pool = Pool.load(workspace)
    old = load_labels(workspace)
    given_out = handed_out(workspace)
    known = tuple(dict.fromkeys((*old.categories, *given_out.categories)))
    rules = Rules(
        classes=known if known and not options.add_classes else None,
        stretched=options.stretched,
        any_overshoot=False,
        skip_empty=options.skip_empty,
    )
    returns = _read_all(pool, paths, options, rules)
    returned, twice = _join(returns, known)
    merged, counts = merge(old, returned)
    labels_before = {frame.frame_id: frame for frame in old.frames}
    replaced = [frame for frame in returned.frames if frame.frame_id in labels_before]
    to_read = len(frames_to_read(pool, returned.frames))
    before = None
    if not options.dry_run:
        before = keep_labels(workspace, pool, merged, new=returned.frames, progress=progress)
    labeled = {frame.frame_id for frame in merged.frames}
    return TakeBackResult(
        returns=tuple(returns),
        labels=result_of(merged, counts),
        returned=returned,
        replaced=tuple(frame.frame_id for frame in replaced),
        changed=tuple(frame.frame_id for frame in replaced if not same_objects(frame, labels_before[frame.frame_id])),
        twice=twice,
        new_classes=tuple(name for name in merged.categories if known and name not in known),
        handed_out=len(given_out.frame_ids),
        missing=tuple(sorted(given_out.frame_ids - labeled)),
        to_read=to_read,
        comparison=_compare(workspace, pool, returned, given_out.runs),
        before=before,
    )


def _read_all(pool: Pool, paths: Sequence[Path], options: TakeBackOptions, rules: Rules) -> list[ReadReturn]:
    if not paths:
        raise UsageError("no label file is given; give what came back: a file, a folder or a zip")
    sources = labelable(pool)
    returns, errors = [], []
    for path in paths:
        try:
            returns.append(read_return(path, sources, format=options.format, rules=rules))
        except LabelError as error:
            errors.append(error)
    if errors:
        raise RefusedError(errors)
    return returns


def _join(returns: Sequence[ReadReturn], known: Sequence[str]) -> tuple[LabelSet, tuple[str, ...]]:
    """The labels of all returns, and the frames that are in several. Known classes that are listed keep their order.

    Of the others those are taken that are used: tools list classes of their own, such as a root above all.
    """
    joined, twice = EMPTY, set[str]()
    for one in returns:
        there = {frame.frame_id for frame in joined.frames}
        twice |= there & {frame.frame_id for frame in one.placed.labels.frames}
        joined, _ = merge(joined, one.placed.labels)
    used = {name for frame in joined.frames for name in frame.categories}
    names = [name for name in known if name in joined.categories]
    names += [name for name in joined.categories if name in used and name not in known]
    return LabelSet(tuple(names), joined.frames), tuple(sorted(twice))


def _compare(workspace: Workspace, pool: Pool, returned: LabelSet, runs: Sequence[str]) -> Comparison:
    predictions = predictions_of(workspace, pool, (frame.frame_id for frame in returned.frames), runs)

    def likely(frame: LabeledFrame) -> list[Predicted]:
        return [one for one in predictions.of_frames[frame.frame_id] if one[2] >= MIN_SCORE]

    changes = [compare(frame, likely(frame)) for frame in returned.frames if frame.frame_id in predictions.of_frames]
    suspicious = suspects(returned.frames, predictions.of_frames)
    return Comparison(predictions.detectors, MIN_SCORE, tuple(changes), tuple(suspicious))
