"""A picture of instance numbers as one mask an instance."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate.labels.types import BoxXyxy

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Mask:
    """The pixels of one instance, (H, W) bool, and its number in the picture."""

    number: int
    pixels: "np.ndarray"

    @property
    def box_xyxy(self) -> BoxXyxy:
        """The box around the pixels, its far edges outside of them."""
        import numpy as np

        rows, columns = np.flatnonzero(self.pixels.any(axis=1)), np.flatnonzero(self.pixels.any(axis=0))
        return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)

    @property
    def rle(self) -> dict[str, Any]:
        """The pixels as COCO's compressed run lengths."""
        import numpy as np
        from faster_coco_eval.core import mask as coco

        encoded = coco.encode(np.asfortranarray(self.pixels, dtype=np.uint8))
        return {"size": [int(side) for side in encoded["size"]], "counts": encoded["counts"].decode("ascii")}

    def iou(self, box: BoxXyxy) -> float:
        """Intersection over union of this mask's box and another."""
        ours = self.box_xyxy
        width = min(ours[2], box[2]) - max(ours[0], box[0])
        height = min(ours[3], box[3]) - max(ours[1], box[1])
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        areas = ((ours[2] - ours[0]) * (ours[3] - ours[1]), (box[2] - box[0]) * (box[3] - box[1]))
        return shared / (sum(areas) - shared)


def masks_of(numbers: "np.ndarray", *, void: int | None = None) -> Iterator[Mask]:
    """The instances of a picture of numbers, (H, W), in their order; 0 is the background, `void` belongs to none."""
    import numpy as np

    for number in np.unique(numbers).tolist():
        if number not in (0, void):
            yield Mask(number, numbers == number)
