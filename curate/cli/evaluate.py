"""`curate evaluate`: how well a trained detector does on labelled images."""

from pathlib import Path
from typing import Annotated

import typer

from curate.cli import options as opt


def evaluate(
    annotations: Annotated[Path, typer.Argument(metavar="COCO.json", help="COCO detection labels of images.")],
    images: Annotated[Path, typer.Option(help="The folder that its file names are in.")],
    detector: Annotated[
        str | None, typer.Option("--detector", "-d", help="A name or a folder.", show_default="the newest")
    ] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="Also the AP of each class.")] = False,
    workspace: opt.WorkspaceOption = opt.WORKSPACE,
) -> None:
    """Measure AP, AP50 and AP75 of a trained detector on labelled images, as COCO does, and of its masks.

    Example:

      curate evaluate test.json --images test/
    """
    from curate.pipeline.evaluate import evaluate as run_evaluation
    from curate.workspace import Workspace

    result = run_evaluation(Workspace.open(workspace), annotations, images, detector=detector)
    metrics = result.metrics
    typer.echo(
        f"{result.detector} on {result.images:,} images: "
        f"AP {metrics['AP']:.3f}, AP50 {metrics['AP50']:.3f}, AP75 {metrics['AP75']:.3f}"
    )
    if metrics["mask_AP"] is not None:
        typer.echo(f"masks: AP {metrics['mask_AP']:.3f}, AP50 {metrics['mask_AP50']:.3f}")
    if per_class:
        for name, ap in metrics["AP_per_class"].items():
            typer.echo(f"  {name:24} {'-' if ap is None else f'{ap:.3f}'}")
