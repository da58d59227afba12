"""Masks: valid ones are left alone, others mended to what pycocotools draws of them, or refused."""

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from curate.handoff.masks import MaskError, Segmentation, valid_mask

WIDTH, HEIGHT = 60, 40
SQUARE = [10.25, 10, 30, 10, 30, 30.125, 10.25, 30.125]


def drawn(segmentation: Any) -> np.ndarray:
    if isinstance(segmentation, list):
        return coco.decode(coco.merge(coco.frPyObjects(segmentation, HEIGHT, WIDTH))).astype(bool)
    if isinstance(segmentation["counts"], list):
        segmentation = coco.frPyObjects(segmentation, HEIGHT, WIDTH)
    return coco.decode(segmentation).astype(bool)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def run_lengths(bitmap: np.ndarray) -> dict[str, Any]:
    return coco.encode(np.asfortranarray(bitmap.astype(np.uint8)))


@pytest.mark.parametrize(
    "segmentation",
    [
        [SQUARE],
        [SQUARE[6:] + SQUARE[:6]],
        [[*SQUARE, *SQUARE[:2]]],  # closed by its first point once more
        [SQUARE, [40.1, 5, 50, 5, 45, 12.7]],
        [[0, 0, WIDTH, 0, WIDTH, HEIGHT, 0, HEIGHT]],
    ],
)
def test_valid_polygons_keep_their_very_numbers(segmentation: Segmentation) -> None:
    mask = valid_mask(segmentation, width=WIDTH, height=HEIGHT)
    assert mask.segmentation == segmentation
    assert mask.mended == ()


def test_box_and_area_are_those_of_the_polygons() -> None:
    mask = valid_mask([SQUARE], width=WIDTH, height=HEIGHT)
    assert mask.bbox == (10.25, 10.0, 19.75, 20.125)
    assert mask.area == pytest.approx(19.75 * 20.125)
    two = valid_mask([SQUARE, [20, 20, 40, 20, 40, 30.125, 20, 30.125]], width=WIDTH, height=HEIGHT)
    assert two.bbox == (10.25, 10.0, 29.75, 20.125)
    # What two polygons share counts once.
    assert two.area == pytest.approx(19.75 * 20.125 + 10 * 10.125)


BOW_TIE = [10, 10, 40, 30, 40, 10, 10, 30]
KEYHOLE = [5, 5, 45, 5, 45, 35, 5, 35, 5, 5, 15, 12, 15, 28, 35, 28, 35, 12, 15, 12]


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([BOW_TIE], "a polygon crosses itself"),
        ([SQUARE, BOW_TIE], "a polygon crosses itself"),
        ([[-20, 5, 30, 5, 30, 25, -20, 25]], "a polygon leaves its image"),
        ([[50, 30, 90, 30, 90, 70, 50, 70]], "a polygon leaves its image"),
        ([SQUARE, [50, 10, 50.5, 10, 50.5, 10.5]], "a part is under one square pixel"),
        ([SQUARE, [50, 10, 55, 10, 52, 10]], "crosses itself"),
        ([SQUARE, [100, 100, 120, 100, 120, 120]], "a polygon leaves its image"),
    ],
)
def test_mended_polygons_draw_the_same(segmentation: list[list[float]], reason: str) -> None:
    mask = valid_mask(segmentation, width=WIDTH, height=HEIGHT)
    assert any(reason in one for one in mask.mended)
    assert isinstance(mask.segmentation, list)
    inside = [[min(max(v, 0), HEIGHT if n % 2 else WIDTH) for n, v in enumerate(ring)] for ring in segmentation]
    assert iou(drawn(mask.segmentation), drawn([ring for ring in inside if ring])) > 0.9
    xs = [value for ring in mask.segmentation for value in ring[::2]]
    ys = [value for ring in mask.segmentation for value in ring[1::2]]
    x, y, width, height = mask.bbox
    assert (min(xs), min(ys)) == (x, y)
    assert x >= 0 and y >= 0 and x + width <= WIDTH and y + height <= HEIGHT  # noqa: PT018
    assert (x + width, y + height) == (pytest.approx(max(xs)), pytest.approx(max(ys)))
    assert mask.area == pytest.approx(drawn(mask.segmentation).sum(), rel=0.15)


