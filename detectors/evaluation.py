"""Detection accuracy (COCO average precision), and measurements that show whether MIL has learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from detectors.checkpoint import LoadedDetector
from detectors.data import Crowds, LabeledImage, load_sample
from detectors.images import file_size_wh
from detectors.inference import ImageScore, Scorer
from detectors.masks import draw_masks
from detectors.midl.bags import on_objects

# Our names of what torchmetrics calls otherwise; object sizes in the order of COCO's precision array, "" for all.
_AT_IOU = {"AP50": "map_50", "AP75": "map_75"}
_SIZES = ("", "_small", "_medium", "_large")


def evaluate(
    scorer: Scorer | LoadedDetector, images: Sequence[LabeledImage], categories: Sequence[str]
) -> dict[str, Any]:
    """Measure AP (IoU 0.50 to 0.95), AP50, AP75 and the AP of each class, in 0-1; None where nothing can be measured.

    As COCO does, AP_small, AP_medium and AP_large count objects with an area below 32², up to 96² and above, in pixels
    of the file, and what is found in a crowd of its class is no mistake.
    Each AP also comes by class, under its name with `_per_class`; classes without labels or boxes found are left out.
    mask_AP and mask_AP50 are those of the masks, where the detector makes some and the labels hold some.

    Raises ValueError when `categories` is not the detector's own list.
    """
    scorer = _as_scorer(scorer)
    if tuple(categories) != scorer.categories:
        raise ValueError(f"categories must be the detector's {list(scorer.categories)}, got {list(categories)}")
    return accuracy(scorer.score([image.path for image in images]), images, categories)


def accuracy(scores: Sequence[ImageScore], images: Sequence[LabeledImage], categories: Sequence[str]) -> dict[str, Any]:
    """Measure what `evaluate` does, of images that are scored already."""
    from faster_coco_eval.core import mask as _backend  # noqa: F401  a missing backend is an error, not a slower path
    from torchmetrics.detection import MeanAveragePrecision

    # Only one process of DDP evaluates; syncing would wait for the others for ever.
    metric = MeanAveragePrecision(
        box_format="xyxy", extended_summary=True, backend="faster_coco_eval", sync_on_compute=False
    )
    metric.warn_on_many_detections = False
    for image, score in zip(images, scores, strict=True):
        predicted = {"boxes": score.boxes_xyxy, "scores": score.scores, "labels": score.labels}
        metric.update([{k: _tensor(v) for k, v in predicted.items()}], [_truth(image)])
    boxes = sum(len(image.labels) for image in images)
    names = _AT_IOU | {f"AP{size}": f"map{size}" for size in _SIZES}
    result: dict[str, Any] = {"images": len(images), "boxes": boxes, **dict.fromkeys(names)}
    result |= {"mask_AP": None, "mask_AP50": None} | {f"AP{size}_per_class": {} for size in _SIZES}
    if boxes == 0:
        return result
    values = metric.compute()
    result |= {ours: _share(values[theirs]) for ours, theirs in names.items()}
    precision = values["precision"][..., -1]  # (IoUs, recalls, classes, sizes), -1 where a class has no such object
    for column, label in enumerate(values["classes"].reshape(-1).tolist()):
        for row, size in enumerate(_SIZES):
            result[f"AP{size}_per_class"][categories[label]] = _share(precision[:, :, column, row].mean())
    return result | _mask_precision(scores, images)


def _truth(image: LabeledImage) -> dict[str, torch.Tensor]:
    """Boxes of objects and crowds as torchmetrics takes them; an area of 0 stands for the box's."""
    crowds = image.crowds or Crowds(image.boxes_xyxy[:0], image.labels[:0], ())
    areas = np.zeros(len(image.labels)) if image.areas is None else image.areas
    none = np.zeros(len(crowds.labels))
    return {
        "boxes": _tensor(np.concatenate([image.boxes_xyxy, crowds.boxes_xyxy])),
        "labels": _tensor(np.concatenate([image.labels, crowds.labels])),
        "area": _tensor(np.concatenate([areas, none]).astype(np.float32)),
        "iscrowd": _tensor(np.repeat([0, 1], [len(image.labels), len(crowds.labels)])),
    }


