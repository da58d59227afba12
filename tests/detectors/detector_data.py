"""Makes labeled images: bright squares (class 0) and dark ones (class 1) on a noisy grey ground, with masks."""

from pathlib import Path

import numpy as np
from PIL import Image

from detectors.data import LabeledImage

CATEGORIES = ("bright", "dark")


def write_images(
    folder: Path, count: int, *, size_wh: tuple[int, int], rng: np.random.Generator, boxes: int = 1, side: int = 24
) -> list[LabeledImage]:
    width, height = size_wh
    made = []
    for number in range(count):
        pixels = rng.integers(110, 146, (height, width, 3), dtype=np.uint8)
        corners, labels = [], []
        for place in range(boxes):
            x, y = (int(rng.integers(0, extent - side + 1)) for extent in size_wh)
            label = (number + place) % 2
            pixels[y : y + side, x : x + side] = (250, 230, 20) if label == 0 else (10, 10, 60)
            corners.append([x, y, x + side, y + side])
            labels.append(label)
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        made.append(
            LabeledImage(
                path,
                np.array(corners, dtype=np.float32).reshape(-1, 4),
                np.array(labels, dtype=np.int64),
                path.name,
                tuple([[x1, y1, x2, y1, x2, y2, x1, y2]] for x1, y1, x2, y2 in corners),
            )
        )
    return made
