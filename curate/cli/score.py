"""`curate score`: the main job."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from curate.cli import options as opt
from curate.types import BACKEND_CHOICES, BackendChoice

if TYPE_CHECKING:
    from curate.pipeline.run import RunOptions, RunResult


def score(
    paths: Annotated[list[str], typer.Argument(metavar="PATHS...", help="Videos, images, folders, or @list.txt.")],
    budget: opt.BudgetOption = "5%",
    labels: opt.LabelsOption = None,
    labels_format: opt.LabelsFormatOption = None,
    detector: Annotated[
        str | None, typer.Option("--detector", "-d", help="Score with this trained detector: a name or a folder.")
    ] = None,
    every: opt.EveryOption = None,
    fps: opt.FpsOption = None,
    stride: opt.StrideOption = None,
    all_frames: opt.AllFramesOption = False,
    acquisition: opt.AcquisitionOption = None,
    min_gap: opt.MinGapOption = "1s",
    per_video_min: opt.PerVideoMinOption = None,
    per_video_max: opt.PerVideoMaxOption = None,
    balance: opt.BalanceOption = opt.SELECT.balance,
    duplicates: opt.DuplicatesOption = opt.SELECT.duplicates,
    exclude: opt.ExcludeOption = None,
    seconds_per_image: opt.SecondsPerImageOption = opt.SELECT.time.per_image_s,
    seconds_per_box: opt.SecondsPerBoxOption = opt.SELECT.time.per_box_s,
    preset: opt.PresetOption = None,
    steps: opt.StepsOption = None,
    backbone: opt.BackboneOption = None,
    weights: opt.WeightsOption = None,
    start_from: opt.StartFromOption = None,
    batch_size: opt.BatchSizeOption = None,
    devices: opt.DevicesOption = None,
    holdout: opt.HoldoutOption = None,
    imgsz: opt.ImgszOption = opt.DEFAULT_IMGSZ,
    seed: opt.SeedOption = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Decoding processes.", show_default="one a core")] = None,
    backend: Annotated[
        str, typer.Option(help=f"Which decoder reads the videos: {', '.join(BACKEND_CHOICES)}.")
    ] = BACKEND_CHOICES[0],
    fiftyone: Annotated[bool, typer.Option("--fiftyone/--no-fiftyone", help="Write the FiftyOne dataset.")] = True,
    workspace: opt.WorkspaceOption = opt.WORKSPACE,
) -> None:
    """Rank the frames of videos and select those most worth labelling.

    Without labels: a diverse first set. With labels: a MIDL detector is trained on them (once), and frames are ranked
    by its image uncertainty. All that the workspace holds is ranked: also what was given before, and frames of earlier
    samplings. A file that is gone from a folder of PATHS is left out.

    Examples:

      curate score videos/ --budget 5%

      curate score videos/ --budget 5% --labels labels.json

      curate score clips/ @more.txt --fps 2 --budget 500 --detector retinanet-1a2b3c4d
    """
    from curate.cli.console import console_progress, exit_with_skipped
    from curate.pipeline.index import DEFAULT_SAMPLING
    from curate.pipeline.run import RunOptions, run
    from curate.pipeline.train import DEFAULT_HOLDOUT
    from curate.report import Report
    from curate.selection.budget import parse_budget
    from curate.workspace import Workspace
    from detectors.config import TrainConfig

    training: dict[str, Any] = {
        "preset": preset,
        "steps": steps,
        "backbone": backbone,
        "weights": weights,
        "start_from": start_from,
        "batch_size": batch_size,
        "devices": devices,
    }
    if detector is not None:
        given = {f"--{name.replace('_', '-')}": value for name, value in (training | {"holdout": holdout}).items()}
        opt.refuse(given, f"is of a training, and --detector {detector} is trained already; leave one of them out")
    run_options = RunOptions(
        paths=paths,
        budget=parse_budget(budget),
        sampling=opt.sampling(every, fps, stride, all_frames) or DEFAULT_SAMPLING,
        labels=labels,
        labels_format=labels_format,
        detector=detector,
        # A share to hold out is a wish for a training too, which a detector of these labels would not meet.
        train_config=opt.train_config(seed, **training) or (None if holdout is None else TrainConfig(seed=seed)),
        holdout=DEFAULT_HOLDOUT if holdout is None else holdout,
        select=opt.select_options(
            acquisition=acquisition,
            min_gap=min_gap,
            per_video_min=per_video_min,
            per_video_max=per_video_max,
            exclude=exclude,
            balance=balance,
            duplicates=duplicates,
            seconds_per_image=seconds_per_image,
            seconds_per_box=seconds_per_box,
            seed=seed,
        ),
        seed=seed,
        workers=workers,
        backend=_backend(backend),
        fiftyone=fiftyone,
    )
    _check_paths(paths)
    opt.check_labels(labels, labels_format)
    space = Workspace.create(workspace, imgsz=imgsz)
    shown = {name: _plain(value) for name, value in vars(run_options).items() if value is not None}
    with console_progress() as progress, space.lock():
        result = run(space, run_options, Report("score", shown | {"imgsz": imgsz}), progress=progress)
        _print_result(result, run_options, workspace, progress.say)
    exit_with_skipped(result.skipped, str(workspace / "report.json"))


def _backend(name: str) -> BackendChoice:
    from curate.errors import UsageError

    if name not in BACKEND_CHOICES:
        raise UsageError(f"--backend {name!r}: choose from {', '.join(BACKEND_CHOICES)}")
    return cast(BackendChoice, name)


def _plain(value: object) -> object:
    """An option as it stands in report.json."""
    from curate.selection.options import SelectOptions
    from curate.types import printable
    from detectors.config import TrainConfig

    if isinstance(value, TrainConfig):
        return value.to_dict()
    if isinstance(value, SelectOptions):
        return opt.plain(value)
    if isinstance(value, list):
        return [printable(path) for path in value]
    return value if isinstance(value, bool | int | float) else printable(str(value))


def _check_paths(paths: list[str]) -> None:
    """Refuse a mistyped path before a workspace is made."""
    from curate.media.discover import discover

    discover(paths)


def _print_result(result: "RunResult", options: "RunOptions", workspace: Path, say: "Callable[[str], None]") -> None:
    from curate.cli.train import describe

    if result.trained is not None:
        for line in describe(result.trained.metrics):
            say(line)
    picked, unlabeled = result.selection.selection, result.selection.info.unlabeled
    say(
        f"Selected {len(picked):,} frames: {options.budget.of(unlabeled)} unlabelled candidates, "
        + (f"ranked by {result.detector}" if result.detector else "a diverse first set (no labels yet)")
    )
    say(f"  list      {workspace / 'selection' / 'selection.csv'}")
    say(f"  images    {workspace / 'selection' / 'images'}")
    say(f"  report    {workspace / 'report.json'}")
    if result.dataset is not None:
        dataset = result.dataset
        say(f"  FiftyOne  dataset {dataset.name} ({dataset.samples:,} samples): curate browse -w {workspace}")
    elif result.dataset_problem:
        say(f"  FiftyOne  not written: {result.dataset_problem}")
    if result.detector is None:
        say(
            "Next: have these frames labelled (`curate export --classes a,b,c` writes them for a vendor), take the "
            "labels back (`curate label FILE`), and run this again: it trains a MIDL detector and ranks the rest."
        )
    else:
        say(
            "Next: have these frames labelled (`curate export`), take the labels back (`curate label FILE`), "
            "and run this again."
        )
