"""Options that several commands share, and how their text becomes values."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from curate.errors import UsageError
from curate.labels.dataset import DATASETS
from curate.pipeline.train import DEFAULT_HOLDOUT
from curate.selection.cost import LabelingTime
from curate.selection.gap import parse_gap
from curate.selection.options import DUPLICATES_CHOICES, Duplicates, SelectOptions
from curate.selection.quota import parse_quota
from curate.selection.registry import ACQUISITIONS, COLD_ACQUISITION, DEFAULT_ACQUISITION
from curate.types import Sampling, duration_s
from curate.workspace import DEFAULT_WORKSPACE
from detectors.config import TrainConfig
from detectors.presets import PRESETS, preset_values
from detectors.registry import backbone_names, detector_names

TRAIN = TrainConfig()

WorkspaceOption = Annotated[Path, typer.Option("--workspace", "-w", help="The project's folder.")]
SELECT = SelectOptions()
AcquisitionOption = Annotated[
    str | None,
    typer.Option(
        help=f"One of {', '.join(ACQUISITIONS.names())}.",
        show_default=f"{DEFAULT_ACQUISITION}; {COLD_ACQUISITION} without labels",
    ),
]
PerVideoMinOption = Annotated[
    str | None, typer.Option(help="Frames that each video gets first (2), or a share of the budget (1%).")
]
PerVideoMaxOption = Annotated[
    str | None, typer.Option(help="Frames that no video exceeds (20), or a share of the budget (10%).")
]
ExcludeOption = Annotated[
    list[Path] | None,
    typer.Option(help="Frames not to pick: a CSV with frame_id, or a list of frame ids or exported names. Repeatable."),
]
BalanceOption = Annotated[
    float, typer.Option(help="How much rare predicted classes are favoured: 0 not at all, 1 all classes alike.")
]
DuplicatesOption = Annotated[
    str, typer.Option(help=f"Near-duplicates of picked or labelled frames: {' or '.join(DUPLICATES_CHOICES)}.")
]
SecondsPerImageOption = Annotated[float, typer.Option(help="Labelling time of a frame, for a budget such as 2h.")]
SecondsPerBoxOption = Annotated[float, typer.Option(help="Labelling time of a predicted box, for a budget such as 2h.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Decides ties, splits and training; same seed, same selection.")]
ImgszOption = Annotated[
    int,
    typer.Option(min=32, max=8192, help="Long side of cached frames in pixels (never enlarged); fixed per project."),
]
BudgetOption = Annotated[
    str,
    typer.Option(
        "--budget",
        "-b",
        help="Share of the unlabelled candidates (5%), number of frames (500), or labelling time (2h).",
    ),
]
MinGapOption = Annotated[
    str, typer.Option(help="Least distance of two selected frames of a video, in time (1s) or frames (30f).")
]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels", "-l", help="COCO or CocoVID JSON, or a data set's folder; merged into the project's labels."
    ),
]
LabelsFormatOption = Annotated[
    str | None,
    typer.Option(help=f"Format of a folder of --labels: {', '.join(DATASETS.names())}.", show_default="found out"),
]
EveryOption = Annotated[str | None, typer.Option(help="One candidate frame every so often: 0.5s, 200ms, 1m.")]
FpsOption = Annotated[float | None, typer.Option(help="So many candidate frames a second.")]
StrideOption = Annotated[int | None, typer.Option(help="Each so-many-th frame is a candidate.")]
AllFramesOption = Annotated[bool, typer.Option("--all-frames", help="Every frame is a candidate.")]
StepsOption = Annotated[
    int | None, typer.Option(min=1, help="Training steps over all stages.", show_default=str(TRAIN.steps))
]
PresetOption = Annotated[
    str | None,
    typer.Option(help=f"Training options under one name: {', '.join(PRESETS)}. Options beside it go before its own."),
]
BackboneOption = Annotated[
    str | None, typer.Option(help=f"{', '.join(backbone_names())}, or a timm model.", show_default=TRAIN.backbone)
]
WeightsOption = Annotated[
    str | None,
    typer.Option(help="The backbone's first weights: embedded, imagenet, none or a FILE.", show_default=TRAIN.weights),
]
StartFromOption = Annotated[
    str | None,
    typer.Option(
        help="Go on from the weights of a trained detector, a name or a folder: shorter than from --weights.",
        show_default="none",
    ),
]
ArchitectureOption = Annotated[
    str | None,
    typer.Option("--detector", help=f"One of {', '.join(detector_names())}.", show_default=TRAIN.detector),
]
BatchSizeOption = Annotated[
    int | None, typer.Option(min=1, help="Labelled images a step.", show_default=str(TRAIN.batch_size))
]
DevicesOption = Annotated[
    int | None, typer.Option(min=1, help="GPUs, or processes on a CPU.", show_default=str(TRAIN.devices))
]
HoldoutOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=0.9,
        help="Share of labelled frames, whole videos, kept back to measure AP.",
        show_default=str(DEFAULT_HOLDOUT),
    ),
]

DEFAULT_IMGSZ = 640
WORKSPACE = DEFAULT_WORKSPACE


def refuse(options: Mapping[str, object], why: str) -> None:
    """UsageError for the first of these options that was given, that is not None: the option, and why."""
    for option, value in options.items():
        if value is not None:
            raise UsageError(f"{option} {why}")


def check_labels(labels: Path | None, labels_format: str | None) -> None:
    """Refuse what was mistyped of --labels and --labels-format before anything is made."""
    if labels_format is not None:
        DATASETS.load(labels_format)
        if labels is None:
            raise UsageError(f"--labels-format {labels_format}: give --labels as well")
    if labels is not None and not labels.exists():
        raise UsageError(f"--labels {labels}: no such file or folder")


def seconds(option: str, text: str) -> float:
    """Read a duration such as 0.5s, 200ms, 2m; a bare number is seconds."""
    found = duration_s(text)
    if found is None:
        raise UsageError(f"{option} {text!r}: give a time such as 0.5s, 200ms or 1m")
    return found


def select_options(
    *,
    acquisition: str | None,
    min_gap: str,
    per_video_min: str | None,
    per_video_max: str | None,
    exclude: Sequence[Path] | None,
    balance: float,
    duplicates: str,
    seconds_per_image: float,
    seconds_per_box: float,
    seed: int,
) -> SelectOptions:
    """How to select, from the options that `curate score` and `curate select` share; UsageError for what is wrong."""
    options = SelectOptions(
        acquisition=acquisition,
        gap=parse_gap(min_gap),
        per_video_min=parse_quota("--per-video-min", per_video_min, least=0) if per_video_min is not None else None,
        per_video_max=parse_quota("--per-video-max", per_video_max, least=1) if per_video_max is not None else None,
        exclude=tuple(exclude or ()),
        balance=balance,
        duplicates=cast(Duplicates, duplicates),
        time=LabelingTime(seconds_per_image, seconds_per_box),
        seed=seed,
    )
    options.check()
    return options


def plain(options: SelectOptions) -> dict[str, Any]:
    """The options as they stand in report.json; those that were not given are left out."""
    values = {name: value for name, value in vars(options).items() if value not in (None, ())}
    times = asdict(values.pop("time"))
    written = {"gap": str(options.gap), "exclude": [str(path) for path in options.exclude]}
    for name in ("per_video_min", "per_video_max"):
        written |= {name: str(values[name])} if name in values else {}
    return values | {name: text for name, text in written.items() if text} | times


def sampling(every: str | None, fps: float | None, stride: int | None, all_frames: bool) -> Sampling | None:
    """The one sampling that was asked for, or None if none was; UsageError for two."""
    given = [
        Sampling(every_s=seconds("--every", every)) if every is not None else None,
        Sampling(every_s=_interval(fps)) if fps is not None else None,
        Sampling(stride=stride) if stride is not None else None,
        Sampling(stride=1) if all_frames else None,
    ]
    chosen = [one for one in given if one is not None]
    if len(chosen) > 1:
        raise UsageError("give only one of --every, --fps, --stride and --all-frames")
    return chosen[0] if chosen else None


def train_config(seed: int, *, preset: str | None = None, file: Path | None = None, **given: Any) -> TrainConfig | None:
    """A training configuration from a preset, a file over it, options over both; None where none is given."""
    options = {name: value for name, value in given.items() if value is not None}
    if "start_from" in options and "weights" in options:
        raise UsageError(
            f"--weights {options['weights']}: --start-from {options['start_from']} brings all weights; leave one out"
        )
    if not (preset or file or options):
        return None
    given = _config_file(file) | options | {"seed": seed}
    values = _preset(preset, method=given.get("method", TRAIN.method)) | given
    if "steps" in options and "epochs" not in options:
        values.pop("epochs", None)
    try:
        return TrainConfig.from_dict(values)
    except (ValueError, TypeError) as error:
        raise UsageError(f"training options: {error}") from error


def _preset(name: str | None, *, method: str) -> dict[str, Any]:
    if name is None:
        return {}
    if name not in PRESETS:
        raise UsageError(f"--preset {name!r}: choices are {', '.join(PRESETS)}")
    return preset_values(name, method=method)


def _config_file(path: Path | None) -> dict[str, Any]:
    """The training values of a JSON file; that of a trained detector, config.json, is one too."""
    if path is None:
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--config {path}: {error}") from error
    values = document.get("train", document) if isinstance(document, dict) else None
    if not isinstance(values, dict):
        raise UsageError(f"--config {path}: give a JSON object of training options")
    return values


def _interval(fps: float) -> float:
    if not fps > 0:
        raise UsageError(f"--fps {fps:g}: give a number above 0")
    return 1 / fps
