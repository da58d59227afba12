"""Scoring images with a trained detector: image uncertainties, boxes and their own uncertainty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detectors.checkpoint import LoadedDetector, load_detector
from detectors.config import MidlConfig
from detectors.cpu import keep_kernels_and_memory
from detectors.data import Batch, Sample, collate, load_sample
from detectors.masks import paste_masks
from detectors.midl.bags import BagScores, bag_scores
from detectors.model import Detections, Instances

__all__ = ["ImageScore", "LoadedDetector", "Scorer", "load_detector"]


@dataclass(frozen=True)
class ImageScore:
    """What a detector says of one image; uncertainties, probabilities and scores in 0-1.

    uncertainty: Eq. 7 under the detector's own switches. mean_uncertainty: mean of u over instances and classes (Eq.
    6).
    max_uncertainty: that of the most uncertain instance. objectness_uncertainty: p_cls uniform, p_obj learned.
    class_probabilities: Eq. 8. boxes_xyxy: pixels of the file, clipped to it, best score first; scores: mean of the two
    classifiers. box_uncertainties: sum_c u * p_cls of the box's instance, its own term in Eq. 7. masks: of each box,
    COCO run lengths in the file's size; None where the detector makes none.
    """

    uncertainty: float
    mean_uncertainty: float
    max_uncertainty: float
    objectness_uncertainty: float
    class_probabilities: np.ndarray  # (C,) float32
    boxes_xyxy: np.ndarray  # (n, 4) float32
    labels: np.ndarray  # (n,) int64
    scores: np.ndarray  # (n,) float32
    box_uncertainties: np.ndarray  # (n,) float32
    masks: tuple[dict[str, Any], ...] | None = None


class Scorer:
    """Scores images on a device. An image's score does not depend on those it is scored with.

    detector: a folder that `train` wrote, or a LoadedDetector. device: None takes the GPU if there is one. midl:
    switches to score by, None for those of the training; together they give each row of the paper's Table 5.
    """

    def __init__(
        self,
        detector: LoadedDetector | Path,
        *,
        device: str | torch.device | None = None,
        batch_size: int = 8,
        score_threshold: float = 0.05,
        iou_threshold: float = 0.5,
        max_boxes: int = 100,
        midl: MidlConfig | None = None,
    ) -> None:
        if batch_size < 1 or max_boxes < 0:
            raise ValueError(
                f"batch_size must be at least 1 and max_boxes at least 0, got {batch_size} and {max_boxes}"
            )
        keep_kernels_and_memory()
        loaded = detector if isinstance(detector, LoadedDetector) else load_detector(detector)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.detector = loaded.detector.to(self.device).eval()
        self.categories = loaded.categories
        self.midl = midl or self.detector.midl
        self.image_size = loaded.image_size
        self._batch_size = batch_size
        self._score_threshold = score_threshold
        self._iou_threshold = iou_threshold
        self._max_boxes = max_boxes

    def score(self, paths: Sequence[Path]) -> list[ImageScore]:
        """Score images, in the order given.

        Raises:
            FileNotFoundError, ValueError: a file is missing or cannot be decoded.
        """
        scores: list[ImageScore | None] = [None] * len(paths)
        for places, samples in self._groups(paths):
            batch, instances, bags = self.run(samples)
            found = self.detector.detect(
                instances,
                batch.sizes_hw,
                score_threshold=self._score_threshold,
                iou_threshold=self._iou_threshold,
                max_boxes=self._max_boxes,
            )
            for row, place in enumerate(places):
                scores[place] = _image_score(row, bags, found[row], samples[row])
        return [score for score in scores if score is not None]

    @torch.inference_mode()
    def run(self, samples: Sequence[Sample]) -> tuple[Batch, Instances, BagScores]:
        """Run the detector over decoded images: what `score` and the measurements of MIL share."""
        batch = collate(samples, divisor=self.detector.size_divisor).to(self.device)
        instances = self.detector.instances(self.detector.features(batch.images, batch.sizes_hw), batch.sizes_hw)
        return batch, instances, bag_scores(instances, self.midl)

    def _groups(self, paths: Sequence[Path]) -> Iterator[tuple[list[int], list[Sample]]]:
        """Yield batches of images of one padded size, so that no image sees more padding than it would alone."""
        waiting: dict[tuple[int, int], tuple[list[int], list[Sample]]] = {}
        for place, path in enumerate(paths):
            sample = load_sample(path, image_size=self.image_size)
            divisor = self.detector.size_divisor
            key = (-(-sample.image.shape[1] // divisor), -(-sample.image.shape[2] // divisor))
            places, samples = waiting.setdefault(key, ([], []))
            places.append(place)
            samples.append(sample)
            if len(places) == self._batch_size:
                yield waiting.pop(key)
        yield from waiting.values()


def _image_score(row: int, bags: BagScores, found: Detections, sample: Sample) -> ImageScore:
    """Collect one image's row of a batch, boxes back in pixels of the file."""

    def array(x: Tensor, dtype: type[np.generic] = np.float32) -> np.ndarray:
        return x.cpu().numpy().astype(dtype)

    scale = torch.tensor([*sample.scale_xy, *sample.scale_xy])
    boxes = found.boxes.cpu().float() / scale
    masks = None
    if found.masks is not None:
        masks = paste_masks(found.masks, boxes, size_wh=sample.file_wh)
    return ImageScore(
        uncertainty=bags.uncertainty[row].item(),
        mean_uncertainty=bags.mean_uncertainty[row].item(),
        max_uncertainty=bags.max_uncertainty[row].item(),
        objectness_uncertainty=bags.objectness_uncertainty[row].item(),
        class_probabilities=array(bags.class_probabilities[row]),
        boxes_xyxy=array(boxes),
        labels=array(found.labels, np.int64),
        scores=array(found.scores),
        box_uncertainties=array(bags.instance_uncertainties[row][found.instances]),
        masks=masks,
    )
