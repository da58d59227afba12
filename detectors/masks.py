"""Masks of objects: COCO polygons and run lengths in, bitmaps to train on, run lengths of what is predicted out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

# COCO's "segmentation": polygons [[x1, y1, x2, y2, ...], ...] in pixels of the file, or run lengths {"size", "counts"}.
Segmentation = Sequence[Sequence[float]] | Mapping[str, Any]

_MASK_PROBABILITY = 0.5
_MIN_POLYGON_NUMBERS = 6


def decode_mask(
    segmentation: Segmentation, *, file_wh: tuple[int, int], size_wh: tuple[int, int] | None = None
) -> np.ndarray:
    """Draw a segmentation as a bitmap of `size_wh`, the size of its file unless told otherwise.

    Polygons are scaled before they are drawn, run lengths are drawn and then resized.

    Returns: (H, W) bool.

    Raises ValueError for a polygon of fewer than three points, and for run lengths of another size than the file.
    """
    from faster_coco_eval.core import mask as coco

    size_wh = size_wh or file_wh
    width, height = size_wh
    if isinstance(segmentation, Mapping):
        bitmap = coco.decode(_run_lengths(segmentation, file_wh))  # (file height, file width) uint8
        if size_wh != file_wh:
            bitmap = np.asarray(Image.fromarray(bitmap).resize(size_wh, Image.Resampling.NEAREST))
    else:
        polygons = [_scaled(polygon, width / file_wh[0], height / file_wh[1]) for polygon in segmentation]
        bitmap = coco.decode(coco.merge(coco.frPyObjects(polygons, height, width)))
    return np.ascontiguousarray(bitmap.astype(bool))


def encode_mask(bitmap: np.ndarray) -> dict[str, Any]:
    """Turn an (H, W) bitmap into COCO run lengths that fit into JSON."""
    from faster_coco_eval.core import mask as coco

    runs = coco.encode(np.asfortranarray(bitmap, dtype=np.uint8))
    return {"size": list(bitmap.shape), "counts": runs["counts"].decode("ascii")}


def paste_masks(probabilities: Tensor, boxes: Tensor, *, size_wh: tuple[int, int]) -> tuple[dict[str, Any], ...]:
    """Put masks that were predicted inside boxes into their image, and cut them at a probability of 0.5.

    probabilities: (n, M, M) in 0-1, each over its box. boxes: (n, 4) xyxy in pixels of an image of `size_wh`.

    Returns: n COCO run lengths.
    """
    width, height = size_wh
    pasted = []
    # One at a time: a hundred masks of a large photograph would fill the memory.
    for mask, box in zip(probabilities.float().cpu(), boxes.float().cpu(), strict=True):
        whole = paste_masks_in_image(mask[None, None], box[None], (height, width))[0, 0]  # (H, W)
        pasted.append(encode_mask((whole >= _MASK_PROBABILITY).numpy()))
    return tuple(pasted)


def _scaled(polygon: Sequence[float], x: float, y: float) -> list[float]:
    """Check one polygon and scale it."""
    if len(polygon) < _MIN_POLYGON_NUMBERS or len(polygon) % 2 or not all(map(math.isfinite, polygon)):
        raise ValueError(f"a polygon must be at least three points x1, y1, x2, y2, ..., got {list(polygon)}")
    return [value * (y if place % 2 else x) for place, value in enumerate(polygon)]


def _run_lengths(segmentation: Mapping[str, Any], file_wh: tuple[int, int]) -> dict[str, Any]:
    """Check run lengths and bring them into the compressed form."""
    from faster_coco_eval.core import mask as coco

    width, height = file_wh
    if "counts" not in segmentation or list(segmentation.get("size", ())) != [height, width]:
        raise ValueError(
            f"run lengths must have counts and the image's size [{height}, {width}], "
            f"got {', '.join(segmentation)} and {segmentation.get('size')}"
        )
    runs = {"size": [height, width], "counts": segmentation["counts"]}
    compressed: dict[str, Any] = coco.frPyObjects(runs, height, width) if isinstance(runs["counts"], list) else runs
    return compressed
