"""`curate evaluate`: how well a trained detector does on labelled images."""

from pathlib import Path
from typing import Annotated

import typer

from curate.cli import options as opt

_SIZES = ("small", "medium", "large")


def evaluate(
    annotations: Annotated[Path, typer.Argument(metavar="COCO.json", help="COCO detection labels of images.")],
    images: Annotated[Path, typer.Option(help="The folder that its file names are in.")],
    detector: Annotated[
        str | None, typer.Option("--detector", "-d", help="A name or a folder.", show_default="the newest")
    ] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="Also the APs of each class.")] = False,
    workspace: opt.WorkspaceOption = opt.WORKSPACE,
) -> None:
    """Measure AP, AP50 and AP75 of a trained detector on labelled images, as COCO does, and of its masks.

    Also for objects by area: small below 32², medium up to 96², large above, in pixels of the file.

    Example:

      curate evaluate test.json --images test/
    """
    from curate.pipeline.evaluate import evaluate as run_evaluation
    from curate.workspace import Workspace

    result = run_evaluation(Workspace.open(workspace), annotations, images, detector=detector)
    metrics = result.metrics
    typer.echo(
        f"{result.detector} on {result.images:,} images: "
        + ", ".join(f"{name} {_number(metrics[name])}" for name in ("AP", "AP50", "AP75"))
    )
    typer.echo("objects by size: " + ", ".join(f"{name} {_number(metrics[f'AP_{name}'])}" for name in _SIZES))
    if metrics["mask_AP"] is not None:
        typer.echo(f"masks: AP {_number(metrics['mask_AP'])}, AP50 {_number(metrics['mask_AP50'])}")
    if per_class:
        typer.echo(f"  {'AP of each class':24} {'all':>6} " + " ".join(f"{name:>6}" for name in _SIZES))
        for name in metrics["AP_per_class"]:
            row = (metrics[f"AP{size}_per_class"][name] for size in ("", *(f"_{size}" for size in _SIZES)))
            typer.echo(f"  {name:24} " + " ".join(f"{_number(value):>6}" for value in row))


def _number(value: float | None) -> str:
    """Three decimals; a dash where there is nothing to measure."""
    return "-" if value is None else f"{value:.3f}"
