"""The main job, `curate score`: pool, labels, detector, scores, selection and FiftyOne dataset from one call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from curate.browse.database import BrowseUnavailable
from curate.labels.table import load_labels
from curate.pipeline.browse import browse
from curate.pipeline.duplicates import find_duplicates
from curate.pipeline.index import DEFAULT_SAMPLING, IndexResult, index
from curate.pipeline.label import label
from curate.pipeline.score import find_detector, score
from curate.pipeline.select import DEFAULT_OPTIONS, SelectResult, acquisition_of, select
from curate.pipeline.train import DEFAULT_HOLDOUT, TrainResult, checked_config, train, trained_on_current_labels
from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.report import Report
from curate.selection.budget import Budget
from curate.selection.exclude import read_excluded
from curate.selection.options import SelectOptions
from curate.types import BackendChoice, Sampling, Skipped
from curate.workspace import Workspace

if TYPE_CHECKING:
    from curate.browse.dataset import DatasetSummary
    from detectors.config import TrainConfig


@dataclass(frozen=True)
class RunOptions:
    """What `curate score` was asked for. `train_config` None: the detector's defaults, or any detector that fits.

    `seed` is that of the training and of the selection.
    """

    paths: Sequence[str]
    budget: Budget
    sampling: Sampling = DEFAULT_SAMPLING
    labels: Path | None = None
    labels_format: str | None = None
    detector: str | None = None
    train_config: "TrainConfig | None" = None
    holdout: float = DEFAULT_HOLDOUT
    select: SelectOptions = DEFAULT_OPTIONS
    seed: int = 0
    workers: int | None = None
    backend: BackendChoice = "auto"
    fiftyone: bool = True


@dataclass(frozen=True)
class RunResult:
    """What came of it. `trained` is None where nothing had to be trained, `dataset` where FiftyOne was left out."""

    index: IndexResult
    trained: TrainResult | None
    detector: str | None
    selection: SelectResult
    dataset: "DatasetSummary | None"
    dataset_problem: str
    skipped: tuple[Skipped, ...]


def run(workspace: Workspace, options: RunOptions, report: Report, *, progress: Progress = SILENT) -> RunResult:
    """Do the main job, with each stage's results and time in `report`, which is written whatever happens."""
    _check(workspace, options)
    with report.kept_in(workspace):
        with report.stage("index"):
            indexed = index(
                workspace,
                options.paths,
                sampling=options.sampling,
                workers=options.workers,
                backend=options.backend,
                progress=progress,
            )
        report.skipped.extend(indexed.skipped)
        report.results["index"] = {
            "sources": indexed.sources,
            "read": indexed.read,
            "new_frames": indexed.new_frames,
            "unlabeled": indexed.unlabeled,
            "elsewhere": indexed.elsewhere,
            "earlier_samplings": indexed.samplings,
            "gone": indexed.gone,
        }
        if indexed.gone:
            progress.say(
                f"Gone: {len(indexed.gone):,} sources, the first {indexed.gone[0]}; their {indexed.gone_frames:,} "
                "unlabelled frames are no candidates any more (labelled ones stay)"
            )
        progress.say(
            f"Pool: {indexed.unlabeled:,} unlabelled candidates of {indexed.sources:,} sources, "
            f"sampled {options.sampling}; {indexed.new_frames:,} frames are new"
        )
        if indexed.elsewhere:
            progress.say(f"  {indexed.elsewhere:,} of them are of other paths, given before")
        if indexed.samplings:
            progress.say(f"  some of them were sampled before: {', '.join(indexed.samplings)}")
        if options.labels is not None:
            with report.stage("label"):
                labeled = label(workspace, options.labels, dataset_format=options.labels_format, progress=progress)
            report.results["label"] = vars(labeled)
            progress.say(
                f"Labels: {labeled.frames:,} frames with {labeled.boxes:,} boxes of {len(labeled.categories)} classes "
                f"({labeled.added:,} new, {labeled.replaced:,} replaced)"
            )
        with report.stage("duplicates"):
            duplicates = find_duplicates(workspace, progress=progress)
        report.results["duplicates"] = vars(duplicates)
        if duplicates.groups:
            progress.say(
                f"Near-duplicates: {duplicates.frames:,} frames in {duplicates.groups:,} groups of the same picture"
            )
        # Before hours of training, not after.
        options.budget.check(Pool.load(workspace).in_state("unlabeled").num_rows)
        detector, trained = _detector(workspace, options, report, progress)
        with report.stage("score"):
            scored = score(workspace, detector=detector, progress=progress)
        report.results["score"] = vars(scored)
        with report.stage("select"):
            selected = select(
                workspace,
                options.budget,
                replace(options.select, seed=options.seed),
                run=scored.run,
                fiftyone=options.fiftyone,
                progress=progress,
            )
        report.skipped.extend(selected.skipped)
        report.results["select"] = vars(selected.info) | {"selected": len(selected.selection)}
        dataset, problem = None, ""
        if options.fiftyone:
            with report.stage("fiftyone"):
                dataset, problem = _dataset(lambda: browse(workspace, progress=progress))
            report.results["fiftyone"] = vars(dataset) if dataset else {"problem": problem}
    return RunResult(indexed, trained, detector, selected, dataset, problem, tuple(report.skipped))


def _check(workspace: Workspace, options: RunOptions) -> None:
    """Refuse what would fail after hours of work. What the labels are is not known yet where they are given now."""
    options.select.check()
    read_excluded(options.select.exclude)
    if options.detector is not None:
        find_detector(workspace, options.detector)
    if options.train_config is not None:
        checked_config(workspace, options.train_config, holdout=options.holdout)
    has_labels = options.labels is not None or bool(load_labels(workspace).frames)
    acquisition_of(options.select, cold=options.detector is None and not has_labels)


def _detector(
    workspace: Workspace, options: RunOptions, report: Report, progress: Progress
) -> tuple[str | None, TrainResult | None]:
    """The detector to score with, trained now if the labels have none yet; None for a cold start."""
    if options.detector is not None:
        return str(find_detector(workspace, options.detector)), None
    if not load_labels(workspace).frames:
        if options.train_config is not None:
            progress.say("No labels: nothing is trained yet, so the options of the training have no say")
        return None, None
    if options.train_config is None:
        name = trained_on_current_labels(workspace)
        if name is not None:
            progress.say(f"Detector: {name}, trained on these labels before")
            return name, None
    from detectors.config import TrainConfig

    with report.stage("train"):
        trained = train(
            workspace,
            options.train_config or TrainConfig(seed=options.seed),
            holdout=options.holdout,
            progress=progress,
        )
    report.results["train"] = vars(trained)
    return trained.name, trained


def _dataset(build: "Callable[[], DatasetSummary]") -> "tuple[DatasetSummary | None, str]":
    """The dataset, or why there is none: the selection does not depend on MongoDB."""
    try:
        return build(), ""
    except BrowseUnavailable as error:
        return None, str(error)