def _mask_precision(scores: Sequence[ImageScore], images: Sequence[LabeledImage]) -> dict[str, float | None]:
    """Measure mask_AP and mask_AP50; None where the detector makes no masks or no label has one.

    An object without a mask is neither to be found nor a mistake: its box counts as a crowd region, within which COCO
    ignores what is predicted.
    """
    from torchmetrics.detection import MeanAveragePrecision

    labeled = any(mask is not None for image in images for mask in image.masks or ())
    if not labeled or any(score.masks is None for score in scores):
        return {"mask_AP": None, "mask_AP50": None}
    metric = MeanAveragePrecision(iou_type="segm", backend="faster_coco_eval", sync_on_compute=False)
    metric.warn_on_many_detections = False
    for image, score in zip(images, scores, strict=True):
        size_wh = file_size_wh(image.path)
        truth = _truth(image)
        masks = (*(image.masks or (None,) * len(image.labels)), *(image.crowds.masks if image.crowds else ()))
        without = torch.tensor([mask is None for mask in masks], dtype=torch.bool)
        found = draw_masks(score.masks or (), name=image.name, file_wh=size_wh)
        drawn = draw_masks(masks, name=image.name, file_wh=image.masks_wh or size_wh, size_wh=size_wh)
        for row in without.nonzero().flatten().tolist():
            x1, y1, x2, y2 = truth["boxes"][row].clamp(min=0).round().int().tolist()
            drawn[row, y1:y2, x1:x2] = True
        metric.update(
            [{"masks": found, "scores": _tensor(score.scores), "labels": _tensor(score.labels)}],
            [{"masks": drawn, "labels": truth["labels"], "iscrowd": truth["iscrowd"] | without}],
        )
    values = metric.compute()
    return {"mask_AP": _share(values["map"]), "mask_AP50": _share(values["map_50"])}


def evaluate_mil(scorer: Scorer | LoadedDetector, images: Sequence[LabeledImage]) -> dict[str, float | None]:
    """Measure whether MIL learned (paper Fig. 9), on labeled images that it was not trained on.

    objectness_mass_ratio: share of p_obj on instances with IoU >= 0.5 to an object, over the share of such instances,
    mean over images; 1 is chance. image_AP: average precision of the image class probabilities as a classifier, mean
    over classes.
    """
    scorer = _as_scorer(scorer)
    ratios: list[float] = []
    predicted, present = [], []
    for image in images:
        sample = load_sample(image, image_size=scorer.image_size)
        scored = scorer.run([sample])
        instances, bags = scored.instances, scored.bags
        predicted.append(bags.class_probabilities[0].cpu().numpy())
        present.append(np.isin(np.arange(len(scorer.categories)), image.labels))
        if sample.target is None or len(sample.target.boxes) == 0:
            continue
        on_object = on_objects(instances, [sample.target.boxes.to(scorer.device)])[0]  # (N,)
        if on_object.any():
            share = (on_object.sum() / instances.valid[0].sum()).item()
            ratios.append((bags.objectness[0] * on_object).sum().item() / share)
    precisions = [
        average_precision(scores, truth)
        for scores, truth in zip(np.array(predicted).T, np.array(present).T, strict=True)
        if truth.any()
    ]
    return {
        "objectness_mass_ratio": float(np.mean(ratios)) if ratios else None,
        "image_AP": float(np.mean(precisions)) if precisions else None,
    }


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Area under the precision-recall curve: mean precision at the rank of each positive. Ties count as the worst
    order.

    scores: (n,). truth: (n,) bool with at least one True.
    """
    order = np.lexsort((truth, -scores))
    hits = truth[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def _tensor(array: np.ndarray) -> torch.Tensor:
    """Return an array as torchmetrics wants it."""
    return torch.from_numpy(np.ascontiguousarray(array))


def _share(value: torch.Tensor) -> float | None:
    """Return a metric in 0-1; torchmetrics writes -1 where there is nothing to measure."""
    number = float(value)
    return number if number >= 0 else None


def _as_scorer(scorer: Scorer | LoadedDetector) -> Scorer:
    """Wrap a bare detector."""
    return scorer if isinstance(scorer, Scorer) else Scorer(scorer)
