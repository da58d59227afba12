from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from detector_data import write_images
from PIL import Image

from detectors.ahead import ahead
from detectors.batches import BatchLoader
from detectors.config import TrainConfig
from detectors.data import augmentation_rng, load_sample
from detectors.images import DecodedImages, decode_image, resized
from detectors.midl.schedule import Stage, StageSpan

CPU = torch.device("cpu")


def noise(folder: Path, name: str, *, size_wh: tuple[int, int] = (60, 40)) -> Path:
    path = folder / name
    pixels = np.random.default_rng(len(name)).integers(0, 256, (*size_wh[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(("image_size", "factor"), [(30, 1.0), (30, 1.2), (None, 0.7), (None, 1.3), (47, 0.81)])
def test_images_are_resized_as_pillow_does_it(tmp_path: Path, image_size: int | None, factor: float) -> None:
    path = noise(tmp_path, "a.png", size_wh=(94, 61))
    new = resized(decode_image(path), image_size=image_size, factor=factor)
    with Image.open(path) as opened:
        wanted = opened.resize((new.shape[2], new.shape[1]), Image.Resampling.BILINEAR)
    assert new.dtype == torch.uint8
    assert new.shape[2] == round(94 * factor * ((image_size or 94) / 94))
    assert np.abs(new.permute(1, 2, 0).numpy().astype(int) - np.asarray(wanted).astype(int)).max() <= 1


def test_grey_images_and_palettes_become_rgb(tmp_path: Path) -> None:
    Image.new("L", (5, 4), 9).save(tmp_path / "grey.png")
    Image.new("RGB", (5, 4), (1, 2, 3)).quantize().save(tmp_path / "palette.png")
    assert decode_image(tmp_path / "grey.png").unique().tolist() == [9]
    assert decode_image(tmp_path / "palette.png")[:, 0, 0].tolist() == [1, 2, 3]


def test_deep_and_transparent_pixels_keep_what_they_show(tmp_path: Path) -> None:
    """As curate's own frames: 16 bits are divided, floats are 0 to 1, and what is transparent is white."""
    ramp = np.linspace(0, 65535, 24, dtype=np.uint16).reshape(4, 6)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    Image.fromarray((ramp / 65535).astype(np.float32)).save(tmp_path / "float.tiff")
    Image.new("RGBA", (5, 4), (200, 10, 20, 0)).save(tmp_path / "clear.png")
    assert torch.equal(decode_image(tmp_path / "deep.png")[0], torch.from_numpy((ramp // 256).astype(np.uint8)))
    wanted = torch.from_numpy((ramp / 65535 * 255).astype(np.float32))
    assert (decode_image(tmp_path / "float.tiff")[1] - wanted).abs().max() <= 1
    assert decode_image(tmp_path / "clear.png").unique().tolist() == [255]


def test_an_image_is_decoded_once_while_there_is_room(tmp_path: Path) -> None:
    first, second = noise(tmp_path, "a.png"), noise(tmp_path, "bb.png")
    images = DecodedImages(CPU, limit=60 * 40 * 3)
    pixels = images.decode(first)
    assert torch.equal(pixels, decode_image(first))
    assert torch.equal(images.decode(second), decode_image(second))
    for path in (first, second):
        path.unlink()
    assert torch.equal(images.decode(first), pixels)
    with pytest.raises(FileNotFoundError):
        images.decode(second)


@pytest.mark.parametrize("crops", [False, True])
def test_room_changes_nothing_in_what_is_drawn(tmp_path: Path, crops: bool) -> None:
    image = write_images(tmp_path, 1, size_wh=(90, 60), rng=np.random.default_rng(0))[0]
    kept, nothing = DecodedImages(CPU), DecodedImages(CPU, limit=0)
    for step in range(6):
        samples = [
            load_sample(
                image,
                image_size=70,
                rng=augmentation_rng(seed=1, step=step, position=0, stream=0),
                masks=True,
                crops=crops,
                decode=images.decode,
            )
            for images in (kept, nothing)
        ]
        assert torch.equal(samples[0].image, samples[1].image)
        targets = [sample.target for sample in samples]
        assert targets[0] is not None
        assert targets[1] is not None
        assert torch.equal(targets[0].boxes, targets[1].boxes)
    assert torch.equal(kept.decode(image.path), decode_image(image.path))  # nothing was written into it


def test_a_training_reads_each_file_once(tmp_path: Path) -> None:
    images = write_images(tmp_path, 4, size_wh=(90, 60), rng=np.random.default_rng(0))
    config = TrainConfig(steps=6, batch_size=4, weights="none")
    pool = [image.path for image in images]
    spans = [StageSpan(Stage.MAXIMIZE, 0, 6)]
    loader = BatchLoader(config, images, pool, spans=spans, divisor=32)
    first = loader.load(3)
    for image in images:
        image.path.unlink()
    again = loader.load(3)
    assert torch.equal(first.labeled.images, again.labeled.images)
    assert first.unlabeled is not None
    assert again.unlabeled is not None
    assert torch.equal(first.unlabeled.images, again.unlabeled.images)
    assert [batch.step for batch in loader.steps(2)] == [2, 3, 4, 5]


def test_work_is_done_ahead_and_in_order() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(20):
            taken.append(item)
            yield item

    results = ahead(lambda item: item * item, items(), depth=3)
    assert next(results) == 0
    assert taken == [0, 1, 2, 3]  # three ahead of the first
    assert list(results) == [item * item for item in range(1, 20)]
    assert list(ahead(abs, [], depth=3)) == []


def test_an_error_comes_at_its_turn() -> None:
    results = ahead(lambda item: 1 // item, [1, 2, 0, 1], depth=4)
    assert [next(results), next(results)] == [1, 0]
    with pytest.raises(ZeroDivisionError):
        next(results)
