import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from detector_data import write_images
from PIL import Image

from detectors.data import LabeledImage, collate, draw, load_coco, load_sample
from detectors.masks import decode_mask, encode_mask


def coco(folder: Path, **changes: object) -> Path:
    document = {
        "images": [{"id": 7, "file_name": "a.png"}, {"id": 3, "file_name": "b.png"}],
        "categories": [{"id": 9, "name": "cat"}, {"id": 2, "name": "ant"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 2, 3, 4]},
            {"id": 2, "image_id": 7, "category_id": 2, "bbox": [0, 0, 5, 5], "iscrowd": 1},
            {"id": 3, "image_id": 7, "category_id": 2, "bbox": [0, 0, 0, 5]},
        ],
    } | changes
    path = folder / "labels.json"
    path.write_text(json.dumps(document))
    return path


def test_coco_keeps_empty_images_and_sets_crowds_apart(tmp_path: Path) -> None:
    images, categories = load_coco(coco(tmp_path), tmp_path)
    assert categories == ["ant", "cat"]
    assert [image.name for image in images] == ["a.png", "b.png"]
    assert images[0].boxes_xyxy.tolist() == [[1, 2, 4, 6]]
    assert images[0].labels.tolist() == [1]
    assert images[0].crowds is not None
    assert images[0].crowds.boxes_xyxy.tolist() == [[0, 0, 5, 5]]
    assert images[0].crowds.labels.tolist() == [0]
    assert images[1].boxes_xyxy.shape == (0, 4)
    assert images[1].crowds is None


def test_coco_takes_the_callers_class_order(tmp_path: Path) -> None:
    images, categories = load_coco(coco(tmp_path), tmp_path, categories=["dog", "cat", "ant"])
    assert categories == ["dog", "cat", "ant"]
    assert images[0].labels.tolist() == [1]
    with pytest.raises(ValueError, match="cat that are not among ant"):
        load_coco(coco(tmp_path), tmp_path, categories=["ant"])


def test_coco_with_errors_is_refused(tmp_path: Path) -> None:
    stray = [{"id": 5, "image_id": 99, "category_id": 9, "bbox": [0, 0, 1, 1]}]
    with pytest.raises(ValueError, match="annotation 5 must have a known image_id"):
        load_coco(coco(tmp_path, annotations=stray), tmp_path)
    for broken in (
        {"bbox": []},
        {"bbox": [1, 2, "x", 4]},
        {"bbox": None},
        {"bbox": [1, 2, "3", 4]},
        {"bbox": [1, 2, -3, 4]},
        {"bbox": [1, 2, 10**400, 4]},
        {"bbox": [1, 2, 3, 4], "area": "12"},
    ):
        with pytest.raises(ValueError, match=r"annotation 6 must have .* a bbox of four numbers"):
            load_coco(coco(tmp_path, annotations=[{"id": 6, "image_id": 7, "category_id": 9, **broken}]), tmp_path)
    with pytest.raises(ValueError, match="annotation number 0 must have"):
        load_coco(coco(tmp_path, annotations=["x"]), tmp_path)
    nan = {"id": 7, "image_id": 7, "category_id": 9, "bbox": [0, 0, float("nan"), 1]}
    with pytest.raises(ValueError, match=r"a\.png: each box must be finite"):
        load_coco(coco(tmp_path, annotations=[nan]), tmp_path)
    with pytest.raises(ValueError, match="no COCO detection file: 'file_name'"):
        load_coco(coco(tmp_path, images=[{"id": 7}]), tmp_path)
    for text in ("[]", "[" * 100_000, b"\xff"):
        (tmp_path / "labels.json").write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ValueError, match="no COCO"):
            load_coco(tmp_path / "labels.json", tmp_path)


def test_boxes_must_have_area() -> None:
    with pytest.raises(ValueError, match="x1 < x2"):
        LabeledImage(Path("x"), np.array([[5, 5, 5, 9]], dtype=np.float32), np.array([0]), "x")


def test_numbers_of_other_types_are_converted(tmp_path: Path) -> None:
    image = write_images(tmp_path, 1, size_wh=(40, 40), rng=np.random.default_rng(0))[0]
    other = replace(image, boxes_xyxy=image.boxes_xyxy.astype(np.float64), labels=image.labels.astype(np.int32))
    target = load_sample(other).target
    assert target is not None
    assert (target.boxes.dtype, target.labels.dtype) == (torch.float32, torch.int64)


def test_images_are_shrunk_to_image_size_and_boxes_with_them(tmp_path: Path) -> None:
    image = write_images(tmp_path, 1, size_wh=(100, 50), rng=np.random.default_rng(0))[0]
    sample = load_sample(image, image_size=50)
    assert sample.image.shape == (3, 25, 50)
    assert sample.target is not None
    np.testing.assert_allclose(sample.target.boxes.numpy(), image.boxes_xyxy / 2)
    assert load_sample(image, image_size=500).image.shape == (3, 50, 100)


def test_batches_are_padded_at_the_right_and_the_bottom(tmp_path: Path) -> None:
    for name, size in (("a.png", (33, 20)), ("b.png", (10, 40))):
        Image.new("L", size, 255).save(tmp_path / name)
    batch = collate([load_sample(tmp_path / "a.png"), load_sample(tmp_path / "b.png")], divisor=32)
    assert batch.images.shape == (2, 3, 64, 64)
    assert batch.sizes_hw.tolist() == [[20, 33], [40, 10]]
    assert batch.images[0].sum() == 255 * 3 * 20 * 33


