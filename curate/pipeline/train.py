"""Train a detector on the labelled and unlabelled frames of the pool."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import CurateError, UsageError
from curate.handoff.folder import is_file_name
from curate.labels.table import labels_sha256, load_labels
from curate.labels.types import LabeledFrame, LabelSet
from curate.pipeline.score import find_detector
from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.types import cache_path_of
from curate.workspace import Workspace

if TYPE_CHECKING:
    from detectors.config import TrainConfig
    from detectors.data import LabeledImage
    from detectors.training import StepReport

DEFAULT_HOLDOUT = 0.2


@dataclass(frozen=True)
class TrainResult:
    """A trained detector: its name in the workspace, what it was trained on and how well it does."""

    name: str
    labeled: int
    held_out: int
    unlabeled: int
    metrics: dict[str, Any]


def train(
    workspace: Workspace,
    config: "TrainConfig",
    *,
    name: str | None = None,
    holdout: float = DEFAULT_HOLDOUT,
    progress: Progress = SILENT,
) -> TrainResult:
    """Train on the workspace's labels and save to `detectors/<name>/`.

    Without a `name` it is `<detector>-<8 hex>`, made of all that decides what is learned: options, labels and frames.
    A run that was killed goes on where it stopped; one that is finished is not repeated. `holdout` is the share of
    labelled frames, whole sources at a time, that is kept back to measure AP and AP50. `config.start_from` may be the
    name of one of the workspace's detectors. Raises CurateError where a finished detector of that name was trained on
    something else, and for what `detectors.training.train` raises; UsageError for a name that is none for a file.
    """
    from detectors.training import FinishedDetectorError, NonFiniteLossError, fingerprint
    from detectors.training import train as train_detector

    check_name(name)
    labels = load_labels(workspace)
    if not labels.frames:
        raise CurateError("no labels in the workspace; give a label file with --labels FILE")
    sha256 = labels_sha256(labels)
    config = checked_config(workspace, config, holdout=holdout)
    pool = Pool.load(workspace)
    if pool.frames.num_rows == 0:
        raise CurateError("no frames in the pool; run `curate score PATHS`, which reads them; the labels stay")
    training, held_out = split_by_source(labels.frames, holdout=holdout, seed=config.seed)
    sizes = _sizes(workspace, pool, labels)
    unlabeled = pool.in_state("unlabeled")["frame_id"].to_pylist()
    paths = [cache_path_of(workspace.frames, frame_id) for frame_id in unlabeled]
    labeled_images = [_image(workspace, labels, frame, sizes) for frame in training]
    held_out_images = [_image(workspace, labels, frame, sizes) for frame in held_out]
    stage: str | None = None

    def on_step(report: "StepReport") -> None:
        nonlocal stage
        if stage is None:
            if report.step > 1:
                progress.say(f"Training resumed after step {report.step - 1:,}")
            progress.start("Training", report.total_steps - report.step + 1, "steps")
        if report.stage != stage:
            stage = report.stage
            fixed = f", fixed: {', '.join(report.fixed)}" if report.fixed else ""
            progress.say(f"  step {report.step:,}: {stage}{fixed}")
        losses = "  ".join(f"{key} {value + 0.0:.3g}" for key, value in report.losses.items())
        progress.advance(1, detail=f"{report.stage}  {losses}")

    try:
        if name is None:
            digest = fingerprint(
                config,
                categories=labels.categories,
                labeled=labeled_images,
                unlabeled=paths,
                held_out=held_out_images,
                labels_sha256=sha256,
            )
            name = f"{config.detector}-{digest[:8]}"
        progress.say(
            f"Training {config.detector} ({config.backbone}) as {name}: {len(training):,} labelled frames, "
            f"{len(held_out):,} held out, {len(paths):,} unlabelled, {len(labels.categories)} classes"
        )
        result = train_detector(
            config,
            categories=labels.categories,
            labeled=labeled_images,
            unlabeled=paths,
            held_out=held_out_images,
            output=workspace.detectors / name,
            labels_sha256=sha256,
            on_step=on_step,
        )
    except FinishedDetectorError as error:
        raise CurateError(f"--name {name}: {error}") from error
    except (ValueError, OSError, NonFiniteLossError, MemoryError) as error:
        raise CurateError(f"training {name or config.detector}: {error}") from error
    if stage is not None:
        progress.finish()
    else:
        progress.say(f"Detector: {name} was trained on the same labels and frames before")
    return TrainResult(name, len(training), len(held_out), len(paths), result.metrics)


def check_name(name: str | None) -> None:
    """UsageError for a detector's name that is not that of one folder."""
    if name is not None and not is_file_name(name):
        raise UsageError(
            f"--name {name!r}: give the name of a folder: ASCII letters, digits, dots, dashes and underscores, "
            "at most 200 and no dot at the start"
        )


