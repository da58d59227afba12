"""`curate export`: the selection as a labelling vendor takes it."""

from typing import Annotated

import typer

from curate.cli import options as opt
from curate.handoff.registry import PROFILES


def export(
    profile: Annotated[str, typer.Option("--for", help=f"Receiver: {', '.join(PROFILES.names())}.")] = "coco",
    classes: Annotated[str | None, typer.Option(help="Class names a,b,c.", show_default="those of the labels")] = None,
    with_predictions: Annotated[
        bool, typer.Option("--with-predictions", help="Add the detector's boxes, with their scores, to start from.")
    ] = False,
    workspace: opt.WorkspaceOption = opt.WORKSPACE,
) -> None:
    """Write the selected frames for labelling: images, COCO JSON, a plain list, a manifest and checksums.

    What a person tagged in the FiftyOne App counts: `rejected` frames are left out, `selected` ones are added.

    Examples:

      curate export --classes car,person,bicycle

      curate export --with-predictions
    """
    from curate.cli.console import console_progress
    from curate.pipeline.export import export as run_export
    from curate.workspace import Workspace

    names = [name.strip() for name in classes.split(",") if name.strip()] if classes else []
    space = Workspace.open(workspace)
    with console_progress() as progress, space.lock():
        result = run_export(space, profile=profile, classes=names, with_predictions=with_predictions, progress=progress)
    typer.echo(f"Exported {result.images:,} frames for {profile} to {workspace / 'exports' / profile}")