@pytest.mark.parametrize("count", [1, 3, 10])
def test_epochs_draw_every_image_once(count: int) -> None:
    drawn = [i for step in range(count) for i in draw(count, seed=4, step=step, batch_size=4, stream=0)]
    for epoch in range(4):
        assert sorted(drawn[epoch * count : (epoch + 1) * count]) == list(range(count))
    assert draw(count, seed=4, step=2, batch_size=4, stream=0) == drawn[8:12] or count == 1


def test_draws_differ_by_seed_and_stream() -> None:
    draws = {tuple(draw(50, seed=s, step=0, batch_size=20, stream=t)) for s in (0, 1) for t in (0, 1)}
    assert len(draws) == 4


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"bad\.jpg"):
        load_sample(tmp_path / "bad.jpg")
    with pytest.raises(FileNotFoundError):
        load_sample(tmp_path / "none.jpg")


TRIANGLE = [[10.0, 10.0, 40.0, 10.0, 10.0, 30.0]]


def test_polygons_and_run_lengths_are_one_bitmap() -> None:
    drawn = decode_mask(TRIANGLE, file_wh=(60, 50))
    assert drawn.shape == (50, 60)
    assert drawn.sum() == pytest.approx(30 * 20 / 2, rel=0.1)
    assert drawn[12, 12]
    assert not drawn[28, 38]
    compressed = encode_mask(drawn)
    assert json.loads(json.dumps(compressed)) == compressed
    columns = drawn.flatten(order="F").astype(int)  # COCO counts down the columns, first the pixels outside
    edges = np.flatnonzero(np.diff(columns)) + 1
    plain = {"size": [50, 60], "counts": np.diff([0, *edges, columns.size]).tolist()}
    for runs in (compressed, plain):
        np.testing.assert_array_equal(decode_mask(runs, file_wh=(60, 50)), drawn)
    parts = decode_mask([*TRIANGLE, [50.0, 40.0, 55.0, 40.0, 55.0, 45.0, 50.0, 45.0]], file_wh=(60, 50))
    assert parts.sum() == drawn.sum() + 25


@pytest.mark.parametrize("size_wh", [(120, 100), (30, 25)])
def test_masks_are_resized_with_their_image(size_wh: tuple[int, int]) -> None:
    polygon = decode_mask(TRIANGLE, file_wh=(60, 50), size_wh=size_wh)
    runs = decode_mask(encode_mask(decode_mask(TRIANGLE, file_wh=(60, 50))), file_wh=(60, 50), size_wh=size_wh)
    assert polygon.shape == runs.shape == size_wh[::-1]
    assert (polygon & runs).sum() / (polygon | runs).sum() > 0.9


def test_masks_are_drawn_only_when_wanted(tmp_path: Path) -> None:
    image = write_images(tmp_path, 1, size_wh=(60, 50), rng=np.random.default_rng(0), boxes=2)[0]
    image = replace(image, masks=(None, TRIANGLE))
    plain, masked = load_sample(image), load_sample(image, masks=True)
    assert plain.target is not None
    assert plain.target.masks is None
    assert masked.target is not None
    assert masked.target.masks is not None
    assert masked.target.masks.flatten(1).any(dim=1).tolist() == [False, True]
    without = load_sample(replace(image, masks=None), masks=True).target
    assert without is not None
    assert without.masks is not None
    assert not without.masks.any()


def test_coco_masks_stay_with_their_boxes(tmp_path: Path) -> None:
    annotations = [
        {"id": 1, "image_id": 7, "category_id": 9, "bbox": [10, 10, 30, 20], "segmentation": TRIANGLE},
        {"id": 2, "image_id": 7, "category_id": 2, "bbox": [0, 0, 0, 5], "segmentation": [[0, 0, 1, 1, 2, 2]]},
        {"id": 3, "image_id": 7, "category_id": 2, "bbox": [1, 1, 5, 5], "segmentation": []},
    ]
    images, _ = load_coco(coco(tmp_path, annotations=annotations), tmp_path)
    assert images[0].masks == (TRIANGLE, None)
    assert images[1].masks == ()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([[1.0, 1.0, 5.0, 5.0]], "at least three points"),
        ([[1.0, 1.0, 5.0, 5.0, 2.0]], "at least three points"),
        ([[1.0, 1.0, 5.0, 5.0, 2.0, float("nan")]], "at least three points"),
        ({"size": [9, 9], "counts": [81]}, r"size \[50, 60\]"),
        ({"size": [50, 60]}, "counts"),
        ({"size": [50, 60], "counts": "abc"}, "object 0"),
        ({"size": [50, 60], "counts": [1, 2]}, "object 0"),
        ("polygon", "object 0"),
        ([1.0, 2.0, 3.0], "object 0"),
    ],
)
def test_bad_masks_are_named(tmp_path: Path, mask: object, message: str) -> None:
    image = write_images(tmp_path, 1, size_wh=(60, 50), rng=np.random.default_rng(0))[0]
    with pytest.raises(ValueError, match=message) as caught:
        load_sample(replace(image, masks=(mask,)), masks=True)  # type: ignore[arg-type]
    assert "0.png: mask of object 0" in str(caught.value)
    with pytest.raises(ValueError, match="masks must be 1"):
        replace(image, masks=())
