"""`curate export`: the selection as a labelling vendor takes it."""

from typing import Annotated

import typer

from curate.cli import options as opt


def export(
    profile: Annotated[str, typer.Option("--for", help="Receiver profile.")] = "coco",
    classes: Annotated[str | None, typer.Option(help="Class names a,b,c. [default: those of the labels]")] = None,
    workspace: opt.WorkspaceOption = opt.WORKSPACE,
) -> None:
    """Write the selected frames for labelling: images, COCO JSON, a plain list, a manifest and checksums.

    Examples:

      curate export --classes car,person,bicycle

      curate export --for coco
    """
    from curate.pipeline.export import export as run_export
    from curate.workspace import Workspace

    names = [name.strip() for name in classes.split(",") if name.strip()] if classes else []
    space = Workspace.open(workspace)
    with space.lock():
        result = run_export(space, profile=profile, classes=names)
    typer.echo(f"Exported {result.images:,} frames for {profile} to {result.folder}")
