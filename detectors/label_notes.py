"""What a detector cannot learn from the labels it is given, said before it is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from detectors.config import TrainConfig
from detectors.data import LabeledImage
from detectors.images import file_size_wh
from detectors.model import MidlDetector


def label_notes(detector: MidlDetector, labeled: Sequence[LabeledImage], config: TrainConfig) -> list[str]:
    """Sentences for the log; FileNotFoundError: an image is missing."""
    return [*_mask_notes(detector, labeled), *_anchor_notes(detector, labeled, config)]


def learns_masks(detector: MidlDetector, labeled: Sequence[LabeledImage]) -> bool:
    """Whether the detector has a mask head, and labels to teach it."""
    return detector.makes_masks and any(mask is not None for image in labeled for mask in image.masks or ())


def _mask_notes(detector: MidlDetector, labeled: Sequence[LabeledImage]) -> list[str]:
    """Say so when a detector of masks was given none."""
    if not detector.makes_masks or learns_masks(detector, labeled):
        return []
    return ["no label has a mask: boxes were learned, the masks that this detector predicts mean nothing"]


def _anchor_notes(detector: MidlDetector, labeled: Sequence[LabeledImage], config: TrainConfig) -> list[str]:
    """Say so when boxes are so large that no anchor of the same shape overlaps them by IoU 0.5."""
    if detector.largest_anchor is None:
        return []
    fits = detector.largest_anchor * math.sqrt(2)
    larger = 0
    for image in labeled:
        sides = np.sqrt(np.prod(image.boxes_xyxy[:, 2:] - image.boxes_xyxy[:, :2], axis=1))
        if (sides > fits).any():
            long_side = max(file_size_wh(image.path))
            larger += int((sides * min(1.0, (config.image_size or long_side) / long_side) > fits).sum())
    if not larger:
        return []
    return [
        f"{larger} of {sum(len(image.labels) for image in labeled)} labeled boxes are larger than anchors reach "
        f"({fits:.0f} px): train at a smaller image_size, or with an anchor_scale above {config.anchor_scale:g}"
    ]
