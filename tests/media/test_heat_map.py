"""Values painted over a frame."""

import numpy as np
from PIL import Image

from curate.media.heat_map import PANEL_WIDTH, DrawnBox, heat, panels


def test_a_pixel_has_the_sum_of_the_boxes_over_it() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(-5, 35, (50, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0, 12, (50, 2))], axis=1).astype(np.float32)
    values = rng.random(50).astype(np.float32)
    expected = np.zeros((20, 30))
    for (x1, y1, x2, y2), value in zip(np.rint(boxes).astype(int), values, strict=True):
        x1, y1 = np.clip(x1, 0, 29), np.clip(y1, 0, 19)
        expected[y1 : np.clip(y2, y1 + 1, 20), x1 : np.clip(x2, x1 + 1, 30)] += value
    np.testing.assert_allclose(heat(boxes, values, (30, 20)), expected, atol=1e-9)


def test_no_instances_are_a_map_of_zeros() -> None:
    assert heat(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), (3, 2)).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_panels_are_warm_where_values_are_high() -> None:
    frame = Image.new("RGB", (120, 60), (100, 100, 100))
    values = np.zeros((60, 120))
    values[:30, :60] = 2.5
    sheet = panels(frame, [DrawnBox((10, 10, 30, 30), "nut 0.90")], [("one", values), ("none", np.zeros((60, 120)))])
    assert sheet.width == 12 + 3 * (PANEL_WIDTH + 12)
    top, width = 26, PANEL_WIDTH + 12
    hot, cold = (sheet.getpixel((12 + width + x, top + y)) for x, y in ((60, 60), (400, 200)))
    assert sum(hot) > 400
    assert hot[0] > hot[2] + 60
    assert sum(cold) < 220
    assert sheet.getpixel((12 + 2 * width + 60, top + 60)) == cold
    assert (0, 229, 255) in {sheet.getpixel((12 + 40, top + y)) for y in range(200)}, "the box"
