"""Images of every mode become upright 8-bit RGB."""

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from videos import numbered_picture, read_number

from curate.media.extract import ExtractJob, extract
from curate.media.images import describe, load
from curate.media.probe import probe
from curate.media.reread import write_all_full_size
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
    found = describe(tmp_path / name)
    assert (found.width, found.height, found.rotation, found.remark) == (*SIZE, 0, "")
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
    exif = Image.Exif()
    exif[0x0112] = orientation
    paths = [tmp_path / f"photo.{extension}" for extension in ("jpg", "png", "webp", "tif")]
    for path in paths:
        Image.fromarray(np.ascontiguousarray(STORED[orientation](PICTURE))).save(path, exif=exif, quality=95)
        found = describe(path)
        assert (found.width, found.height) == SIZE
        assert found.rotation == {3: 180, 5: 90, 6: 90, 7: 270, 8: 270}.get(orientation, 0)
    jobs = [ExtractJob(path, Sampling(stride=10)) for path in paths]
    done = list(extract(jobs, frames_dir=tmp_path / "frames", imgsz=160))
    assert len(done) == 4
    full = {one.source.source: tmp_path / f"full{Path(one.source.path).suffix}.jpg" for one in done}
    written = list(write_all_full_size([(one.source, {0: full[one.source.source]}) for one in done]))
    assert [(one.sizes_wh, one.reason) for one in written] == [({0: SIZE}, "")] * 4
    for one in done:
        frame, source = one.frames[0], one.source
        assert (one.reason, source.kind, source.width, source.height, source.frames) == ("", "image", *SIZE, 1)
        assert (frame.frame_id, frame.frame_index, frame.width, frame.height) == (source.source, 0, 160, 120)
        cached = cache_path(tmp_path / "frames", source.source, 0)
        for file, size in [(cached, (160, 120)), (full[source.source], SIZE)]:
            with Image.open(file) as picture:
                assert (picture.size, picture.getexif().get(0x0112, 1)) == (size, 1)
                assert read_number(np.asarray(picture)) == 0x2A7
    # An upright JPEG loses nothing on the way.
    assert ((tmp_path / "full.jpg.jpg").read_bytes() == paths[0].read_bytes()) == (orientation == 1)


