"""Boxes, sizes and segmentations of label files: checked, and brought to the pixels of the upright source."""

import json
from dataclasses import dataclass
from typing import Any

from curate.labels.types import BoxXyxy
from curate.values import finite_numbers


@dataclass(frozen=True)
class Canvas:
    """The picture that labels refer to, in pixels: as the label file has it, and as the upright source has it."""

    file_width: int
    file_height: int
    width: int
    height: int

    @property
    def scale_xy(self) -> tuple[float, float]:
        """What to multiply x and y of the label file with."""
        return self.width / self.file_width, self.height / self.file_height

    @property
    def same_shape(self) -> bool:
        """Whether one scale turns one size into the other, each side rounded to a whole pixel or cut by one."""
        smallest = max((self.file_width - 1) / self.width, (self.file_height - 1) / self.height)
        largest = min((self.file_width + 1) / self.width, (self.file_height + 1) / self.height)
        return smallest <= largest


def parse_bbox(value: Any) -> BoxXyxy | None:
    """A COCO bbox, [x, y, width, height], as corners; None unless it is four finite numbers with a positive size."""
    numbers = finite_numbers(value)
    if numbers is None or len(numbers) != 4:
        return None
    x, y, width, height = numbers
    return (x, y, x + width, y + height) if width > 0 and height > 0 else None


def to_source(box: BoxXyxy, canvas: Canvas) -> BoxXyxy | None:
    """The box in the source's pixels, clipped to the picture; None if nothing of it is inside."""
    scale_x, scale_y = canvas.scale_xy
    x1 = min(max(0.0, box[0] * scale_x), float(canvas.width))
    y1 = min(max(0.0, box[1] * scale_y), float(canvas.height))
    x2 = min(max(0.0, box[2] * scale_x), float(canvas.width))
    y2 = min(max(0.0, box[3] * scale_y), float(canvas.height))
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


@dataclass(frozen=True)
class Overshoot:
    """How far a box reaches past the edge of its picture, in the source's pixels, and whether that is small."""

    pixels: float
    small: bool


def past_edge(box: BoxXyxy, canvas: Canvas) -> Overshoot:
    """How far a box reaches past the edge. Small is up to 2 pixels, or 1% of the side: rounding, a careless hand."""
    scale_x, scale_y = canvas.scale_xy
    along_x = max(-box[0] * scale_x, box[2] * scale_x - canvas.width, 0.0)
    along_y = max(-box[1] * scale_y, box[3] * scale_y - canvas.height, 0.0)
    small = along_x <= max(2.0, canvas.width / 100) and along_y <= max(2.0, canvas.height / 100)
    return Overshoot(max(along_x, along_y), small)


def parse_segmentation(value: Any, canvas: Canvas) -> str | None:
    """A COCO segmentation in the source's pixels as JSON text: "" where there is none, None where it is not valid.

    Polygons are scaled with the picture. An RLE counts the pixels of one size, so it is valid only at the source's.
    """
    if value is None or value == [] or value == "":
        return ""
    if isinstance(value, dict):
        return _parse_rle(value, canvas)
    if not isinstance(value, list):
        return None
    scale_x, scale_y = canvas.scale_xy
    polygons = []
    for polygon in value:
        numbers = finite_numbers(polygon)
        if numbers is None or len(numbers) < 6 or len(numbers) % 2:
            return None
        polygons.append([n * (scale_y if i % 2 else scale_x) for i, n in enumerate(numbers)])
    return json.dumps(polygons, separators=(",", ":"))


def _parse_rle(value: dict[str, Any], canvas: Canvas) -> str | None:
    size, counts = value.get("size"), value.get("counts")
    if size != [canvas.height, canvas.width]:
        return None
    lengths = _decompressed(counts) if isinstance(counts, str) else counts
    if not isinstance(lengths, list):
        return None
    if not all(isinstance(length, int) and not isinstance(length, bool) and length >= 0 for length in lengths):
        return None
    if sum(lengths) != canvas.height * canvas.width:
        return None
    return json.dumps({"counts": counts, "size": size}, separators=(",", ":"))


def _decompressed(counts: str) -> list[int] | None:
    """The run lengths of COCO's compressed form (`rleFrString` of pycocotools), None where it breaks off.

    Each character has 5 bits, lowest first, and whether the number goes on; from the third on a number is the
    difference from the one two before it.
    """
    lengths: list[int] = []
    number, shift = 0, 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            return None
        number |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            number -= 1 << shift
        lengths.append(number + (lengths[-2] if len(lengths) > 2 else 0))
        number, shift = 0, 0
    return lengths if shift == 0 else None
