"""Images of every mode become upright 8-bit RGB."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from videos import numbered_picture, read_number

from curate.media.extract import ExtractJob, extract
from curate.media.images import describe, load
from curate.media.reread import write_full_size
from curate.types import Sampling, cache_path

SIZE = (320, 240)
PICTURE = numbered_picture(0x2A7, SIZE)
LEVELS = PICTURE[:, :, 0]


def modes() -> dict[str, Image.Image]:
    rgb = Image.fromarray(PICTURE)
    alpha = rgb.convert("RGBA")
    alpha.putalpha(255)
    return {
        "rgb.jpg": rgb,
        "rgb.webp": rgb,
        "grey.png": rgb.convert("L"),
        "grey_alpha.png": alpha.convert("LA"),
        "alpha.png": alpha,
        "palette.png": rgb.convert("P", palette=Image.Palette.ADAPTIVE),
        "palette.gif": rgb.convert("P", palette=Image.Palette.ADAPTIVE),
        "deep.png": Image.fromarray(LEVELS.astype(np.uint16) * 256),
        "deep.tif": Image.fromarray(LEVELS.astype(np.int32) * 256),
        "float.tif": Image.fromarray((LEVELS / 255).astype(np.float32)),
        "cmyk.jpg": rgb.convert("CMYK"),
        "cmyk.tif": rgb.convert("CMYK"),
    }


@pytest.mark.parametrize("name", modes())
def test_every_mode_shows_the_same_picture(tmp_path: Path, name: str) -> None:
    modes()[name].save(tmp_path / name)
    assert describe(tmp_path / name)[:3] == (*SIZE, 0)
    for imgsz, size in [(None, SIZE), (640, SIZE), (160, (160, 120)), (40, (40, 30))]:
        picture = load(tmp_path / name, imgsz)
        assert (picture.mode, picture.size) == ("RGB", size)
        assert read_number(np.asarray(picture)) == 0x2A7


# EXIF orientation -> what a camera that stores it did to the upright picture.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(STORED[orientation](PICTURE))).save(path, exif=exif, quality=95)
    assert describe(path)[:2] == SIZE
    (done,) = extract([ExtractJob(path, Sampling(stride=10))], frames_dir=tmp_path / "frames", imgsz=160)
    frame, source = done.frames[0], done.source
    assert (done.reason, source.kind, source.width, source.height, source.frames) == ("", "image", *SIZE, 1)
    assert (frame.frame_id, frame.frame_index, frame.width, frame.height) == (source.source, 0, 160, 120)
    assert write_full_size(source, {0: tmp_path / "full.jpg"}) == {0: SIZE}
    for file, size in [(cache_path(tmp_path / "frames", source.source, 0), (160, 120)), (tmp_path / "full.jpg", SIZE)]:
        with Image.open(file) as picture:
            assert (picture.size, picture.getexif().get(0x0112, 1)) == (size, 1)
            assert read_number(np.asarray(picture)) == 0x2A7
    # An upright JPEG loses nothing on the way.
    assert ((tmp_path / "full.jpg").read_bytes() == path.read_bytes()) == (orientation == 1)


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    assert load(tmp_path / "clear.png").getpixel((1, 1)) == (255, 255, 255)


def test_of_an_animation_the_first_picture(tmp_path: Path) -> None:
    pictures = [Image.fromarray(numbered_picture(number, SIZE)) for number in (5, 6, 7)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=100)
    assert read_number(np.asarray(load(tmp_path / "a.gif"))) == 5


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:9000])
    (done,) = extract([ExtractJob(tmp_path / "a.jpg", None)], frames_dir=tmp_path / "frames", imgsz=160)
    assert "truncated" in done.reason
    assert done.frames == []


def test_a_known_image_is_not_written_again(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    (first,) = extract([ExtractJob(tmp_path / "a.png", None)], frames_dir=tmp_path / "frames", imgsz=160)
    cached = cache_path(tmp_path / "frames", first.source.source, 0)
    before = cached.stat().st_ino
    job = ExtractJob(tmp_path / "a.png", None, known=first.source)
    (second,) = extract([job], frames_dir=tmp_path / "frames", imgsz=160)
    assert (second, cached.stat().st_ino) == (first, before)
