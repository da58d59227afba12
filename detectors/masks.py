"""Masks of objects: COCO polygons and run lengths in, bitmaps to train on, run lengths of what is predicted out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
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

    Raises ValueError for a polygon of fewer than three points, and for run lengths that do not fill the file's size.
    """
    size_wh = size_wh or file_wh
    try:
        if isinstance(segmentation, Mapping):
            bitmap = _from_run_lengths(segmentation, file_wh)
            if size_wh != file_wh:
                bitmap = np.asarray(Image.fromarray(bitmap).resize(size_wh, Image.Resampling.NEAREST))
        else:
            bitmap = _from_polygons(segmentation, size_wh, size_wh[0] / file_wh[0], size_wh[1] / file_wh[1])
    except (TypeError, RuntimeError) as error:  # what the decoder raises for values of another kind
        raise ValueError(f"neither polygons nor run lengths: {error}") from error
    return np.ascontiguousarray(bitmap.astype(bool))


def draw_masks(
    segmentations: Sequence[Segmentation | None],
    *,
    name: str,
    file_wh: tuple[int, int],
    size_wh: tuple[int, int] | None = None,
) -> Tensor:
    """Draw the masks of one image, (n, H, W) bool; None stays empty. `name` is that of the image, for errors."""
    width, height = size_wh or file_wh
    bitmaps = np.zeros((len(segmentations), height, width), dtype=bool)
    for place, segmentation in enumerate(segmentations):
        if segmentation is None:
            continue
        try:
            bitmaps[place] = decode_mask(segmentation, file_wh=file_wh, size_wh=size_wh)
        except ValueError as error:
            raise ValueError(f"{name}: mask of object {place}: {error}") from error
    return torch.from_numpy(bitmaps)


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


def _from_polygons(polygons: Sequence[Sequence[float]], size_wh: tuple[int, int], x: float, y: float) -> np.ndarray:
    """Draw polygons, their points scaled by x and y."""
    from faster_coco_eval.core import mask as coco

    width, height = size_wh
    scaled = []
    for polygon in polygons:
        if len(polygon) < _MIN_POLYGON_NUMBERS or len(polygon) % 2 or not all(map(math.isfinite, polygon)):
            raise ValueError(f"a polygon must be at least three points x1, y1, x2, y2, ..., got {list(polygon)}")
        scaled.append([value * (y if place % 2 else x) for place, value in enumerate(polygon)])
    bitmap: np.ndarray = coco.decode(coco.merge(coco.frPyObjects(scaled, height, width)))
    return bitmap


def _from_run_lengths(segmentation: Mapping[str, Any], file_wh: tuple[int, int]) -> np.ndarray:
    """Draw run lengths, compressed or plain."""
    from faster_coco_eval.core import mask as coco

    width, height = file_wh
    if "counts" not in segmentation or list(segmentation.get("size", ())) != [height, width]:
        raise ValueError(
            f"run lengths must have counts and the image's size [{height}, {width}], "
            f"got {', '.join(segmentation)} and {segmentation.get('size')}"
        )
    runs: Any = {"size": [height, width], "counts": segmentation["counts"]}
    if isinstance(runs["counts"], list):
        runs = coco.frPyObjects(runs, height, width)
    bitmap: np.ndarray = coco.decode(runs)
    return bitmap
