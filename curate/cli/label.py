"""`curate label`: what a labelling vendor returned."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli import options as opt
from curate.errors import UsageError
from curate.labels.registry import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

    from curate.pipeline.take_back import Comparison, TakeBackResult
    from curate.workspace import Workspace

_SUSPECTS_SHOWN = 5
_FLIPS_SHOWN = 3


def label(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="What came back: files, folders or zips.")
    ] = None,
    format: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(FORMATS.names())}.", show_default="found by content")
    ] = None,
    add_classes: Annotated[
        bool, typer.Option("--add-classes", help="Accept classes that neither the labels nor an export have.")
    ] = False,
    skip_empty: Annotated[
        bool, typer.Option("--skip-empty", help="Pictures without objects are not labelled yet: leave them out.")
    ] = False,
    stretched: Annotated[
        bool, typer.Option("--stretched", help="The pictures were squeezed to another shape: scale the boxes back.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and report everything, write nothing.")] = False,
    restore: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Take back an earlier version of the labels instead.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
    workspace: opt.WorkspaceOption = opt.WORKSPACE,
) -> None:
    """Take labels back: COCO JSON, YOLO folders, Pascal VOC XML, each as a file, a folder or a zip.

    Pictures are matched to frames by their file names. All files are checked before any is merged; if one is refused,
    the labels stay as they are. A frame that is returned again gets its new labels; every state of the labels is
    kept as a version.

    Examples:

      curate label returned.json

      curate label batch1.zip batch2/ --dry-run

      curate label --restore 3
    """
    from curate.cli.console import console_progress
    from curate.pipeline.take_back import RefusedError, TakeBackOptions, take_back
    from curate.progress import SILENT
    from curate.report import Report
    from curate.workspace import Workspace

    space = Workspace.open(workspace)
    if restore is not None:
        _restore(space, restore, files or [])
        return
    if not files:
        raise UsageError("no label file is given; give what came back: a file, a folder or a zip")
    options = TakeBackOptions(format, add_classes, stretched, skip_empty, dry_run)
    report = Report("label", {"files": [str(path) for path in files], **vars(options)})
    with console_progress() as progress:
        quiet = SILENT if as_json else progress
        if dry_run:
            result = take_back(space, files, options, progress=quiet)
        else:
            with space.lock(), report.kept_in(space):
                try:
                    with report.stage("label"):
                        result = take_back(space, files, options, progress=quiet)
                except RefusedError as error:
                    report.results["label"] = {"refused": error.as_dict()}
                    raise
                report.results["label"] = result.as_dict()
        if as_json:
            typer.echo(json.dumps(result.as_dict(), indent=2, ensure_ascii=False))
        else:
            _print(result, workspace, progress.say, dry_run=dry_run)


def _restore(space: "Workspace", number: int, files: list[Path]) -> None:
    from curate.pipeline.label import restore

    if files:
        raise UsageError(f"--restore {number} and {files[0]}: give one of them")
    with space.lock():
        result = restore(space, number)
    typer.echo(f"Labels: version {number} again, {result.frames:,} frames with {result.boxes:,} boxes")
    if result.damaged is not None:
        typer.echo(f"labels.parquet could not be read; it is now {result.damaged}")
    else:
        typer.echo(f"Those before are version {result.before.number} ({result.before.path})")


def _print(result: "TakeBackResult", workspace: Path, say: "Callable[[str], None]", *, dry_run: bool) -> None:
    labels, frames = result.labels, result.returned.frames
    formats = ", ".join(dict.fromkeys(one.format for one in result.returns))
    boxes = sum(len(frame.boxes_xyxy) for frame in frames)
    say(
        f"Returned: {len(frames):,} frames with {boxes:,} boxes ({formats}): {labels.added:,} new, {labels.replaced:,} "
        f"labelled before ({len(result.changed):,} of them changed), {len(result.empty):,} without objects"
    )
    if result.twice:
        say(f"  {len(result.twice):,} frames are in several files: the last one given counts")
    if result.new_classes:
        say(f"  new classes: {', '.join(result.new_classes)}")
    clipped = sum(one.placed.clipped for one in result.returns)
    if clipped:
        most = max(one.placed.overshoot_px for one in result.returns)
        say(f"  {clipped:,} boxes reached past the edge of the picture, by {most:.2g} pixels at most, and were clipped")
    skipped = sum(one.placed.skipped_empty for one in result.returns)
    if skipped:
        say(f"  {skipped:,} pictures without objects were left out")
    if result.to_read:
        say(f"  {result.to_read:,} frames are no candidates and {'would be ' * dry_run}read from their videos")
    if result.handed_out:
        say(f"Handed out: {result.handed_out:,} frames, {len(result.missing):,} of them not labelled yet")
    _print_comparison(result.comparison, say)
    total = f"{labels.frames:,} frames with {labels.boxes:,} boxes of {len(labels.categories)} classes"
    if dry_run:
        say(f"Dry run: nothing is written; the labelled set would be {total}")
        return
    if result.before is None:
        say(f"Labelled set: {total}, as before")
    else:
        number = result.before.number
        say(f"Labelled set: {total}; before: version {number} (`curate label --restore {number}` brings it back)")
    say(f"  report    {workspace / 'report.json'}")


def _print_comparison(comparison: "Comparison", say: "Callable[[str], None]") -> None:
    summary = comparison.as_dict()
    if comparison.changes:
        flips = summary["class_flips"]
        shown = ", ".join(f"{one['predicted']} > {one['labelled']} {one['count']}" for one in flips[:_FLIPS_SHOWN])
        mean = f", mean IoU {summary['mean_iou']:.3f}" if summary["matched"] else ""
        say(
            f"Against {', '.join(comparison.detectors)} (score {comparison.min_score} and more, "
            f"{len(comparison.changes):,} frames): {summary['matched']:,} boxes matched{mean}, "
            f"{sum(one['count'] for one in flips):,} class flips{f' ({shown})' if shown else ''}, "
            f"{summary['added']:,} added, {summary['removed']:,} removed"
        )
    if comparison.suspects:
        say(f"Suspected label errors: {len(comparison.suspects):,}, the most suspicious first")
        for one in comparison.suspects[:_SUSPECTS_SHOWN]:
            say(f"  {one.frame_id}: {one.detail}")
