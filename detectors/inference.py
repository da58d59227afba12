"""Scoring images with a trained detector: image uncertainties, boxes and their own uncertainty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detectors.ahead import ahead
from detectors.checkpoint import LoadedDetector, load_detector
from detectors.classification_uncertainty import ClassificationUncertainty, classification_uncertainty
from detectors.config import MidlConfig
from detectors.cpu import keep_kernels_and_memory
from detectors.data import Batch, Sample, collate, load_sample
from detectors.image_features import image_embeddings
from detectors.masks import paste_masks
from detectors.midl.bags import BagScores, bag_scores
from detectors.midl.probabilities import class_scores
from detectors.model import Detections, Instances
from detectors.postprocess import weighed_by_image

# Images wait for others of their size, in batches at most.
_WAITING = 8

__all__ = ["Explanation", "ImageScore", "LoadedDetector", "ScoredBatch", "Scorer", "load_detector"]


@dataclass(frozen=True)
class ImageScore:
    """What a detector says of one image; uncertainties, probabilities and scores in 0-1 (uncertainties up to C where
    the class probabilities are "sigmoid").

    uncertainty: Eq. 7 under the detector's own switches. printed_uncertainty: Eq. 7 with Eq. 5 as printed.
    mean_uncertainty: mean of Eq. 5 over instances and classes (Eq. 6). max_uncertainty: that of the most uncertain
    instance. objectness_uncertainty: p_cls uniform, p_obj learned. top_k_uncertainty: MI-AOD's. entropy, margin,
    least_confidence: of the boxes' classes, see `detectors.classification_uncertainty`. embedding: length 1, see
    `detectors.image_features`. class_probabilities: Eq. 8. boxes_xyxy: pixels of the file, clipped to it, best score
    first; scores: mean of the two classifiers, times (Eq. 8 of the box's class) to the power of
    MidlConfig.image_class_exponent. box_uncertainties: sum_c u * p_cls of the box's instance, its own term
    in Eq. 7. masks: of each box, COCO run lengths in the file's size; None where the detector makes none.
    """

    uncertainty: float
    printed_uncertainty: float
    mean_uncertainty: float
    max_uncertainty: float
    objectness_uncertainty: float
    top_k_uncertainty: float
    entropy: float
    margin: float
    least_confidence: float
    embedding: np.ndarray  # (128,) float32
    class_probabilities: np.ndarray  # (C,) float32
    boxes_xyxy: np.ndarray  # (n, 4) float32
    labels: np.ndarray  # (n,) int64
    scores: np.ndarray  # (n,) float32
    box_uncertainties: np.ndarray  # (n,) float32
    masks: tuple[dict[str, Any], ...] | None = None


@dataclass(frozen=True)
class ScoredBatch:
    """What a detector made of B images: its features, its instances, and what MIDL says of them."""

    batch: Batch
    features: list[Tensor]
    instances: Instances
    bags: BagScores


@dataclass(frozen=True)
class Explanation:
    """Where in one image its score comes from; the sum of uncertainties * objectness is Eq. 7.

    footprints_xyxy: the feature cell of each anchor, or the proposal, in pixels of the file. uncertainties: sum_c u *
    p_cls, the bracket of Eq. 7. objectness: p_obj, sums to 1. p_cls and p_obj as the switches of scoring say.
    """

    score: ImageScore
    footprints_xyxy: np.ndarray  # (N, 4) float32
    uncertainties: np.ndarray  # (N,) float32
    objectness: np.ndarray  # (N,) float32


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
            for place, score in zip(places, self._scores(self.run(samples), samples), strict=True):
                scores[place] = score
        return [score for score in scores if score is not None]

    def explain(self, path: Path) -> Explanation:
        """Score one image and keep what each instance had to say; errors as `score`."""
        sample = load_sample(path, image_size=self.image_size)
        scored = self.run([sample])
        valid = scored.instances.valid[0]
        footprints = self.detector.footprints(scored.features, scored.instances)[0][valid].cpu()
        p_obj = scored.bags.objectness[0][valid]
        if self.midl.objectness == "uniform":
            p_obj = torch.full_like(p_obj, 1 / max(len(p_obj), 1))
        return Explanation(
            score=self._scores(scored, [sample])[0],
            footprints_xyxy=_array(footprints / torch.tensor([*sample.scale_xy, *sample.scale_xy])),
            uncertainties=_array(scored.bags.instance_uncertainties[0][valid]),
            objectness=_array(p_obj),
        )

    @torch.inference_mode()
    def run(self, samples: Sequence[Sample]) -> ScoredBatch:
        """Run the detector over decoded images: what `score`, `explain` and the measurements of MIL share."""
        batch = collate(samples, divisor=self.detector.size_divisor).to(self.device)
        features = self.detector.features(batch.images, batch.sizes_hw)
        instances = self.detector.instances(features, batch.sizes_hw)
        return ScoredBatch(batch, features, instances, bag_scores(instances, self.midl))

    @torch.inference_mode()
    def _scores(self, scored: ScoredBatch, samples: Sequence[Sample]) -> list[ImageScore]:
        """Detect the boxes of a batch and put each image's score together."""
        instances = scored.instances
        found = self.detector.detect(
            instances,
            scored.batch.sizes_hw,
            score_threshold=self._score_threshold,
            iou_threshold=self._iou_threshold,
            max_boxes=self._max_boxes,
        )
        found = [
            weighed_by_image(boxes, probabilities, self.midl.image_class_exponent or 0.0)
            for boxes, probabilities in zip(found, scored.bags.class_probabilities, strict=True)
        ]
        embeddings = image_embeddings(self.detector, scored.features, instances, scored.bags)
        scores = []
        for row, sample in enumerate(samples):
            logits = (z[row][found[row].instances] for z in (instances.cls_logits_1, instances.cls_logits_2))
            first, second = (class_scores(z, instances.activation) for z in logits)
            doubts = classification_uncertainty((first + second) / 2, instances.activation)
            scores.append(_image_score(row, scored.bags, found[row], doubts, embeddings[row], sample))
        return scores

    def _groups(self, paths: Sequence[Path]) -> Iterator[tuple[list[int], list[Sample]]]:
        """Yield batches of images of one padded size, so that no image sees more padding than it would alone."""
        waiting: dict[tuple[int, int], tuple[list[int], list[Sample]]] = {}
        read = partial(load_sample, image_size=self.image_size)
        for place, sample in enumerate(ahead(read, paths, depth=2 * self._batch_size)):
            divisor = self.detector.size_divisor
            key = (-(-sample.image.shape[1] // divisor), -(-sample.image.shape[2] // divisor))
            places, samples = waiting.setdefault(key, ([], []))
            places.append(place)
            samples.append(sample)
            if len(places) == self._batch_size:
                yield waiting.pop(key)
            elif sum(len(group) for group, _ in waiting.values()) > _WAITING * self._batch_size:
                # Images of many sizes: no more of them are held than this.
                yield waiting.pop(max(waiting, key=lambda size: len(waiting[size][0])))
        yield from waiting.values()


def _array(x: Tensor, dtype: type[np.generic] = np.float32) -> np.ndarray:
    return x.cpu().numpy().astype(dtype)


def _image_score(
    row: int,
    bags: BagScores,
    found: Detections,
    doubts: ClassificationUncertainty,
    embedding: Tensor,
    sample: Sample,
) -> ImageScore:
    """Collect one image's row of a batch, boxes back in pixels of the file."""
    scale = torch.tensor([*sample.scale_xy, *sample.scale_xy])
    boxes = found.boxes.cpu().float() / scale
    masks = None
    if found.masks is not None:
        masks = paste_masks(found.masks, boxes, size_wh=sample.file_wh)
    return ImageScore(
        uncertainty=bags.uncertainty[row].item(),
        printed_uncertainty=bags.printed_uncertainty[row].item(),
        mean_uncertainty=bags.mean_uncertainty[row].item(),
        max_uncertainty=bags.max_uncertainty[row].item(),
        objectness_uncertainty=bags.objectness_uncertainty[row].item(),
        top_k_uncertainty=bags.top_k_uncertainty[row].item(),
        entropy=doubts.entropy,
        margin=doubts.margin,
        least_confidence=doubts.least_confidence,
        embedding=_array(embedding),
        class_probabilities=_array(bags.class_probabilities[row]),
        boxes_xyxy=_array(boxes),
        labels=_array(found.labels, np.int64),
        scores=_array(found.scores),
        box_uncertainties=_array(bags.instance_uncertainties[row][found.instances]),
        masks=masks,
    )
