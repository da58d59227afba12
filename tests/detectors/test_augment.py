import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from detector_data import write_images
from detector_runs import TINY
from PIL import Image

from detectors.augment import Picture, Window, cut, draw_window, picture_of
from detectors.batches import BatchLoader
from detectors.config import TrainConfig
from detectors.data import LabeledImage, Sample, augmentation_rng, load_sample
from detectors.masks import decode_mask, encode_mask
from detectors.midl import Stage, StageSpan
from detectors.model import Target

SIZE_WH = (180, 120)
MEAN_COLOUR = [124, 116, 104]


def rng(step: int) -> np.random.Generator:
    return augmentation_rng(seed=0, step=step, position=0, stream=0)


def square(folder: Path, *, form: str = "polygon", masks_scale: int = 1) -> LabeledImage:
    """A yellow square on grey with its mask, in pixels of the same picture `masks_scale` times as large."""
    image = write_images(folder, 1, size_wh=SIZE_WH, rng=np.random.default_rng(0), side=48)[0]
    x1, y1, x2, y2 = (masks_scale * image.boxes_xyxy[0]).tolist()
    mask: object = [[x1, y1, x2, y1, x2, y2, x1, y2]]
    masks_wh = (masks_scale * SIZE_WH[0], masks_scale * SIZE_WH[1])
    if form == "run lengths":
        mask = encode_mask(decode_mask(mask, file_wh=masks_wh))  # type: ignore[arg-type]
    return replace(image, masks=(mask,), masks_wh=None if masks_scale == 1 else masks_wh)


def target_of(sample: Sample) -> Target:
    assert sample.target is not None
    return sample.target


@pytest.mark.parametrize("crops", [False, True])
def test_boxes_follow_the_picture(tmp_path: Path, crops: bool) -> None:
    image = square(tmp_path)
    places = []
    for step in range(40):
        sample = load_sample(image, rng=rng(step), crops=crops)
        x1, y1, x2, y2 = target_of(sample).boxes[0].round().int().tolist()
        blue = sample.image[2].float()  # the square is yellow: hardly any blue; ground and padding are grey
        assert blue[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].max() < 60
        outside = torch.ones_like(blue, dtype=torch.bool)
        outside[max(y1 - 2, 0) : y2 + 2, max(x1 - 2, 0) : x2 + 2] = False
        assert blue[outside].min() > 60
        places.append((x1, x2 - x1, blue.shape))
    assert len(set(places)) > 30


@pytest.mark.parametrize("crops", [False, True])
@pytest.mark.parametrize("form", ["polygon", "run lengths"])
@pytest.mark.parametrize("scale", [1, 2])
def test_masks_follow_the_picture(tmp_path: Path, form: str, scale: int, crops: bool) -> None:
    """The mask covers the coloured square, which the file draws, in every augmented copy."""
    image = square(tmp_path, form=form, masks_scale=scale)
    for step in range(20):
        sample = load_sample(image, rng=rng(step), masks=True, crops=crops)
        masks = target_of(sample).masks
        assert masks is not None
        yellow = sample.image[2] < 70
        assert masks.dtype == torch.bool
        assert masks.shape == (1, *sample.image.shape[1:])
        # A square of 12 pixels, the smallest after zooming out, may be off by half a pixel at two sides.
        assert (masks[0] & yellow).sum() / (masks[0] | yellow).sum() > 0.8


def test_flips_and_jitter_are_the_ones_ever_drawn(tmp_path: Path) -> None:
    """A run begun by an earlier version goes on with the same pictures."""
    Image.new("RGB", (100, 50)).save(tmp_path / "a.png")
    boxes = np.array([[5, 10, 35, 40]], dtype=np.float32)
    image = LabeledImage(tmp_path / "a.png", boxes, np.array([0]), "a.png")
    samples = [load_sample(image, rng=rng(step)) for step in range(6)]
    assert [s.image.shape[2] for s in samples] == [120, 81, 90, 112, 103, 93]
    left = [target_of(s).boxes[0, 0].item() / s.image.shape[2] for s in samples]
    assert left == pytest.approx([0.65 if flipped else 0.05 for flipped in (True, True, True, True, False, True)])


