"""`curate export`: the selection as a labelling vendor takes it, or the labelled set as a training wants it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli import options as opt
from curate.errors import UsageError
from curate.handoff.boxes import MIN_SCORE
from curate.handoff.registry import PROFILES
from curate.handoff.splits import DEFAULT_SPLIT, parse_shares

if TYPE_CHECKING:
    from curate.handoff.subset import Task

_TASKS: "Mapping[str, Task]" = {"instance-segmentation": "instance-segmentation", "detection": "detection"}


def export(
    profile: Annotated[
        str | None,
        typer.Option("--for", help=f"Receiver of the selection: {', '.join(PROFILES.names())}.", show_default="coco"),
    ] = None,
    classes: Annotated[str | None, typer.Option(help="Class names a,b,c.", show_default="those of the labels")] = None,
    with_predictions: Annotated[
        bool, typer.Option("--with-predictions", help="Add the detector's boxes, with their scores, to start from.")
    ] = False,
    min_score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Leave out predictions of a lower score.", show_default=str(MIN_SCORE)),
    ] = None,
    images: Annotated[bool, typer.Option("--images/--no-images", help="Put the images there too.")] = True,
    zipped: Annotated[bool, typer.Option("--zip", help="Add a zip file of what the receiver reads.")] = False,
    task: Annotated[
        str | None, typer.Option(help=f"Export the labelled set instead, to train on: {' or '.join(_TASKS)}.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Shares of train, val and test, whole videos each.", show_default=DEFAULT_SPLIT)
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Decides the splits.", show_default="0")] = None,
    predict_masks: Annotated[
        bool, typer.Option("--predict-masks", help="A Mask R-CNN draws the masks of objects that have boxes alone.")
    ] = False,
    detector: Annotated[
        str | None, typer.Option("--detector", "-d", help="That Mask R-CNN, name or folder.", show_default="the newest")
    ] = None,
    workspace: opt.WorkspaceOption = opt.WORKSPACE,
) -> None:
    """Write the selected frames for labelling: images, boxes to start from, a list, a manifest and checksums.

    With --task: the labelled frames, as COCO files to train on.

    What a person tagged in the FiftyOne App counts: `rejected` frames are left out, `selected` ones are added.

    Examples:

      curate export --classes car,person,bicycle

      curate export --for cvat --with-predictions --zip

      curate export --task instance-segmentation --split 0.8,0.1,0.1
    """
    of_selection = {
        "--for": profile,
        "--classes": classes,
        "--with-predictions": with_predictions or None,
        "--min-score": min_score,
        "--no-images": None if images else True,
    }
    of_task = {"--split": split, "--seed": seed, "--predict-masks": predict_masks or None, "--detector": detector}
    if task is None:
        opt.refuse(of_task, "is of the labelled set; give --task too")
        if min_score is not None and not with_predictions:
            raise UsageError("--min-score is of predictions; give --with-predictions too")
        names = [name.strip() for name in classes.split(",") if name.strip()] if classes else []
        score = MIN_SCORE if min_score is None else min_score
        _export_selection(workspace, profile or "coco", names, with_predictions, score, images, zipped)
        return
    opt.refuse(of_selection, "is of the selection; leave it out, or --task")
    if detector is not None and not predict_masks:
        raise UsageError("--detector draws masks; give --predict-masks too")
    if task not in _TASKS:
        raise UsageError(f"--task {task!r}: choose from {', '.join(_TASKS)}")
    if predict_masks and task == "detection":
        raise UsageError("--predict-masks: detection has no masks; give --task instance-segmentation")
    _export_subset(
        workspace, _TASKS[task], parse_shares(split or DEFAULT_SPLIT), seed or 0, predict_masks, detector, zipped
    )


def _export_selection(
    workspace: Path,
    profile: str,
    names: list[str],
    with_predictions: bool,
    min_score: float,
    images: bool,
    zipped: bool,
) -> None:
    from curate.cli.console import console_progress
    from curate.pipeline.export import export as run_export
    from curate.workspace import Workspace

    space = Workspace.open(workspace)
    with console_progress() as progress, space.lock():
        result = run_export(
            space,
            profile=profile,
            classes=names,
            with_predictions=with_predictions,
            min_score=min_score,
            with_images=images,
            zipped=zipped,
            progress=progress,
        )
    typer.echo(f"Exported {result.images:,} frames for {profile} to {workspace / 'exports' / profile}")


def _export_subset(
    workspace: Path,
    task: "Task",
    shares: tuple[float, ...],
    seed: int,
    predict_masks: bool,
    detector: str | None,
    zipped: bool,
) -> None:
    from curate.cli.console import console_progress, exit_with_skipped
    from curate.pipeline.subset import export_subset
    from curate.report import Report
    from curate.workspace import Workspace

    space = Workspace.open(workspace)
    options = {"task": task, "split": shares, "seed": seed, "predict_masks": predict_masks, "detector": detector}
    report = Report("export", options)
    with console_progress() as progress, space.lock():
        with report.stage("export"):
            result = export_subset(
                space,
                task=task,
                shares=shares,
                seed=seed,
                predict_masks=predict_masks,
                detector=detector,
                zipped=zipped,
                progress=progress,
            )
        report.skipped.extend(result.skipped)
        report.results["export"] = {"images": result.images, "objects": result.objects, "left_out": result.left_out}
        report.write(space)
        folder = workspace / "exports" / task
        splits = ", ".join(f"{name} {count:,}" for name, count in result.images.items())
        progress.say(f"Exported {sum(result.images.values()):,} frames ({splits}) for {task} to {folder}")
        if task == "instance-segmentation":
            progress.say(
                f"Masks: {result.objects:,} objects, {result.mended:,} mended, {result.predicted:,} predicted; "
                f"{result.left_out:,} frames left out, each named in {folder / 'objects.csv'}"
            )
    exit_with_skipped(result.skipped, str(workspace / "report.json"))
