"""`curate demo`: the whole job on videos that it makes itself."""

from pathlib import Path
from typing import Annotated

import typer

from curate.pipeline.demo import STEPS


def demo(
    folder: Annotated[Path, typer.Option(help="Where to put the videos and the workspace.")] = Path("demo"),
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = STEPS,
    fiftyone: Annotated[bool, typer.Option("--fiftyone/--no-fiftyone", help="Write the FiftyOne dataset.")] = True,
) -> None:
    """Make a few short labelled videos and run two cycles on them: cold start, then training and ranked selection.

    Takes a few minutes on two cores; needs no download.

    Example:

      curate demo --folder /tmp/demo
    """
    from curate.cli.console import console_progress
    from curate.cli.train import describe
    from curate.pipeline.demo import demo as run_demo

    with console_progress() as progress:
        result = run_demo(
            folder,
            steps=steps,
            fiftyone=fiftyone,
            progress=progress,
            heading=lambda text: progress.say(f"\n{text}"),
        )
        assert result.ranked.trained is not None
        for line in describe(result.ranked.trained.metrics):
            progress.say(line)
        progress.say("\nWhere everything is:")
        progress.say(f"  videos      {result.videos}")
        progress.say(f"  labels      {result.labels}")
        progress.say(f"  selection   {result.workspace / 'selection' / 'selection.csv'}")
        progress.say(f"  export      {result.exported.folder}")
        progress.say(f"  report      {result.workspace / 'report.json'}")
        if result.ranked.dataset is not None:
            progress.say(f"  FiftyOne    {result.ranked.dataset.name}: curate browse -w {result.workspace}")
        elif result.ranked.dataset_problem:
            progress.say(f"  FiftyOne    not written: {result.ranked.dataset_problem}")
