"""Labelled images of one size for `speed.py`: of a COCO file, or made up."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from detectors.data import LabeledImage, load_coco
from detectors.masks import Segmentation

_CLASSES = 10
# The shape of the paper's largest image, so that its size fits made-up images exactly.
_MADE_WH = (1333, 800)


@dataclass(frozen=True)
class Picture:
    """An image in memory with its objects, boxes and masks in its own pixels."""

    image: Image.Image
    boxes_xyxy: np.ndarray  # (n, 4) float32
    labels: np.ndarray  # (n,) int64
    masks: tuple[Segmentation | None, ...] | None


def read(annotations: Path, images: Path, count: int) -> tuple[list[Picture], list[str]]:
    """So many images of a COCO file, evenly spaced over it, and the names of the classes."""
    found, categories = load_coco(annotations, images)
    pictures = []
    for place in np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int):
        chosen = found[place]
        with Image.open(chosen.path) as opened:
            pictures.append(Picture(opened.convert("RGB"), chosen.boxes_xyxy, chosen.labels, chosen.masks))
    return pictures, categories


def made_up(count: int, *, seed: int = 0) -> tuple[list[Picture], list[str]]:
    """So many images of 1333x800 with one to six boxes of plain colours, one a class, on clouds."""
    rng = np.random.default_rng(seed)
    width, height = _MADE_WH
    colors = rng.integers(0, 256, (_CLASSES, 3))
    pictures = []
    for _ in range(count):
        # Smooth, as photographs are: noise of every pixel would make files that take longer to decode.
        clouds = Image.fromarray(rng.integers(0, 256, (12, 20, 3), dtype=np.uint8))
        image = clouds.resize(_MADE_WH, Image.Resampling.BICUBIC)
        number = int(rng.integers(1, 7))
        sides = rng.integers(60, 400, (number, 2))
        corners = (rng.random((number, 2)) * ((width, height) - sides)).astype(int)
        boxes = np.concatenate([corners, corners + sides], axis=1)
        labels = rng.integers(0, _CLASSES, number)
        draw = ImageDraw.Draw(image)
        for box, label in zip(boxes.tolist(), labels, strict=True):
            draw.rectangle(box, fill=tuple(colors[label].tolist()))
        masks: tuple[Segmentation, ...] = tuple([[x1, y1, x2, y1, x2, y2, x1, y2]] for x1, y1, x2, y2 in boxes.tolist())
        pictures.append(Picture(image, boxes.astype(np.float32), labels.astype(np.int64), masks))
    return pictures, [f"class {label}" for label in range(_CLASSES)]


def target_wh(size: str, wh: tuple[int, int]) -> tuple[int, int]:
    """Width and height that an image is brought to, by enlarging too.

    size: "640" is the long side; "1333x800", as in the paper, a short side of 800 unless the long one passes 1333.
    """
    longest, _, shortest = size.partition("x")
    factor = int(longest) / max(wh)
    if shortest:
        factor = min(factor, int(shortest) / min(wh))
    width, height = (max(1, round(side * factor)) for side in wh)
    return width, height


def prepared(pictures: Sequence[Picture], size: str, folder: Path) -> list[LabeledImage]:
    """Write the images at a size as JPEG files, as a frame cache holds them."""
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for number, picture in enumerate(pictures):
        path = folder / f"{number:04d}.jpg"
        own = picture.image.size
        new = target_wh(size, own)
        picture.image.resize(new, Image.Resampling.BILINEAR).save(path, quality=90)
        scale = np.array([new[0] / own[0], new[1] / own[1]] * 2, np.float32)
        images.append(
            LabeledImage(path, picture.boxes_xyxy * scale, picture.labels, path.name, picture.masks, masks_wh=own)
        )
    return images
