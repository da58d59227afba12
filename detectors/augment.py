"""Augmentation of training images: flips, scale jitter, and the crops and zoom-out of SSD (Liu et al. 2016).

Image, boxes and masks move together, by torchvision's functions of geometry. All randomness comes from the numpy
generator that is passed in: torchvision's random transforms draw from torch's global one, which the threads that load
batches share, so that a resumed run would not draw what an unkilled one would have drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import box_iou
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as geometry

from detectors.model import Target

_MAX_SCALE_JITTER = 1.25
# A box that augmentation leaves thinner than this (pixels) cannot be matched sensibly.
_MIN_BOX_SIDE = 1.0
# Liu et al., sections 2.2 and 3.6, with the numbers of torchvision's RandomZoomOut and RandomIoUCrop.
_ZOOM_PROBABILITY = 0.5
_MAX_ZOOM = 4.0
_MIN_CROP_SIDE = 0.3  # share of the canvas
_MAX_CROP_ASPECT = 2.0
_MIN_IOUS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
_TRIALS = 40
_MEAN_COLOUR = [124, 116, 104]  # of ImageNet, which the backbones' normalisation makes zero

# (left, top, right, bottom) in pixels of a picture, half-open; may reach beyond the picture.
Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class Picture:
    """An image and its objects, of the types that tell torchvision's functions how to move each.

    image: (3, H, W) uint8. boxes: (n, 4) float32 xyxy; none where the image is unlabeled. labels: (n,) int64. masks:
    (n, H, W) uint8 of 0 and 1, which torchvision resizes as they are while it makes floats of bool; None where no
    masks are wanted.
    """

    image: tv_tensors.Image
    boxes: tv_tensors.BoundingBoxes
    labels: Tensor
    masks: tv_tensors.Mask | None

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.image.shape[1:]
        return width, height

    def moved(self, move: Callable[[Any], Any]) -> Picture:
        """Apply one function of geometry to image, boxes and masks."""
        masks = None if self.masks is None else move(self.masks)
        return replace(self, image=move(self.image), boxes=move(self.boxes), masks=masks)

    def keep(self, kept: Tensor) -> Picture:
        """Return the picture with some of its objects. kept: (n,) bool."""
        boxes = tv_tensors.wrap(self.boxes[kept], like=self.boxes)
        masks = None if self.masks is None else tv_tensors.wrap(self.masks[kept], like=self.masks)
        return replace(self, boxes=boxes, labels=self.labels[kept], masks=masks)

    def without_thin_boxes(self) -> Picture:
        """Drop the objects of which too little is left."""
        boxes = self.boxes.as_subclass(Tensor)
        return self.keep((boxes[:, 2:] - boxes[:, :2] >= _MIN_BOX_SIDE).all(dim=1))

    def target(self) -> Target:
        """Return the objects as plain tensors."""
        masks = None if self.masks is None else self.masks.as_subclass(Tensor).view(torch.bool)
        return Target(self.boxes.as_subclass(Tensor), self.labels, masks)


def picture_of(
    image: Tensor, boxes_xyxy: Tensor, labels: Tensor, masks: Tensor | None, *, boxes_wh: tuple[int, int]
) -> Picture:
    """Put an image and its objects together; boxes are brought to the image's pixels and clipped to it.

    image: (3, H, W) uint8. boxes_xyxy: (n, 4) float32 in pixels of a picture of `boxes_wh`. masks: (n, H, W) bool.
    """
    given = tv_tensors.BoundingBoxes(boxes_xyxy, format="XYXY", canvas_size=boxes_wh[::-1])
    boxes = geometry.clamp_bounding_boxes(geometry.resize(given, list(image.shape[1:])))
    bitmaps = None if masks is None else tv_tensors.Mask(masks.view(torch.uint8))
    return Picture(tv_tensors.Image(image), boxes, labels, bitmaps).without_thin_boxes()


def draw_jitter(rng: np.random.Generator) -> float:
    """Draw a factor on an image's size, within 1.25 either way."""
    return float(np.exp(rng.uniform(-1, 1) * np.log(_MAX_SCALE_JITTER)))


def draw_flip(rng: np.random.Generator) -> bool:
    """Draw whether to flip an image."""
    return bool(rng.random() < 0.5)


def flipped(picture: Picture) -> Picture:
    """Mirror a picture left to right."""
    return picture.moved(geometry.horizontal_flip)


def recut(picture: Picture, rng: np.random.Generator, *, image_size: int | None = None) -> Picture:
    """Cut a random window out of a picture, or zoom out around it; see `draw_window` and `cut`."""
    window = draw_window(picture.boxes.as_subclass(Tensor), size_wh=picture.size_wh, rng=rng)
    return cut(picture, window, image_size=image_size)