@pytest.mark.parametrize("crops", [False, True])
@pytest.mark.parametrize("unlabeled", [False, True])
def test_draws_follow_from_the_generator_alone(tmp_path: Path, crops: bool, unlabeled: bool) -> None:
    labeled = square(tmp_path)
    image = labeled.path if unlabeled else labeled
    first = [load_sample(image, rng=rng(step), crops=crops) for step in range(8)]
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    again = [load_sample(image, rng=rng(step), crops=crops) for step in reversed(range(8))][::-1]
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1:] == (random.getstate(), np.random.get_state()[1].tolist())
    assert all(torch.equal(one.image, two.image) for one, two in zip(first, again, strict=True))
    if not unlabeled:
        for one, two in zip(first, again, strict=True):
            assert torch.equal(target_of(one).boxes, target_of(two).boxes)


def test_without_a_generator_nothing_is_cut(tmp_path: Path) -> None:
    image = square(tmp_path)
    plain, cropped = (load_sample(image, image_size=100, crops=crops) for crops in (False, True))
    assert torch.equal(plain.image, cropped.image)
    assert cropped.file_wh == SIZE_WH
    assert cropped.scale_xy == (100 / 180, 67 / 120)
    np.testing.assert_allclose(target_of(cropped).boxes[:, 0::2], image.boxes_xyxy[:, 0::2] * 100 / 180, rtol=1e-6)


def test_pictures_without_boxes_are_cut_too(tmp_path: Path) -> None:
    """Those of the unlabeled set as those that are known to be empty, and something of each picture is left."""
    image = square(tmp_path)
    empty = replace(image, boxes_xyxy=np.zeros((0, 4), np.float32), labels=np.zeros(0, np.int64), masks=())
    shapes = set()
    for step in range(60):
        sample = load_sample(image.path, rng=rng(step), image_size=90, crops=True)
        assert sample.target is None
        assert max(sample.image.shape) <= 90
        filled = (sample.image == torch.tensor(MEAN_COLOUR)[:, None, None]).all(dim=0)
        assert filled.float().mean() < 0.99
        known = load_sample(empty, rng=rng(step), image_size=90, crops=True, masks=True)
        assert torch.equal(known.image, sample.image)
        assert target_of(known).boxes.shape == (0, 4)
        masks = target_of(known).masks
        assert masks is not None
        assert masks.shape == (0, *sample.image.shape[1:])
        shapes.add(sample.image.shape)
    assert len(shapes) > 20


def picture() -> Picture:
    """60 x 40 pixels in black, a red object and a green one, and a mask of each."""
    image = torch.zeros(3, 40, 60, dtype=torch.uint8)
    image[0, 10:20, 10:20] = 255
    image[1, 10:30, 40:60] = 255
    boxes = torch.tensor([[10.0, 10.0, 20.0, 20.0], [40.0, 10.0, 60.0, 30.0]])
    return picture_of(image, boxes, torch.tensor([3, 5]), image[:2] > 0, boxes_wh=(60, 40))


@pytest.mark.parametrize(
    ("window", "labels", "boxes"),
    [
        ((0, 0, 60, 40), [3, 5], [[10, 10, 20, 20], [40, 10, 60, 30]]),
        ((14, 12, 44, 32), [3], [[0, 0, 6, 8]]),  # the green one is seen at the edge, its centre is not
        ((16, 12, 56, 32), [5], [[24, 0, 40, 18]]),  # the red one's centre is one pixel out
        ((24, 0, 36, 40), [], []),
        ((-10, -5, 20, 35), [3], [[20, 15, 30, 25]]),
        ((-20, -40, 100, 40), [3, 5], [[15, 25, 20, 30], [30, 25, 40, 35]]),  # four times the pixels: halved
    ],
)
def test_windows_are_cut_as_told(window: Window, labels: list[int], boxes: list[list[float]]) -> None:
    got = cut(picture(), window)
    target = got.target()
    assert target.labels.tolist() == labels
    assert target.boxes.tolist() == boxes
    assert target.masks is not None
    colour = {3: 0, 5: 1}
    for label, (x1, y1, x2, y2), mask in zip(labels, boxes, target.masks, strict=True):
        wanted = torch.zeros_like(mask)
        wanted[int(y1) : int(y2), int(x1) : int(x2)] = True
        assert torch.equal(mask, wanted)
        assert (got.image[colour[label], wanted] > 120).all()
    if not labels:
        assert not got.image.any()


