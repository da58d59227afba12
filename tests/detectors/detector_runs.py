"""Tiny detectors and training runs, for any detector by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detector_data import CATEGORIES

from detectors.config import MidlConfig, TrainConfig
from detectors.data import LabeledImage
from detectors.inference import ImageScore
from detectors.model import MidlDetector
from detectors.registry import build_detector
from detectors.training import StepReport, train

TINY = {"weights": "none", "batch_size": 2, "warmup_steps": 0}


def tiny(name: str, num_classes: int = 2, midl: MidlConfig | None = None) -> MidlDetector:
    return build_detector(name, num_classes=num_classes, backbone="efficientnet_lite0", weights="none", midl=midl)


def spread_classifiers(detector: MidlDetector, std: float) -> None:
    """Let the two classifiers differ, as after some training."""
    for head in detector.modules_by_role()["classifiers"]:
        layers = [layer for layer in head.modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]
        torch.nn.init.normal_(layers[-1].weight, std=std)


def boxes_alone(
    boxes_xyxy: np.ndarray, labels: np.ndarray, masks: tuple[dict[str, Any], ...] | None = None
) -> ImageScore:
    """What a detector says that is sure of these boxes, and of nothing else."""
    n = len(labels)
    return ImageScore(
        **dict.fromkeys(("uncertainty", "mean_uncertainty", "max_uncertainty", "objectness_uncertainty"), 0.0),
        **dict.fromkeys(("printed_uncertainty", "top_k_uncertainty", "entropy", "margin", "least_confidence"), 0.0),
        embedding=np.zeros(128, np.float32),
        class_probabilities=np.zeros(len(CATEGORIES), np.float32),
        boxes_xyxy=boxes_xyxy,
        labels=labels,
        scores=np.ones(n, np.float32),
        box_uncertainties=np.zeros(n, np.float32),
        masks=masks,
    )


def go(
    output: Path,
    labeled: list[LabeledImage],
    pool: list[Path],
    *,
    on_step: Callable[[StepReport], None] | None = None,
    **values: object,
) -> list[StepReport]:
    """Train and return the reports; classes are those that the labels need."""
    reports: list[StepReport] = []

    def report(step: StepReport) -> None:
        reports.append(step)
        if on_step is not None:
            on_step(step)

    train(
        TrainConfig(**{**TINY, "steps": 13, **values}),  # type: ignore[arg-type]
        categories=CATEGORIES[: 1 if all(not len(i.labels) or i.labels.max() == 0 for i in labeled) else 2],
        labeled=labeled,
        unlabeled=pool,
        held_out=labeled[:1],
        output=output,
        labels_sha256="feed",
        on_step=report,
    )
    return reports
