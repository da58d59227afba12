"""Which pictures count as the same, and that groups do not chain."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from curate.errors import CurateError
from curate.media.near_duplicates import MAX_DIFFERENCE, difference, group
from curate.media.perceptual_hash import HASH_BYTES, hash_all, perceptual_hash

SIZE = (320, 240)


def scene(seed: int) -> Image.Image:
    """A smooth random picture with some texture."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(40, 216, (8, 10, 3), dtype=np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
    return Image.fromarray(np.clip(np.asarray(coarse) + rng.normal(0, 6, (*SIZE[::-1], 1)), 0, 255).astype(np.uint8))


def with_object(picture: Image.Image, x: int, y: int, side: int = 20) -> Image.Image:
    pasted = picture.copy()
    pasted.paste((240, 240, 240) if sum(picture.getpixel((x, y))) < 384 else (10, 10, 10), (x, y, x + side, y + side))
    return pasted


def hashed(folder: Path, picture: Image.Image, quality: int = 90) -> np.ndarray:
    path = folder / f"{len(list(folder.iterdir()))}.jpg"
    picture.save(path, quality=quality)
    return perceptual_hash(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: Image.open(_jpeg(picture, 60)),
        lambda picture: picture.resize((288, 216), Image.Resampling.BICUBIC),
        lambda picture: picture.resize((640, 480), Image.Resampling.BICUBIC),
        lambda picture: ImageEnhance.Brightness(picture).enhance(1.05),
        lambda picture: ImageEnhance.Brightness(picture).enhance(0.95),
        lambda picture: picture.convert("L"),
    ],
    ids=["quality 60", "90%", "200%", "brighter", "darker", "grey"],
)
def test_the_same_picture_otherwise_stored_is_the_same(tmp_path: Path, change) -> None:  # type: ignore[no-untyped-def]
    pictures = [scene(seed) for seed in range(6)]
    hashes = np.stack([hashed(tmp_path, one) for picture in pictures for one in (picture, change(picture))])
    assert group(hashes).tolist() == [n for n in range(6) for _ in range(2)]


def _jpeg(picture: Image.Image, quality: int) -> io.BytesIO:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    file.seek(0)
    return file


def test_a_small_object_that_moves_by_its_width_makes_another_picture(tmp_path: Path) -> None:
    for seed in range(6):
        picture = scene(seed)
        x, y = 40 + 30 * seed, 30 + 25 * seed
        first, moved = (hashed(tmp_path, with_object(picture, at, y)) for at in (x, x + 20))
        assert difference(first, moved) > MAX_DIFFERENCE
        assert group(np.stack([first, moved])).tolist() == [-1, -1]


def test_a_slow_pan_is_not_one_group() -> None:
    """Neighbours differ by 3 levels; joined one to the next, all would be one group."""
    ramp = np.full((12, HASH_BYTES), 100, np.uint8)
    ramp[:, 7] += 3 * np.arange(12, dtype=np.uint8)
    assert group(ramp, 8).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_a_frame_joins_the_nearest_representative() -> None:
    hashes = np.full((5, HASH_BYTES), 100, np.uint8)
    hashes[:, 0] = (100, 112, 107, 106, 200)
    assert group(hashes, 8).tolist() == [0, 1, 1, 0, -1]


def test_equals_a_search_through_all_representatives() -> None:
    """Clusters whose members lie around the threshold, on both sides of many bucket borders."""
    rng = np.random.default_rng(3)
    centres = rng.integers(20, 236, (40, HASH_BYTES // 36)).repeat(36, axis=1)
    hashes = centres[rng.integers(0, 40, 600)] + rng.integers(-5, 6, (600, 1)) + rng.integers(-1, 2, (600, HASH_BYTES))
    hashes = hashes.astype(np.uint8)
    for threshold in (0, 4, 8):
        representatives: list[int] = []
        nearest = []
        for i in range(len(hashes)):
            apart = [difference(hashes[i], hashes[r]) for r in representatives]
            if apart and min(apart) <= threshold:
                nearest.append(representatives[int(np.argmin(apart))])
            else:
                representatives.append(i)
                nearest.append(i)
        shared = [r for r in representatives if nearest.count(r) > 1]
        expected = [shared.index(r) if r in shared else -1 for r in nearest]
        assert group(hashes, threshold).tolist() == expected
        assert threshold == 0 or len(shared) > 20


def test_nothing_and_nonsense() -> None:
    assert group(np.zeros((0, HASH_BYTES), np.uint8)).tolist() == []
    with pytest.raises(ValueError, match=r"\(N, 576\), got \(3, 9\)"):
        group(np.zeros((3, 9), np.uint8))


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    assert list(hash_all([])) == []
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(CurateError, match=r"bad\.jpg: not a readable JPEG"):
        list(hash_all([tmp_path / "bad.jpg"]))
