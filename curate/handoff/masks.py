"""Masks of labelled objects: valid ones as they are, others mended, or refused with the reason.

A COCO polygon is a ring without holes; the rings of an object add up. Points are pixels of the image, 0 <= x <= width.
Polygons are mended with shapely, pixels are counted as pycocotools counts them.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from shapely import LinearRing, Polygon
    from shapely.geometry.base import BaseGeometry

MIN_AREA = 1.0
"""Square pixels below which a polygon, or a part of a mended one, is no object but a slip of the mouse."""

Segmentation = list[list[float]] | dict[str, Any]


@dataclass(frozen=True)
class Mask:
    """A valid mask: polygons [[x1, y1, x2, y2, ...], ...], or plain run lengths {"counts", "size": [height, width]}.

    `bbox` is [x, y, width, height] around it and `area` its size in square pixels. `mended` says what was wrong.
    """

    segmentation: Segmentation
    bbox: tuple[float, float, float, float]
    area: float
    mended: tuple[str, ...] = ()


class MaskError(ValueError):
    """A segmentation that no valid mask can be made of; the message is the reason."""


def valid_mask(segmentation: Segmentation, *, width: int, height: int, crowd: bool = False) -> Mask:
    """Check a COCO segmentation of an image of this size, and mend it where that is possible.

    A polygon that crosses itself is cut into its parts, what is outside the image is cut off, and parts under one
    square pixel are dropped. Run lengths stay run lengths; they are also the form of crowds, as COCO has it, and of
    polygons that enclose a hole. Raises MaskError where nothing is left.
    """
    if isinstance(segmentation, dict):
        return _run_lengths(_compressed(segmentation, width, height))
    if crowd:
        for ring in segmentation:
            _points(ring)
        return _run_lengths(_drawn(segmentation, width, height))
    rings, holes, mended = _valid_rings(segmentation, width, height)
    if not rings:
        raise MaskError(f"{' and '.join(mended)}: nothing of {MIN_AREA:g} square pixels is left of its mask")
    flat = [numbers for numbers, _ in rings]
    if holes:
        return _with_holes(flat, holes, mended, width, height)
    from faster_coco_eval.core import mask as coco
    from shapely import union_all

    whole = union_all([polygon for _, polygon in rings])
    if not coco.area(_drawn(flat, width, height)):
        raise MaskError("its mask is so thin that it has no pixel")
    x1, y1, x2, y2 = whole.bounds
    return Mask(flat, (x1, y1, extent(x1, x2), extent(y1, y2)), float(whole.area), tuple(mended))


def _valid_rings(
    segmentation: list[list[float]], width: int, height: int
) -> "tuple[list[tuple[list[float], Polygon]], list[list[float]], list[str]]":
    """The rings, numbers and polygon, valid and inside the image; their holes, and what had to be mended."""
    from shapely import Polygon, box, make_valid

    image = box(0, 0, width, height)
    rings: list[tuple[list[float], Polygon]] = []
    holes: list[list[float]] = []
    mended: dict[str, None] = {}
    for ring in segmentation:
        points = _points(ring)
        polygon = Polygon(points)
        inside = all(0 <= x <= width and 0 <= y <= height for x, y in points)
        if polygon.is_valid and inside and polygon.area >= MIN_AREA:
            # As it was, to the last digit.
            rings.append((ring, polygon))
            continue
        whole: BaseGeometry = polygon
        if not polygon.is_valid:
            mended["a polygon crosses itself"] = None
            whole = make_valid(polygon)
        if not inside:
            mended["a polygon leaves its image"] = None
            whole = whole.intersection(image)
        parts = _polygons(whole)
        large = [part for part in parts if part.area >= MIN_AREA]
        if len(large) < max(len(parts), 1):
            mended["a part is under one square pixel"] = None
        rings += [(_ring(part.exterior), Polygon(part.exterior)) for part in large]
        holes += [_ring(hole) for part in large for hole in part.interiors]
    return rings, holes, list(mended)


def _with_holes(rings: list[list[float]], holes: list[list[float]], mended: list[str], width: int, height: int) -> Mask:
    """The mask as run lengths: COCO's polygons cannot leave a hole out."""
    import numpy as np
    from faster_coco_eval.core import mask as coco

    filled, empty = (coco.decode(_drawn(several, width, height)).astype(bool) for several in (rings, holes))
    mask = _run_lengths(coco.encode(np.asfortranarray(filled & ~empty, dtype=np.uint8)))
    return Mask(mask.segmentation, mask.bbox, mask.area, (*mended, "a polygon has a hole: kept as run lengths"))


def _run_lengths(compressed: dict[str, Any]) -> Mask:
    """A mask from compressed run lengths, as plain ones: every reader of COCO takes those."""
    from faster_coco_eval.core import mask as coco

    area = int(coco.area(compressed))
    if area < MIN_AREA:
        raise MaskError("its mask has no pixel")
    x, y, width, height = (float(value) for value in coco.toBbox(compressed))
    bitmap = coco.decode(compressed)
    plain = {"size": list(bitmap.shape), "counts": _counts(bitmap)}
    return Mask(plain, (x, y, width, height), float(area))


def _counts(bitmap: "NDArray[np.uint8]") -> list[int]:
    """How many pixels are off, on, off, ... down the columns from the left."""
    import numpy as np

    flat = bitmap.ravel(order="F")
    ends = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1, [len(flat)]])
    counts: list[int] = np.diff(ends).tolist()
    return [0, *counts] if flat[0] else counts


def _compressed(segmentation: dict[str, Any], width: int, height: int) -> dict[str, Any]:
    from faster_coco_eval.core import mask as coco

    runs: dict[str, Any] = {"size": [height, width], "counts": segmentation.get("counts")}
    if list(segmentation.get("size", ())) != runs["size"]:
        raise MaskError(f"its run lengths are of the size {segmentation.get('size')}, not [{height}, {width}]")
    try:
        if isinstance(runs["counts"], list):
            runs = coco.frPyObjects(runs, height, width)
        coco.decode(runs)
    except (ValueError, TypeError, RuntimeError) as error:
        raise MaskError(f"its run lengths cannot be read ({error})") from error
    return runs


def _drawn(rings: list[list[float]], width: int, height: int) -> dict[str, Any]:
    from faster_coco_eval.core import mask as coco

    drawn: dict[str, Any] = coco.merge(coco.frPyObjects(rings, height, width))
    return drawn


def _points(ring: list[float]) -> list[tuple[float, float]]:
    if len(ring) < 6 or len(ring) % 2 or not all(map(math.isfinite, ring)):
        raise MaskError("a polygon is not three or more points x1, y1, x2, y2, ...")
    return list(zip(ring[::2], ring[1::2], strict=True))


def _ring(line: "LinearRing") -> list[float]:
    """x1, y1, x2, y2, ... without the first point again at the end."""
    return [float(value) for point in line.coords[:-1] for value in point]


def _polygons(geometry: "BaseGeometry") -> "list[Polygon]":
    """The polygons of a geometry; mending also makes lines and points, which have no area."""
    if geometry.geom_type == "Polygon":
        return [] if geometry.is_empty else [geometry]
    return [polygon for part in getattr(geometry, "geoms", ()) for polygon in _polygons(part)]


def extent(low: float, high: float) -> float:
    """high - low, by a rounding less where adding it to `low` again would pass `high`."""
    extent = high - low
    while low + extent > high:
        extent = math.nextafter(extent, 0.0)
    return extent
