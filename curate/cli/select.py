"""`curate select`: pick again from scores that are there."""

from typing import Annotated

import typer

from curate.cli import options as opt


def select(
    budget: opt.BudgetOption = "5%",
    acquisition: opt.AcquisitionOption = None,
    run: Annotated[str | None, typer.Option(help="Score run, a folder of scores/.", show_default="the newest")] = None,
    min_gap: opt.MinGapOption = "1s",
    per_video_min: opt.PerVideoMinOption = None,
    per_video_max: opt.PerVideoMaxOption = None,
    balance: opt.BalanceOption = opt.SELECT.balance,
    duplicates: opt.DuplicatesOption = opt.SELECT.duplicates,
    exclude: opt.ExcludeOption = None,
    seconds_per_image: opt.SecondsPerImageOption = opt.SELECT.time.per_image_s,
    seconds_per_box: opt.SecondsPerBoxOption = opt.SELECT.time.per_box_s,
    seed: opt.SeedOption = 0,
    images: Annotated[bool, typer.Option("--images/--no-images", help="Write the frames at full size.")] = True,
    fiftyone: Annotated[bool, typer.Option("--fiftyone/--no-fiftyone", help="Update the FiftyOne dataset.")] = True,
    workspace: opt.WorkspaceOption = opt.WORKSPACE,
) -> None:
    """Select frames from the scores of an earlier `curate score`, with other options.

    Examples:

      curate select --budget 200 --min-gap 2s

      curate select --budget 5% --acquisition random --seed 7

      curate select --budget 2h --per-video-max 10% --balance 1 --exclude previous.csv
    """
    from curate.browse.database import BrowseUnavailable
    from curate.cli.console import console_progress, exit_with_skipped
    from curate.pipeline.browse import browse
    from curate.pipeline.select import select as run_selection
    from curate.report import Report
    from curate.selection.budget import parse_budget
    from curate.workspace import Workspace

    parsed = parse_budget(budget)
    options = opt.select_options(
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
    )
    space = Workspace.open(workspace)
    report = Report("select", {"budget": budget} | opt.plain(options))
    with console_progress() as progress, space.lock():
        with report.stage("select"):
            result = run_selection(space, parsed, options, run=run, images=images, fiftyone=fiftyone, progress=progress)
        report.skipped.extend(result.skipped)
        report.results["select"] = vars(result.info) | {"selected": len(result.selection)}
        share = parsed.of(result.info.unlabeled)
        progress.say(f"Selected {len(result.selection):,} frames: {share} unlabelled candidates")
        progress.say(f"List: {workspace / 'selection' / 'selection.csv'}")
        if fiftyone:
            try:
                browse(space, progress=progress)
            except BrowseUnavailable as error:
                progress.say(f"FiftyOne: {error}")
        report.write(space)
    exit_with_skipped(result.skipped, str(workspace / "report.json"))
