"""Training a detector by MIDL's stages on labeled and unlabeled images (Eq. 12), restartable at any step."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.strategy import Strategy

from detectors.backbones import check_weights_file
from detectors.checkpoint import WEIGHTS, check_start, load_metrics
from detectors.config import TrainConfig, is_weights_file
from detectors.data import LabeledImage
from detectors.listener import Listener
from detectors.loop import Job, StepReport, TrainResult, run
from detectors.midl.schedule import labeled_only, stage_spans
from detectors.step import NonFiniteLossError

# The other processes of DDP wait so long while the first measures the detector on all held-out images.
_PATIENCE = timedelta(days=1)

__all__ = ["FinishedDetectorError", "NonFiniteLossError", "StepReport", "TrainConfig", "TrainResult", "train"]


class FinishedDetectorError(FileExistsError):
    """The output folder holds a finished detector of other settings or data, which is not written over."""


def train(
    config: TrainConfig,
    *,
    categories: Sequence[str],
    labeled: Sequence[LabeledImage],
    unlabeled: Sequence[Path],
    held_out: Sequence[LabeledImage],
    output: Path,
    labels_sha256: str = "",
    on_step: Callable[[StepReport], None] | None = None,
) -> TrainResult:
    """Train a detector and write it to `output`.

    Writes weights.safetensors, config.json and, last of all, metrics.json: where it exists the run is complete. When
    config, labels and images are the same, a run that was killed goes on from resume.pt, and one that is complete is
    not repeated. A run of others that was killed is started over.

    labels_sha256: the caller's digest of the labels, kept in config.json. on_step: called after every step, on one
    device only; what it raises ends the training at once on one device, on several when all steps are done.

    Raises:
        ValueError: no labeled images, no or repeated categories, a label out of range, `start_from` is another
            detector, or one for other categories, or mixed precision without a GPU.
        FileNotFoundError: an image is missing, or a file of `start_from`.
        FinishedDetectorError: `output` holds a detector that was trained with other settings or data.
        NonFiniteLossError: training diverged.
        MemoryError: a step took more than the GPU has.
    """
    _check(categories, labeled, held_out)
    if config.start_from is not None:
        check_start(Path(config.start_from), config, categories)
        if Path(config.start_from).resolve() == output.resolve():
            raise ValueError(f"start_from {config.start_from}: the new detector needs a folder of its own")
    digest = fingerprint(
        config,
        categories=categories,
        labeled=labeled,
        unlabeled=unlabeled,
        held_out=held_out,
        labels_sha256=labels_sha256,
    )
    metrics = load_metrics(output)
    if metrics:
        if metrics.get("fingerprint") != digest:
            raise FinishedDetectorError(
                f"{output} holds a finished detector of other options, labels or images; give another name, "
                "or delete that folder"
            )
        return TrainResult(output, metrics["steps"], metrics["steps"], metrics["AP"], metrics["AP50"], metrics)
    config = config.for_labeled(len(labeled))
    use_stages = config.method == "midl" and len(unlabeled) > 0
    notes = []
    if config.method == "midl" and not unlabeled:
        notes.append("no unlabeled images: maximize and minimize stages were replaced by labeled steps")
    job = Job(
        config=config,
        categories=tuple(categories),
        labeled=tuple(labeled),
        unlabeled=tuple(unlabeled),
        held_out=tuple(held_out),
        output=output,
        labels_sha256=labels_sha256,
        spans=stage_spans(config.steps, config.stages) if use_stages else labeled_only(config.steps),
        notes=tuple(notes),
        fingerprint=digest,
    )
    precision = _precision(config)
    output.mkdir(parents=True, exist_ok=True)
    fabric = Fabric(
        # Not Fabric's "auto", which takes an Apple GPU too: that one lacks float64, which scoring needs.
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        devices=config.devices,
        strategy=_strategy(config),
        precision=precision,
    )
    if config.devices == 1:
        return run(fabric, job, on_step)
    # DDP warns in each process that some stage has no unused parameters; others have.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # Processes of DDP cannot call a closure of this one: their reports come back through a queue.
    with Listener(on_step) as listener:
        # Bound into the function: Fabric takes arguments and results apart by field, and refuses frozen dataclasses.
        result = fabric.launch(partial(_run_in_process, job, listener.queue.put))
    return TrainResult(**result)


def _run_in_process(job: Job, report: Callable[[StepReport | Exception], None], fabric: Fabric) -> dict[str, Any]:
    """Train in one process of DDP and return the fields of its TrainResult."""
    # Of a 3x3 kernel with one channel, whose memory layout has two names: no user can do anything about it.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    try:
        return vars(run(fabric, job, report))
    except (ValueError, OSError, NonFiniteLossError, MemoryError) as error:
        report(error)
        raise


def _check(categories: Sequence[str], labeled: Sequence[LabeledImage], held_out: Sequence[LabeledImage]) -> None:
    """Refuse data that cannot be trained on or measured with."""
    if not categories or len(set(categories)) != len(categories):
        raise ValueError(f"categories must be at least one name, each once, got {list(categories)}")
    if not labeled:
        raise ValueError("labeled must hold at least one image, got none")
    for image in (*labeled, *held_out):
        if len(image.labels) and not 0 <= image.labels.min() <= image.labels.max() < len(categories):
            raise ValueError(f"{image.name}: labels must be in 0..{len(categories) - 1}, got {image.labels.tolist()}")


def _strategy(config: TrainConfig) -> str | Strategy:
    """One process, or DDP that tolerates parameters without gradient: each stage freezes some."""
    if config.devices == 1:
        return "auto"
    return DDPStrategy(start_method="spawn", find_unused_parameters=True, timeout=_PATIENCE)


def _precision(config: TrainConfig) -> Any:
    """Resolve "auto"; ValueError for mixed precision without a GPU."""
    # On a CPU, torch's gradient of a convolution of stride 2 over a map one cell wide, as P6 of a small image, is
    # whatever the memory held in bfloat16. Float16 is not to be had there: Fabric takes bfloat16 in its place.
    if config.precision.endswith("-mixed") and not torch.cuda.is_available():
        raise ValueError(f"precision {config.precision} needs a GPU, and torch sees none: choose auto or 32-true")
    if config.precision != "auto":
        return config.precision
    has_bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if has_bf16 else "32-true"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(
    config: TrainConfig,
    *,
    categories: Sequence[str],
    labeled: Sequence[LabeledImage],
    unlabeled: Sequence[Path],
    held_out: Sequence[LabeledImage],
    labels_sha256: str = "",
) -> str:
    """Digest of all that decides weights and metrics of a run of `train`, whose arguments these are.

    Image files count by size and by path below the folder that holds all of them, which may be moved.

    Raises:
        FileNotFoundError: an image is missing, or a file of weights. ValueError: that file holds no weights.
    """
    settings = config.for_labeled(len(labeled)).to_dict()
    # When resume files are written and how many images are kept changes nothing in what is learned.
    del settings["checkpoint_every"], settings["image_memory"]
    if config.start_from is not None:
        settings["start_from"] = _sha256(Path(config.start_from) / WEIGHTS)
    elif is_weights_file(config.weights):
        check_weights_file(Path(config.weights))
        settings["weights"] = _sha256(Path(config.weights))
    digest = hashlib.sha256(json.dumps([settings, list(categories), labels_sha256], sort_keys=True).encode())
    digest.update(f"{len(labeled)}\0{len(held_out)}\0".encode())
    paths = [image.path.absolute() for image in (*labeled, *held_out)] + [path.absolute() for path in unlabeled]
    folder = os.path.commonpath(paths) if paths else ""
    for path in paths:
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
    for image in (*labeled, *held_out):
        digest.update(image.boxes_xyxy.tobytes() + image.labels.tobytes())
        if image.masks is not None:
            digest.update(json.dumps(image.masks, default=repr).encode())
        if image.areas is not None:
            digest.update(image.areas.tobytes())
        if image.crowds is not None:
            digest.update(image.crowds.boxes_xyxy.tobytes() + image.crowds.labels.tobytes())
            digest.update(json.dumps(image.crowds.masks, default=repr).encode())
    return digest.hexdigest()
