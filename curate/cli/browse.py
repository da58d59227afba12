"""`curate browse`: the FiftyOne App on the workspace's dataset."""

from typing import Annotated

import typer

from curate.cli import options as opt


def browse(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the App on this machine.")] = 5151,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser window.")] = True,
    workspace: opt.WorkspaceOption = opt.WORKSPACE,
) -> None:
    """Browse ranked frames, boxes and uncertainties in the FiftyOne App, until Ctrl-C.

    The dataset is brought up to date from the workspace first; tags set by a person in the App are kept. Of these
    `selected` and `rejected` decide what `curate export` hands over.

    Examples:

      curate browse

      curate browse --port 5252 --no-open
    """
    from curate.browse.app import launch
    from curate.cli.console import console_progress
    from curate.pipeline.browse import browse as build
    from curate.workspace import Workspace

    space = Workspace.open(workspace)
    with console_progress() as progress:
        with space.lock():
            build(space, progress=progress)
        launch(space, port=port, open_browser=open_browser, progress=progress)
