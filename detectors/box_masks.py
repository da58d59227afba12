"""Masks for boxes that a person has drawn: the mask head of a detector on them, instead of on what it found itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detectors.data import collate, load_sample
from detectors.inference import Scorer
from detectors.mask_rcnn import MaskRcnn
from detectors.masks import paste_masks


@torch.inference_mode()
def masks_of_boxes(
    scorer: Scorer, path: Path, boxes_xyxy: np.ndarray, categories: Sequence[str]
) -> tuple[dict[str, Any], ...]:
    """Predict the mask inside each box of an image, for the class that the box is labeled with.

    boxes_xyxy: (n, 4), pixels of the file.

    Returns: n COCO run lengths in the file's size.

    Raises ValueError for a detector without a mask head, and for a class that it does not know.
    """
    detector = scorer.detector
    if not isinstance(detector, MaskRcnn):
        raise ValueError(f"masks need a mask-rcnn detector, got {type(detector).__name__}")
    unknown = sorted(set(categories) - set(scorer.categories))
    if unknown:
        raise ValueError(f"the detector was not trained on {', '.join(unknown)}")
    if len(categories) == 0:
        return ()
    sample = load_sample(path, image_size=scorer.image_size)
    batch = collate([sample], divisor=detector.size_divisor).to(scorer.device)
    levels = detector.features(batch.images, batch.sizes_hw)
    boxes = torch.as_tensor(boxes_xyxy, dtype=torch.float32).reshape(-1, 4)
    scale = torch.tensor([*sample.scale_xy, *sample.scale_xy])
    logits = detector.mask(levels, [(boxes * scale).to(scorer.device)])  # (n, C, 28, 28)
    labels = torch.tensor([scorer.categories.index(name) for name in categories], device=logits.device)
    probabilities = logits[torch.arange(len(labels), device=logits.device), labels].sigmoid()  # (n, 28, 28)
    return paste_masks(probabilities, boxes, size_wh=sample.file_wh)