def test_beyond_the_picture_is_the_mean_colour() -> None:
    image = cut(picture(), (-10, -5, 20, 35)).image
    wanted = torch.tensor(MEAN_COLOUR, dtype=torch.uint8)[:, None, None].repeat(1, 40, 30)
    wanted[:, 5:, 10:] = picture().image[:, :35, :20]
    assert torch.equal(image, wanted)


def test_an_image_size_shrinks_what_was_cut() -> None:
    got = cut(picture(), (0, 0, 40, 40), image_size=20)
    assert got.size_wh == (20, 20)
    assert got.target().boxes.tolist() == [[5, 5, 10, 10]]
    with pytest.raises(ValueError, match="60 x 40"):
        cut(picture(), (60, 0, 90, 40))


def windows(boxes: list[list[float]], *, size_wh: tuple[int, int] = (100, 100), count: int = 400) -> np.ndarray:
    found = [draw_window(torch.tensor(boxes).view(-1, 4), size_wh=size_wh, rng=rng(step)) for step in range(count)]
    return np.array(found)


@pytest.mark.parametrize("boxes", [[], [[30.0, 30.0, 90.0, 90.0]], [[2.0, 2.0, 9.0, 9.0], [50.0, 60.0, 80.0, 80.0]]])
def test_windows_keep_to_the_rules(boxes: list[list[float]]) -> None:
    drawn = windows(boxes)
    wide, high = (drawn[:, 2:] - drawn[:, :2]).T
    assert (wide / high > 0.49).all()
    assert (wide / high < 2.01).all()
    assert wide.min() >= 30
    assert wide.max() <= 400
    assert (wide <= 100).mean() > 0.4  # half of the windows are in the picture itself, and some of the others' crops
    assert (wide > 150).mean() > 0.2
    centres = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in boxes]
    for x1, y1, x2, y2 in drawn:
        if centres:
            assert any(x1 < x < x2 and y1 < y < y2 for x, y in centres)
        else:
            whole = x1 <= 0 and y1 <= 0 and x2 >= 100 and y2 >= 100
            assert whole or (0 < x1 + x2 < 200 and 0 < y1 + y2 < 200)


def test_a_crop_has_the_overlap_that_was_drawn() -> None:
    """No crop has an IoU of 0.1 with this box: of seven choices two remain, the whole picture and any crop at all."""
    whole = (windows([[48.0, 48.0, 52.0, 52.0]]) == [0, 0, 100, 100]).all(axis=1)
    assert 0.19 < whole.mean() < 0.31  # 1/2 of the half that is not zoomed out; 1/14 if the overlap did not matter
    free = (windows([]) == [0, 0, 100, 100]).all(axis=1)
    assert 0.03 < free.mean() < 0.13


def test_a_picture_too_long_to_crop_stays_whole() -> None:
    drawn = windows([], size_wh=(1000, 60), count=60)
    whole = (drawn == [0, 0, 1000, 60]).all(axis=1)
    assert 15 < whole.sum() < 45
    assert (drawn[~whole, 2] - drawn[~whole, 0] > 1000).all()


def test_batches_are_cut_where_crops_are_wanted(tmp_path: Path) -> None:
    labeled = write_images(tmp_path, 3, size_wh=SIZE_WH, rng=np.random.default_rng(0))
    spans = [StageSpan(Stage.MAXIMIZE, 0, 9)]
    pool = [image.path for image in labeled]
    cropped, jittered = (
        BatchLoader(
            TrainConfig(**{**TINY, "steps": 9, "crops": crops}),  # type: ignore[arg-type]
            labeled,
            pool,
            spans=spans,
            divisor=32,
        ).load(0)
        for crops in (True, False)
    )
    assert cropped.unlabeled is not None
    assert jittered.unlabeled is not None
    assert cropped.names == jittered.names
    for cut_, whole in ((cropped.labeled, jittered.labeled), (cropped.unlabeled, jittered.unlabeled)):
        aspects = cut_.sizes_hw[:, 1] / cut_.sizes_hw[:, 0], whole.sizes_hw[:, 1] / whole.sizes_hw[:, 0]
        assert (aspects[0] - 1.5).abs().max() > 0.05
        assert (aspects[1] - 1.5).abs().max() < 0.02
