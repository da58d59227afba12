"""How well near-duplicates are found, and how long a million hashes take.

Quality, on the frames of a folder of videos or images: pictures stored in another way must be found, pictures in which
a small object moved by its own width must not, nor must different pictures; videos encoded again at another bitrate and
resolution must be found frame by frame.

    python benchmarks/duplicates.py --data videos/
    python benchmarks/duplicates.py --scale 10000 100000 1000000
"""

import argparse
import io
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageEnhance

from curate.media.near_duplicates import MAX_DIFFERENCE, difference, group
from curate.media.perceptual_hash import HASH_BYTES, SIDE, perceptual_hash

PICTURES = 200
OBJECT_SIDES = (12, 20, 32)
OBJECT_CONTRAST = 60
VIDEO_FRAMES = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of videos (mp4) or images (jpg, png)")
    parser.add_argument("--scale", type=int, nargs="*", default=[])
    options = parser.parse_args()
    if options.data is not None:
        quality(options.data)
    for count in options.scale:
        scale(count)


def quality(folder: Path) -> None:
    rng = np.random.default_rng(0)
    videos = sorted(folder.rglob("*.mp4"))
    images = sorted([*folder.rglob("*.jpg"), *folder.rglob("*.png")])
    pictures = [picture for video in videos for picture in list(frames_of(video))[:: max(1, len(videos) // 4)]]
    pictures += [Image.open(path).convert("RGB") for path in images]
    pictures = [pictures[i] for i in rng.choice(len(pictures), min(PICTURES, len(pictures)), replace=False)]
    print(f"{len(pictures)} pictures, threshold {MAX_DIFFERENCE}; differences at 5%, 50%, 95%, and those found")
    apart: dict[str, list[int]] = {}
    for picture in pictures:
        first = hashed(picture)
        for name, changed in stored_otherwise(picture):
            apart.setdefault(f"the same: {name}", []).append(difference(first, hashed(changed)))
        for side in OBJECT_SIDES:
            before, after = moved(picture, side, rng)
            apart.setdefault(f"another: {side} px object moved by {side} px", []).append(
                difference(hashed(before), hashed(after))
            )
    for name, values in apart.items():
        low, middle, high = np.percentile(values, [5, 50, 95])
        found = np.mean(np.array(values) <= MAX_DIFFERENCE)
        print(f"  {name:42} {low:5.0f} {middle:5.0f} {high:5.0f}   found {found:6.1%}")
    if images:
        groups = group(np.stack([hashed(Image.open(path).convert("RGB")) for path in images]))
        print(f"  {len(images)} images of the folder: {groups.max() + 1} groups")
    for video in videos[:: max(1, len(videos) // 5)][:5]:
        original = list(frames_of(video))[:VIDEO_FRAMES]
        for share, bit_rate in ((1.0, 150_000), (0.5, 400_000), (2.0, 2_000_000)):
            again = encoded_again(original, share, bit_rate)
            near = [difference(hashed(a), hashed(b)) for a, b in zip(original, again, strict=True)]
            found = np.mean(np.array(near) <= MAX_DIFFERENCE)
            print(f"  {video.name} at {share:g} of its size, {bit_rate // 1000} kbit/s: found {found:6.1%}")


def frames_of(path: Path) -> Iterator[Image.Image]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_image()


def hashed(picture: Image.Image) -> np.ndarray:
    """As cached: JPEG of quality 90."""
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        picture.save(file.name, quality=90)
        return perceptual_hash(Path(file.name))


def stored_otherwise(picture: Image.Image) -> Iterator[tuple[str, Image.Image]]:
    width, height = picture.size
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=60)
    yield "JPEG quality 60", Image.open(file)
    for share in (0.9, 0.5):
        size = round(width * share), round(height * share)
        yield f"resized to {share:.0%}", picture.resize(size, Image.Resampling.BICUBIC)
    for factor in (1.05, 0.95):
        yield f"brightness {factor:.0%}", ImageEnhance.Brightness(picture).enhance(factor)


def moved(picture: Image.Image, side: int, rng: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """A disc pasted at a random place, and the same one its own width further."""
    before = np.array(picture)
    after = before.copy()
    x, y = int(rng.integers(0, picture.width - 2 * side)), int(rng.integers(0, picture.height - side))
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    disc = rows**2 + columns**2 < (side / 2) ** 2
    ground = before[y : y + side, x : x + 2 * side].mean()
    level = np.clip(ground + (OBJECT_CONTRAST if ground < 128 else -OBJECT_CONTRAST), 0, 255)
    before[y : y + side, x : x + side][disc] = level
    after[y : y + side, x + side : x + 2 * side][disc] = level
    return Image.fromarray(before), Image.fromarray(after)


def encoded_again(pictures: list[Image.Image], share: float, bit_rate: int) -> list[Image.Image]:
    width, height = (round(extent * share / 2) * 2 for extent in pictures[0].size)
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        with av.open(file.name, "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", bit_rate
            for picture in pictures:
                resized = picture.resize((width, height), Image.Resampling.BICUBIC)
                container.mux(stream.encode(av.VideoFrame.from_image(resized)))
            container.mux(stream.encode())
        return list(frames_of(Path(file.name)))


def scale(count: int) -> None:
    """Generated videos of 200 frames each: a smooth scene that drifts, and stands still for a while."""
    rng = np.random.default_rng(0)
    hashes = np.empty((count, HASH_BYTES), np.uint8)
    for start in range(0, count, 200):
        coarse = rng.normal(0, 45, (2, 7, 7)).astype(np.float32)
        first, last = (np.asarray(Image.fromarray(c).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for c in coarse)
        time_of = np.minimum(np.arange(min(200, count - start)), 140) / 140
        scene = first + (last - first) * time_of[:, None, None]
        noise = rng.integers(-2, 3, scene.shape)
        hashes[start : start + len(scene)] = np.clip(128 + scene + noise, 0, 255).reshape(len(scene), -1)
    began = time.perf_counter()
    groups = group(hashes)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    kept = (groups < 0).sum() + groups.max(initial=-1) + 1
    print(
        f"{count:>9,} hashes: {seconds:7.1f} s, {1e6 * seconds / count:5.0f} us each, peak {peak / 1e9:.2f} GB, "
        f"{kept:,} representatives, {groups.max(initial=-1) + 1:,} groups"
    )


if __name__ == "__main__":
    main()