def checked_config(workspace: Workspace, config: "TrainConfig", *, holdout: float) -> "TrainConfig":
    """The config with `start_from` as a path; CurateError for what can be seen to fail before there are labels."""
    from detectors.config import is_weights_file

    if not 0 <= holdout < 1:
        raise UsageError(f"--holdout {holdout}: give a share from 0 up to, but without, 1")
    if is_weights_file(config.first_weights) and not Path(config.weights).is_file():
        raise UsageError(f"--weights {config.weights}: no such file; give embedded, imagenet, none or a FILE")
    if config.start_from is None:
        return config
    from detectors.checkpoint import check_start

    start = find_detector(workspace, config.start_from, option="--start-from")
    try:
        check_start(start, config)
    except (ValueError, OSError) as error:
        raise CurateError(str(error)) from error
    return replace(config, start_from=str(start))


def trained_on_current_labels(workspace: Workspace) -> str | None:
    """The name of the newest finished detector trained on exactly the labels that the workspace holds, if any."""
    sha256 = labels_sha256(load_labels(workspace))
    finished = sorted(workspace.detectors.glob("*/metrics.json"), key=lambda path: path.stat().st_mtime_ns)
    for metrics in reversed(finished):
        if workspace.read_json(metrics.parent / "config.json").get("labels_sha256") == sha256:
            return metrics.parent.name
    return None


def split_by_source(
    frames: Sequence[LabeledFrame], *, holdout: float, seed: int
) -> tuple[list[LabeledFrame], list[LabeledFrame]]:
    """Split into training and held-out frames, whole sources at a time, in an order drawn from `seed`.

    A source is held out only while every class it shows stays in the training part: with few labels, a class that
    only the held-out part shows could neither be learned nor measured.
    """
    by_source: dict[str, list[LabeledFrame]] = defaultdict(list)
    sources_of_class: dict[str, set[str]] = defaultdict(set)
    for frame in frames:
        by_source[frame.source].append(frame)
        for category in frame.categories:
            sources_of_class[category].add(frame.source)
    held: set[str] = set()
    room = int(len(frames) * holdout)
    for source in sorted(by_source, key=lambda s: hashlib.sha256(f"{seed}:{s}".encode()).digest()):
        classes = {category for frame in by_source[source] for category in frame.categories}
        if len(by_source[source]) <= room and all(sources_of_class[c] - held - {source} for c in classes):
            held.add(source)
            room -= len(by_source[source])
    return [f for f in frames if f.source not in held], [f for f in frames if f.source in held]


def _sizes(workspace: Workspace, pool: Pool, labels: LabelSet) -> dict[str, tuple[int, int]]:
    """Sizes (width, height) of the cached JPEGs of labelled frames, by frame_id."""
    labeled = pool.in_state("labeled").select(["frame_id", "width", "height"]).to_pydict()
    sizes = {
        frame_id: (width, height)
        for frame_id, width, height in zip(labeled["frame_id"], labeled["width"], labeled["height"], strict=True)
    }
    # The pool may have been lost, and read again without the videos of some labels; their frames are still cached.
    for frame in labels.frames:
        if frame.frame_id not in sizes:
            sizes[frame.frame_id] = _cached_size(workspace, frame)
    return sizes


def _cached_size(workspace: Workspace, frame: LabeledFrame) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(cache_path_of(workspace.frames, frame.frame_id)) as picture:
            return picture.size
    except OSError as error:
        raise CurateError(
            f"the labelled frame {frame.frame_id} is neither in the pool nor in the frame cache; "
            "run `curate score` with the path of its video"
        ) from error


def _image(
    workspace: Workspace, labels: LabelSet, frame: LabeledFrame, sizes: dict[str, tuple[int, int]]
) -> "LabeledImage":
    """A labelled frame as the detectors take it: boxes in pixels of the cached JPEG.

    Masks stay in pixels of the labels, for run lengths cannot be scaled; they are drawn when a detector wants them.
    """
    import numpy as np

    from detectors.data import Crowds, LabeledImage

    width, height = sizes[frame.frame_id]
    scale = np.array([width / frame.width, height / frame.height] * 2, dtype=np.float32)
    index_of: dict[str, int] = {category: i for i, category in enumerate(labels.categories)}
    boxes = np.array(frame.boxes_xyxy, np.float32).reshape(-1, 4) * scale
    classes = np.array([index_of[category] for category in frame.categories], np.int64)
    masks = [json.loads(text) if text else None for text in frame.segmentations]
    crowd = np.array(frame.iscrowd, bool)
    return LabeledImage(
        path=cache_path_of(workspace.frames, frame.frame_id),
        boxes_xyxy=boxes[~crowd],
        labels=classes[~crowd],
        name=frame.frame_id,
        masks=tuple(compress(masks, ~crowd)),
        masks_wh=(frame.width, frame.height),
        crowds=Crowds(boxes[crowd], classes[crowd], tuple(compress(masks, crowd))) if crowd.any() else None,
    )
