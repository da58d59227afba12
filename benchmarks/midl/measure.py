"""One training and everything that is measured of it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from variants import variants

from detectors.config import TrainConfig
from detectors.data import LabeledImage
from detectors.inference import ImageScore

SCORES = (
    "uncertainty",
    "printed_uncertainty",
    "mean_uncertainty",
    "max_uncertainty",
    "objectness_uncertainty",
    "top_k_uncertainty",
    "entropy",
    "margin",
    "least_confidence",
)
_IOU = 0.5
# How wrong the detector is on this share of the images, of the highest scores, is measured too.
_TOP = 0.1
# The loss at the end of a training is the mean over this share of its steps.
_END = 1 / 20
# What `detectors.objective` adds to the terms of Eq. 1.
_NOT_DETECTION = {"mil", "objectness", "mil_unlabeled", "discrepancy", "total"}


@dataclass(frozen=True)
class Data:
    """A pool whose labels are known, and test sets by name."""

    categories: tuple[str, ...]
    pool: tuple[LabeledImage, ...]
    tests: dict[str, tuple[LabeledImage, ...]]


def measure(
    data: Data, config: TrainConfig, *, share: float, folder: Path, threads: int, scored: int
) -> dict[str, Any]:
    """Train on a share of the pool, drawn by the seed, and measure; a training that was cut off goes on.

    threads: of torch in this process. scored: so many unlabelled images at most are scored.

    Returns: AP and AP50 by test set, as "alone" those of the classifiers without the image's classes (with MIDL alone
    they differ), the loss of Eq. 1 on labelled images over the last steps, figures of MIL, the discrepancy at the end
    of each stage that raises or lowers it, and what `correlations` has of each image score.
    """
    import torch

    from detectors.evaluation import evaluate, evaluate_mil
    from detectors.inference import Scorer
    from detectors.training import StepReport, train

    torch.set_num_threads(threads)
    labeled, unlabeled = split(data.pool, share=share, seed=config.seed)
    ends: list[float] = []

    def on_step(report: StepReport) -> None:
        if report.step > (1 - _END) * report.total_steps:
            ends.append(sum(value for name, value in report.losses.items() if name not in _NOT_DETECTION))

    result = train(
        config,
        categories=data.categories,
        labeled=labeled,
        unlabeled=[image.path for image in unlabeled] if config.method == "midl" else [],
        held_out=[],
        output=folder,
        on_step=on_step,
    )
    scorer = Scorer(folder)
    row: dict[str, Any] = {
        "labeled": len(labeled),
        "unlabeled": len(unlabeled),
        "seconds": result.metrics["seconds"],
        # None where the training was complete before: its steps are not run again.
        "loss": float(np.mean(ends)) if ends else None,
    }
    alone = Scorer(folder, midl=replace(scorer.midl, image_class_exponent=0.0))
    for name, images in data.tests.items():
        accuracy = evaluate(scorer, images, data.categories)
        for figure in ("AP", "AP50", "mask_AP", "mask_AP50"):
            row[f"{name}_{figure}"] = accuracy[figure]
        if scorer.midl.image_class_exponent:
            accuracy = evaluate(alone, images, data.categories)
        row |= {f"{name}_alone_{figure}": accuracy[figure] for figure in ("AP", "AP50")}
    if config.method == "midl":
        row |= evaluate_mil(scorer, next(iter(data.tests.values()))[:100])
        moved = [stage for stage in result.metrics["stages"] if stage["stage"] != "labeled"]
        row["discrepancy"] = "/".join(f"{stage['discrepancy_last']:.2e}" for stage in moved)
    some = [unlabeled[i] for i in np.random.default_rng(config.seed).permutation(len(unlabeled))[:scored]]
    if some:
        paths = [image.path for image in some]
        scores = scorer.score(paths)
        row["scored"] = len(some)
        row |= correlations(scores, some, variants(scorer, paths) if config.method == "midl" else {})
    return row


def split(pool: Sequence[LabeledImage], *, share: float, seed: int) -> tuple[list[LabeledImage], list[LabeledImage]]:
    """Draw the labelled part of the pool. A larger share with the same seed holds the smaller one."""
    order = np.random.default_rng(seed).permutation(len(pool))
    count = max(1, round(share * len(pool)))
    return [pool[i] for i in order[:count]], [pool[i] for i in order[count:]]


def correlations(
    scores: Sequence[ImageScore], truth: Sequence[LabeledImage], others: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """Spearman's rank correlation of every image score, and of `others`, with the image's error, 1 - F1 at IoU 0.5, and
    the mean error of the tenth that each puts first.

    What counts as a detection: boxes above the score at which F1 over all images is the largest, so that the error
    does not depend on how bold the detector is.
    """
    threshold = best_threshold(scores, truth)
    errors = [1 - f1(*matches(score, image, threshold)) for score, image in zip(scores, truth, strict=True)]
    found = {"mean_error": float(np.mean(errors))}
    columns = {name: [getattr(score, name) for score in scores] for name in SCORES}
    columns["doubt"] = [1 - float(score.scores.max(initial=0)) for score in scores]
    for name, values in (columns | dict(others)).items():
        if len(set(errors)) > 1 and len(set(values)) > 1:  # else there is no order to compare
            found[f"rank_{name}"] = float(spearmanr(values, errors).statistic)
            found[f"top_{name}"] = top_error(values, errors)
    return found


def top_error(values: Sequence[float], errors: Sequence[float]) -> float:
    """The mean error of the tenth of the images with the highest values."""
    order = np.argsort(-np.asarray(values), kind="stable")
    return float(np.asarray(errors)[order[: max(1, round(_TOP * len(order)))]].mean())


def best_threshold(scores: Sequence[ImageScore], truth: Sequence[LabeledImage]) -> float:
    """The score, of 0.05 to 0.9, at which the F1 over all objects is the largest."""
    thresholds = np.arange(0.05, 0.95, 0.05)

    def overall(threshold: float) -> float:
        counts = np.sum([matches(s, t, threshold) for s, t in zip(scores, truth, strict=True)], axis=0)
        return f1(*counts)

    return float(max(thresholds, key=overall))


def matches(score: ImageScore, image: LabeledImage, threshold: float) -> tuple[int, int, int]:
    """Hits, boxes found, and objects of one image: each object is hit at most once, by the best box of its class."""
    import torch
    from torchvision.ops import box_iou

    kept = score.scores >= threshold
    boxes, labels = score.boxes_xyxy[kept], score.labels[kept]
    free = np.ones(len(image.labels), dtype=bool)
    overlaps = box_iou(torch.from_numpy(boxes), torch.from_numpy(image.boxes_xyxy)).numpy()
    hits = 0
    for row, label in zip(overlaps, labels, strict=True):  # best score first
        open_ = np.where(free & (image.labels == label), row, 0.0)
        if len(open_) and open_.max() >= _IOU:
            free[int(open_.argmax())] = False
            hits += 1
    return hits, len(boxes), len(image.labels)


def f1(hits: int, found: int, objects: int) -> float:
    """2 hits / (found + objects); 1 where there is nothing to find and nothing was found."""
    return 2 * hits / (found + objects) if found + objects else 1.0


def threads_of(jobs: int) -> int:
    """Torch threads of each of several processes side by side."""
    return max(1, (os.cpu_count() or 1) // jobs)