def test_damaged_exif_leaves_the_picture_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    for exif in (
        b"Exif\0\0no header",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\x09\0\0",
    ):
        Image.fromarray(PICTURE).save(path, exif=exif)
        assert describe(path).rotation == 0
        assert read_number(np.asarray(load(path))) == 0x2A7


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("deep.png", "png", "rgb48be"), ("deep.tif", "tiff", "rgb48le"), ("clear.png", "png", "rgba64be")],
)
def test_16_bit_colour(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    import av

    # Colours far apart, so that a swap of channels or bytes shows.
    levels = np.stack([LEVELS, 255 - LEVELS, LEVELS // 2], axis=-1).astype(np.uint16) * 257
    if "rgba" in pixels:
        levels = np.dstack([levels, np.full_like(levels[:, :, 0], 65535)])
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = *SIZE, pixels, Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(levels, pixels)
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    (tmp_path / name).write_bytes(b"".join(map(bytes, packets)))
    picture = np.asarray(load(tmp_path / name))
    assert picture.shape == (*SIZE[::-1], 3)
    assert np.abs(picture.astype(int) - (levels[:, :, :3] // 257)).max() <= 1


def test_cmyk_jpegs_are_inverted_with_and_without_adobes_marker(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).convert("CMYK").save(tmp_path / "adobe.jpg")
    data = (tmp_path / "adobe.jpg").read_bytes()
    marker = data.index(b"\xff\xee\0\x0eAdobe")
    # As browsers do: files without the marker are inverted too, whatever the standard says.
    (tmp_path / "plain.jpg").write_bytes(data[:marker] + data[marker + 16 :])
    for name in ("adobe.jpg", "plain.jpg"):
        for imgsz in (None, 80):
            assert read_number(np.asarray(load(tmp_path / name, imgsz))) == 0x2A7


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    Image.new("LA", (4, 4), (10, 0)).save(tmp_path / "grey.png")
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "palette.png", transparency=1)
    palette.save(tmp_path / "palette.gif", transparency=1)
    for name in ("clear.png", "grey.png", "palette.png", "palette.gif"):
        assert load(tmp_path / name).getpixel((1, 1)) == (255, 255, 255)
    palette.save(tmp_path / "other.png", transparency=0)
    assert load(tmp_path / "other.png").getpixel((1, 1)) == (40, 50, 60)


@pytest.mark.parametrize(
    ("name", "remark"),
    [
        ("a.gif", "3 pictures of an animation: the first is used"),
        ("a.webp", "3 pictures of an animation: the first is used"),
        ("a.png", "3 pictures of an animation: the first is used"),
        ("a.tif", "3 pages: the first is used"),
        ("a.mpo", "3 pictures: the first is used"),
    ],
)
def test_of_several_pictures_the_first_and_that_is_said(tmp_path: Path, name: str, remark: str) -> None:
    pictures = [Image.fromarray(numbered_picture(number, SIZE)) for number in (5, 6, 7)]
    timing = {} if name in ("a.tif", "a.mpo") else {"duration": 100}
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], **timing)
    for imgsz in (None, 160):
        assert read_number(np.asarray(load(tmp_path / name, imgsz))) == 5
    # `curate probe` shows the reason, and the index keeps it.
    assert (probe(tmp_path / name).kind, probe(tmp_path / name).backend_reason) == ("image", remark)
    (done,) = extract([ExtractJob(tmp_path / name, None)], frames_dir=tmp_path / "frames", imgsz=160)
    assert (done.reason, len(done.frames), done.source.backend_reason) == ("", 1, remark)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *((f"a.{extension}", size) for extension in ("png", "jpg") for size in [(10000, 3), (3, 10000), (1, 1)]),
        # More than a JPEG can hold.
        ("a.png", (70000, 1)),
    ],
)
def test_extreme_shapes(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    path = tmp_path / name
    Image.new("RGB", size, (200, 100, 50)).save(path, quality=95)
    (done,) = extract([ExtractJob(path, None)], frames_dir=tmp_path / "frames", imgsz=640)
    frame = done.frames[0]
    assert (done.reason, done.source.width, done.source.height) == ("", *size)
    assert (frame.width, frame.height) == tuple(max(1, round(side * min(1, 640 / max(size)))) for side in size)
    with Image.open(cache_path(tmp_path / "frames", done.source.source, 0)) as cached:
        assert cached.size == (frame.width, frame.height)
        assert np.abs(np.asarray(cached).astype(int) - (200, 100, 50)).max() < 8


@pytest.mark.parametrize("extension", ["jpg", "png", "gif", "webp", "tif", "bmp", "ppm"])
def test_truncated_images_are_skipped_and_named(tmp_path: Path, extension: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    whole = tmp_path / f"whole.{extension}"
    Image.fromarray(noise).save(whole)
    data = whole.read_bytes()
    paths = []
    for percent in (1, 20, 60, 95):
        paths.append(tmp_path / f"cut_{percent}.{extension}")
        paths[-1].write_bytes(data[: len(data) * percent // 100])
    jobs = [ExtractJob(path, None) for path in [*paths, whole]]
    done = {Path(e.source.path): e for e in extract(jobs, frames_dir=tmp_path / "frames", imgsz=160)}
    assert (done[whole].reason, len(done[whole].frames)) == ("", 1)
    for path in paths:
        assert "not a readable image" in done[path].reason
        assert (done[path].frames, done[path].source.status, done[path].source.frames) == ([], "broken", 0)


@pytest.mark.parametrize("error", [RuntimeError("no item"), EOFError(), IndexError("tile"), struct.error("short")])
def test_whatever_pillow_makes_of_damage_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Image, "open", fail)
    assert "not a readable image" in probe(tmp_path / "a.png").error
    with pytest.raises(ValueError, match=str(error) or "EOFError"):
        load(tmp_path / "a.png")
    # Neither is it taken for an image where the extension does not say so.
    (tmp_path / "a.png").rename(tmp_path / "a.dat")
    assert probe(tmp_path / "a.dat").kind == "video"


def test_a_known_image_is_not_written_again(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    (first,) = extract([ExtractJob(tmp_path / "a.png", None)], frames_dir=tmp_path / "frames", imgsz=160)
    cached = cache_path(tmp_path / "frames", first.source.source, 0)
    before = cached.stat().st_ino
    job = ExtractJob(tmp_path / "a.png", None, known=first.source)
    (second,) = extract([job], frames_dir=tmp_path / "frames", imgsz=160)
    assert (second, cached.stat().st_ino) == (first, before)