def test_a_mended_mask_needs_no_more_mending() -> None:
    once = valid_mask([BOW_TIE, [-5.3, 3.1, 8.7, 3.3, 8.1, 9.9]], width=WIDTH, height=HEIGHT)
    again = valid_mask(once.segmentation, width=WIDTH, height=HEIGHT)
    assert once.mended
    assert (again.mended, again.segmentation, again.bbox) == ((), once.segmentation, once.bbox)


def test_a_hole_becomes_run_lengths() -> None:
    mask = valid_mask([KEYHOLE], width=WIDTH, height=HEIGHT)
    assert isinstance(mask.segmentation, dict)
    assert "a polygon has a hole: kept as run lengths" in mask.mended
    bitmap = drawn(mask.segmentation)
    assert bitmap[6, 6]
    assert not bitmap[20, 25]
    assert iou(bitmap, drawn([KEYHOLE])) > 0.9
    assert mask.area == bitmap.sum()


@pytest.mark.parametrize("form", ["compressed", "plain"])
@pytest.mark.parametrize("begins_on", [False, True])
def test_run_lengths_keep_their_pixels(form: str, begins_on: bool) -> None:
    bitmap = np.zeros((HEIGHT, WIDTH), bool)
    bitmap[0 if begins_on else 3 : 20, 0 if begins_on else 7 : 31] = True
    bitmap[10:12, 12:14] = False
    runs = run_lengths(bitmap)
    given = {"size": [HEIGHT, WIDTH], "counts": runs["counts"].decode()}
    if form == "plain":
        given = dict(valid_mask(given, width=WIDTH, height=HEIGHT).segmentation)
        assert isinstance(given["counts"], list)
        assert sum(given["counts"]) == WIDTH * HEIGHT
    mask = valid_mask(given, width=WIDTH, height=HEIGHT)
    assert (drawn(mask.segmentation) == bitmap).all()
    assert mask.area == bitmap.sum()
    assert mask.bbox == tuple(coco.toBbox(runs))
    assert mask.mended == ()


def test_crowds_are_run_lengths() -> None:
    mask = valid_mask([SQUARE], width=WIDTH, height=HEIGHT, crowd=True)
    assert isinstance(mask.segmentation, dict)
    assert mask.segmentation["size"] == [HEIGHT, WIDTH]
    assert (drawn(mask.segmentation) == drawn([SQUARE])).all()


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([[70, 50, 90, 50, 90, 90]], "nothing of 1 square pixels"),
        ([[10, 10, 10.5, 10, 10.5, 10.5]], "under one square pixel"),
        ([[10, 10, 20, 10, 15, 10]], "nothing of 1 square pixels"),
        ([[10, 10, 10, 10, 10, 10]], "nothing of 1 square pixels"),
        ([[10, 10, 20, 10]], "three or more points"),
        ([[10, 10, 20, 10, 20, float("nan")]], "three or more points"),
        ({"size": [WIDTH, HEIGHT], "counts": [0, 2400]}, "are of the size"),
        ({"size": [HEIGHT, WIDTH], "counts": "garbage"}, "cannot be read"),
        ({"size": [HEIGHT, WIDTH], "counts": [5, 5]}, "cannot be read"),
        ({"size": [HEIGHT, WIDTH], "counts": [-5, 2405]}, "cannot be read"),
        ({"size": [HEIGHT, WIDTH]}, "cannot be read"),
        ({"size": [HEIGHT, WIDTH], "counts": [2400]}, "has no pixel"),
    ],
)
def test_what_no_mask_can_be_made_of(segmentation: Segmentation, reason: str) -> None:
    with pytest.raises(MaskError, match=reason):
        valid_mask(segmentation, width=WIDTH, height=HEIGHT)
