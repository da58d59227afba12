"""The files of a trained detector: written whole or not at all, read without unpickling what a user did not write."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import detectors
from detectors.config import TrainConfig
from detectors.model import MidlDetector
from detectors.registry import build_detector

WEIGHTS, CONFIG, METRICS, RESUME = "weights.safetensors", "config.json", "metrics.json", "resume.pt"
_FORMAT = 1


@dataclass(frozen=True)
class LoadedDetector:
    """A detector ready to score. image_size: long side to which images are shrunk, as in training."""

    detector: MidlDetector
    categories: tuple[str, ...]
    image_size: int | None
    labels_sha256: str


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it: a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.tmp")
    write(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write JSON atomically; NaN and infinities raise ValueError."""
    text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def save_detector(
    directory: Path, detector: MidlDetector, config: TrainConfig, *, categories: tuple[str, ...], labels_sha256: str
) -> None:
    """Write weights.safetensors and config.json, all that `load_detector` needs."""
    state = {name: value.detach().cpu().contiguous() for name, value in detector.state_dict().items()}
    write_atomically(directory / WEIGHTS, lambda temporary: save_file(state, temporary))
    write_json(
        directory / CONFIG,
        {
            "format": _FORMAT,
            "detectors_version": detectors.__version__,
            "detector": config.detector,
            "backbone": config.backbone,
            "categories": list(categories),
            "image_size": config.image_size,
            "normalization": {"mean": detector.mean.tolist(), "std": detector.std.tolist()},
            "labels_sha256": labels_sha256,
            "train": config.to_dict(),
        },
    )


def load_detector(directory: Path) -> LoadedDetector:
    """Read a trained detector, on the CPU and in evaluation mode.

    Raises:
        FileNotFoundError: the folder lacks weights.safetensors or config.json. ValueError: they are of another format.
    """
    document = _read_config(directory)
    config = TrainConfig.from_dict(document["train"])
    categories = tuple(document["categories"])
    detector = build_detector(
        config.detector,
        num_classes=len(categories),
        backbone=config.backbone,
        weights="none",
        midl=config.scoring_midl,
        anchor_scale=config.anchor_scale,
    )
    _copy_weights(directory, document, detector)
    return LoadedDetector(detector.eval(), categories, document["image_size"], document["labels_sha256"])


def load_start(directory: Path, detector: MidlDetector) -> None:
    """Give a new detector the weights of a trained one, which `check_start` found to fit."""
    _copy_weights(directory, _read_config(directory), detector)


def check_start(directory: Path, config: TrainConfig, categories: Sequence[str] | None = None) -> None:
    """Refuse a trained detector that a training of `config` cannot start from. categories: None: not known yet.

    Raises:
        FileNotFoundError, ValueError: as `load_detector`; ValueError: another detector, backbone, or categories.
    """
    document = _read_config(directory)
    for what, its, wanted in (
        ("detector", document["detector"], config.detector),
        ("backbone", document["backbone"], config.backbone),
        ("categories", ", ".join(document["categories"]), None if categories is None else ", ".join(categories)),
    ):
        if wanted is not None and its != wanted:
            raise ValueError(f"start_from {directory}: its {what} must be the same, {wanted}, but is {its}")


def _read_config(directory: Path) -> dict[str, Any]:
    """config.json of a trained detector."""
    for name in (CONFIG, WEIGHTS):
        if not (directory / name).is_file():
            raise FileNotFoundError(f"{directory} holds no trained detector: {name} is missing")
    document: dict[str, Any] = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    if document.get("format") != _FORMAT:
        raise ValueError(f"{directory / CONFIG} has format {document.get('format')!r}, this version reads {_FORMAT}")
    return document


def _copy_weights(directory: Path, document: dict[str, Any], detector: MidlDetector) -> None:
    detector.load_state_dict(load_file(directory / WEIGHTS))
    for name in ("mean", "std"):
        getattr(detector, name).copy_(torch.tensor(document["normalization"][name]))


def load_metrics(directory: Path) -> dict[str, Any]:
    """Return metrics.json of a complete run, or nothing: where a file is missing or damaged it is not complete."""
    if not (directory / WEIGHTS).is_file():
        return {}
    try:
        document = json.loads((directory / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def save_resume(directory: Path, state: dict[str, Any]) -> None:
    """Write the state of an unfinished run."""
    write_atomically(directory / RESUME, lambda temporary: torch.save(state, temporary))


def load_resume(directory: Path, fingerprint: str) -> dict[str, Any] | None:
    """Return the state of an unfinished run of the same config and data, or None."""
    path = directory / RESUME
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch names no class for a damaged file; such a run starts over
        return None
    return state if state.get("fingerprint") == fingerprint else None


def cpu_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy a state dict to the CPU, so that a resume file opens anywhere."""
    return {name: value.detach().cpu() for name, value in state.items()}
