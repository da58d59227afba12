"""Small labelled videos made on the spot: handwritten digits that move over photographs (both from scikit-learn)."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import CurateError
from curate.tables import atomic_replace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]

VIDEOS = 10
FRAMES = 125
FPS = 25
WIDTH, HEIGHT = 320, 240
DIGITS = (0, 1, 7)
CATEGORIES = ("zero", "one", "seven")


def make_videos(folder: Path, *, seed: int = 0) -> tuple[Path, Path]:
    """Write `folder/videos/*.mp4` and `folder/truth.json`, CocoVID labels of every frame; returns both paths.

    Each video pans over a photograph while one to three digits of up to three classes drift and bounce. Videos that
    are there are left alone, so that running the demo twice reads nothing anew.
    """
    import numpy as np

    try:
        from sklearn.datasets import load_digits, load_sample_images
    except ImportError as error:
        raise CurateError("the demo's pictures come from scikit-learn: pip install 'curate-midl[demo]'") from error

    digits = load_digits()
    photographs = load_sample_images().images
    videos = folder / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    truth: dict[str, Any] = {
        "info": {"description": "curate demo"},
        "videos": [],
        "images": [],
        "annotations": [],
        "categories": [{"id": n + 1, "name": name} for n, name in enumerate(CATEGORIES)],
    }
    for n in range(VIDEOS):
        rng = np.random.default_rng([seed, n])
        path = videos / f"digits_{n:02d}.mp4"
        truth["videos"].append({"id": n + 1, "file_name": path.name, "width": WIDTH, "height": HEIGHT})
        sprites = [_Sprite(digits, rng) for _ in range(rng.integers(1, 4))]
        frames = []
        for index in range(FRAMES):
            frame = _background(photographs[n % len(photographs)], index / FRAMES, rng_phase=n)
            image_id = n * FRAMES + index + 1
            truth["images"].append(
                {
                    "id": image_id,
                    "video_id": n + 1,
                    "frame_index": index,
                    "width": WIDTH,
                    "height": HEIGHT,
                    "file_name": f"{path.stem}/{index:08d}.jpg",
                }
            )
            for sprite in sprites:
                x, y, side = sprite.draw(frame)
                truth["annotations"].append(
                    {
                        "id": len(truth["annotations"]) + 1,
                        "image_id": image_id,
                        "category_id": sprite.category + 1,
                        "bbox": [x, y, side, side],
                        "area": side * side,
                        "iscrowd": 0,
                    }
                )
            frames.append(frame)
        if not path.exists():
            _encode(path, frames)
    truth_path = folder / "truth.json"
    atomic_replace(truth_path, json.dumps(truth).encode())
    return videos, truth_path


def cut_labels(truth: Path, output: Path, frames: Iterable[tuple[str, int]]) -> int:
    """Write to `output` the part of a CocoVID file that labels the given frames; returns how many there were.

    `frames` are (video file stem, frame_index): a selection, answered by known labels instead of a labelling vendor.
    """
    everything = json.loads(truth.read_text(encoding="utf-8"))
    stems = {video["id"]: Path(video["file_name"]).stem for video in everything["videos"]}
    wanted = set(frames)
    images = [i for i in everything["images"] if (stems[i["video_id"]], i["frame_index"]) in wanted]
    ids = {image["id"] for image in images}
    annotations = [a for a in everything["annotations"] if a["image_id"] in ids]
    atomic_replace(output, json.dumps(everything | {"images": images, "annotations": annotations}).encode())
    return len(images)


class _Sprite:
    """One handwritten digit: its picture, place and speed in pixels a frame."""

    def __init__(self, digits: Any, rng: "np.random.Generator") -> None:
        import numpy as np
        from PIL import Image

        self.category = int(rng.integers(len(DIGITS)))
        written = digits.images[rng.choice(np.flatnonzero(digits.target == DIGITS[self.category]))]
        self.side = int(rng.integers(40, 80))
        picture = Image.fromarray((written * 255 / 16).astype(np.uint8)).resize((self.side, self.side), Image.Resampling.BICUBIC)
        self.alpha = np.asarray(picture, np.float32)[..., None] / 255
        self.color = rng.integers(160, 256, 3).astype(np.float32)
        self.place = rng.uniform(0, [WIDTH - self.side, HEIGHT - self.side])
        self.speed = rng.uniform(-3, 3, 2)

    def draw(self, frame: "Image") -> tuple[int, int, int]:
        """Draw onto `frame` (H, W, 3) and move on; returns x, y and side of its box in pixels."""
        import numpy as np

        x, y = self.place.astype(int).tolist()
        patch = frame[y : y + self.side, x : x + self.side]
        patch[:] = (patch * (1 - self.alpha) + self.color * self.alpha).astype(np.uint8)
        room = np.array([WIDTH - self.side, HEIGHT - self.side])
        self.place = self.place + self.speed
        outside = (self.place < 0) | (self.place > room)
        self.speed = np.where(outside, -self.speed, self.speed)
        self.place = np.clip(self.place, 0, room)
        return x, y, self.side


def _background(photograph: "Image", progress: float, *, rng_phase: int) -> "Image":
    """A window of the photograph (427, 640, 3) that pans with `progress` in 0-1; each video starts elsewhere."""
    import numpy as np

    height, width = photograph.shape[:2]
    angle = 2 * np.pi * (progress / 2 + rng_phase / VIDEOS)
    x = int((width - WIDTH) * (0.5 + 0.5 * np.cos(angle)))
    y = int((height - HEIGHT) * (0.5 + 0.5 * np.sin(angle)))
    return np.array(photograph[y : y + HEIGHT, x : x + WIDTH])


def _encode(path: Path, frames: "list[Image]") -> None:
    import os

    import av

    temporary = path.with_suffix(".tmp.mp4")
    with av.open(temporary, "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        # One thread: the bytes, and with them the frame_ids, are the same on every machine.
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    os.replace(temporary, path)