def draw_window(boxes: Tensor, *, size_wh: tuple[int, int], rng: np.random.Generator) -> Window:
    """Draw the window of SSD's augmentation: the picture or a larger canvas around it, whole or a crop of that.

    A crop has the centre of some box inside, and the IoU with it that was drawn for all its trials; where none of them
    fits, another IoU is drawn, or no crop. Without boxes any crop does whose own centre is in the picture, so that
    something of the picture is in it.

    boxes: (n, 4) xyxy in pixels of the picture, clipped to it.
    """
    width, height = size_wh
    canvas = left, top, right, bottom = _draw_canvas(size_wh, rng)
    corner, sides = torch.tensor([left, top]), torch.tensor([right - left, bottom - top])
    whole = torch.tensor([[0, 0, width, height]])
    while True:
        option = int(rng.integers(len(_MIN_IOUS) + 1))
        if option == len(_MIN_IOUS):
            return canvas
        shares = torch.from_numpy(rng.random((_TRIALS, 4)))
        crop_sides = (sides * (_MIN_CROP_SIDE + (1 - _MIN_CROP_SIDE) * shares[:, :2])).long().clamp(min=1)
        corners = corner + ((sides - crop_sides) * shares[:, 2:]).long()
        crops = torch.cat([corners, corners + crop_sides], dim=1)  # (_TRIALS, 4)
        aspect = crop_sides[:, 0] / crop_sides[:, 1]
        fits = (aspect >= 1 / _MAX_CROP_ASPECT) & (aspect <= _MAX_CROP_ASPECT)
        if len(boxes):
            overlaps = box_iou(crops.float(), boxes) >= _MIN_IOUS[option]
            fits &= (overlaps & _centres_inside(boxes, crops)).any(dim=1)
        else:
            fits &= _centres_inside(crops, whole)[0]
        if fits.any():
            x1, y1, x2, y2 = crops[fits][0].tolist()
            return x1, y1, x2, y2


def cut(picture: Picture, window: Window, *, image_size: int | None = None) -> Picture:
    """Cut a window out of a picture, in the mean colour where it reaches beyond.

    Objects whose centre lies outside are dropped, the others clipped. The result is shrunk to the number of pixels that
    the picture had, and to `image_size` on its long side.

    Raises ValueError for a window without any pixel of the picture.
    """
    (width, height), (left, top, right, bottom) = picture.size_wh, window
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if x1 >= x2 or y1 >= y2:
        raise ValueError(f"window must hold a part of the picture of {width} x {height}, got {window}")
    inside = _centres_inside(picture.boxes.as_subclass(Tensor), torch.tensor([window]))[0]
    part = picture.keep(inside).moved(lambda x: geometry.crop(x, y1, x1, y2 - y1, x2 - x1))
    factor = min(1.0, math.sqrt(width * height / ((right - left) * (bottom - top))))
    if image_size is not None:
        factor = min(factor, image_size / max(right - left, bottom - top))
    before_x, wide, after_x = _place(x1 - left, x2 - left, right - left, factor)
    before_y, high, after_y = _place(y1 - top, y2 - top, bottom - top, factor)
    # The part is resized before the canvas is made: the canvas can have 16 times the pixels of the picture.
    part = part.moved(partial(_resized, size_hw=(high, wide)))
    padding = [before_x, before_y, after_x, after_y]
    colour = {tv_tensors.Image: _MEAN_COLOUR}
    return part.moved(lambda x: geometry.pad(x, padding, fill=colour.get(type(x), 0))).without_thin_boxes()


def _resized(x: Any, *, size_hw: tuple[int, int]) -> Any:
    """Resize an image, boxes or masks; plain "nearest" would shift masks by half a pixel against the others."""
    masks = isinstance(x, tv_tensors.Mask)
    mode = InterpolationMode.NEAREST_EXACT if masks else InterpolationMode.BILINEAR
    return geometry.resize(x, list(size_hw), interpolation=mode, antialias=not masks)


def _draw_canvas(size_wh: tuple[int, int], rng: np.random.Generator) -> Window:
    """Draw the canvas to cut from: the picture, or one up to four times as wide and high with the picture in it."""
    width, height = size_wh
    if rng.random() >= _ZOOM_PROBABILITY:
        return 0, 0, width, height
    zoom = rng.uniform(1, _MAX_ZOOM)
    wide, high = int(width * zoom), int(height * zoom)
    left, top = -int((wide - width) * rng.random()), -int((high - height) * rng.random())
    return left, top, left + wide, top + high


def _centres_inside(boxes: Tensor, windows: Tensor) -> Tensor:
    """Tell whether the centre of each of n boxes lies in each of m windows, (m, n) bool."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2  # (n, 2)
    return ((centres > windows[:, None, :2]) & (centres < windows[:, None, 2:])).all(dim=2)


def _place(start: int, stop: int, extent: int, factor: float) -> tuple[int, int, int]:
    """Scale the range start to stop of an axis: pixels before it, in it (at least one) and after it."""
    scaled = max(1, round(extent * factor))
    first = min(round(start * factor), scaled - 1)
    last = max(round(stop * factor), first + 1)
    return first, last - first, scaled - last
