"""`curate train`: train a detector on the workspace's labels."""

from pathlib import Path
from typing import Annotated, Any

import typer

from curate.cli import options as opt


def train(
    labels: opt.LabelsOption = None,
    labels_format: opt.LabelsFormatOption = None,
    detector: opt.ArchitectureOption = None,
    name: Annotated[
        str | None, typer.Option(help="The detector's name.", show_default="from labels, frames and options")
    ] = None,
    steps: opt.StepsOption = None,
    epochs: Annotated[
        float | None, typer.Option(min=0, help="Epochs of the labelled frames in the place of --steps.")
    ] = None,
    preset: opt.PresetOption = None,
    config: Annotated[
        Path | None, typer.Option(help="JSON of training options, the switches of MIDL among them (docs/method.md).")
    ] = None,
    backbone: opt.BackboneOption = None,
    weights: opt.WeightsOption = None,
    start_from: opt.StartFromOption = None,
    batch_size: opt.BatchSizeOption = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate after warm-up.", show_default="by optimizer")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adamw or sgd.", show_default=opt.TRAIN.optimizer)] = None,
    method: Annotated[
        str | None, typer.Option(help="midl, or plain: the detection loss alone.", show_default=opt.TRAIN.method)
    ] = None,
    lambda_: Annotated[
        float | None,
        typer.Option("--lambda", min=0, help="Weight of the discrepancy; 0 is without.", show_default="by detector"),
    ] = None,
    ema: Annotated[
        float | None, typer.Option(help="Save a moving average of the weights with this decay.", show_default="none")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="auto (bf16 on a GPU), 32-true, or on a GPU bf16-mixed, 16-mixed.", show_default=opt.TRAIN.precision
        ),
    ] = None,
    devices: opt.DevicesOption = None,
    holdout: opt.HoldoutOption = None,
    seed: opt.SeedOption = 0,
    workspace: opt.WorkspaceOption = opt.WORKSPACE,
) -> None:
    """Train a MIDL detector on the labelled and unlabelled frames of the workspace.

    A run that was killed goes on where it stopped when the same command is given again.

    Examples:

      curate train --labels labels.json

      curate train --preset short

      curate train --start-from retinanet-1a2b3c4d --steps 600

      curate train --steps 4000 --backbone resnet50 --weights imagenet --devices 2
    """
    from curate.cli.console import console_progress
    from curate.pipeline.label import label
    from curate.pipeline.train import DEFAULT_HOLDOUT, check_name, checked_config
    from curate.pipeline.train import train as run_training
    from curate.report import Report
    from curate.workspace import Workspace
    from detectors.config import TrainConfig

    train_config = opt.train_config(
        seed,
        preset=preset,
        file=config,
        detector=detector,
        steps=steps,
        epochs=epochs,
        lambda_=lambda_,
        ema_decay=ema,
        backbone=backbone,
        weights=weights,
        start_from=start_from,
        batch_size=batch_size,
        lr=lr,
        optimizer=optimizer,
        method=method,
        precision=precision,
        devices=devices,
    ) or TrainConfig(seed=seed)
    check_name(name)
    opt.check_labels(labels, labels_format)
    space = Workspace.open(workspace)
    share = DEFAULT_HOLDOUT if holdout is None else holdout
    # Before frames of --labels are read.
    checked_config(space, train_config, holdout=share)
    report = Report("train", train_config.to_dict())
    with console_progress() as progress, space.lock():
        with report.kept_in(space):
            if labels is not None:
                with report.stage("label"):
                    report.results["label"] = vars(
                        label(space, labels, dataset_format=labels_format, progress=progress)
                    )
            with report.stage("train"):
                trained = run_training(space, train_config, name=name, holdout=share, progress=progress)
            report.results["train"] = vars(trained)
        for line in describe(trained.metrics):
            progress.say(line)
        progress.say(f"Detector: {workspace / 'detectors' / trained.name}")


def describe(metrics: dict[str, Any]) -> list[str]:
    """The lines that tell how the training went, and how well the detector does on its held-out labels."""
    notes = [f"Note: {note}" for note in metrics["notes"]]
    if metrics["AP50"] is None:
        return [*notes, f"Held-out labels: AP not measured ({metrics['AP_reason']})"]
    return [*notes, f"Held-out labels: AP {metrics['AP']:.3f}, AP50 {metrics['AP50']:.3f}"]
