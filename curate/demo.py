"""Small labelled videos made on the spot: handwritten digits that move over photographs (both from scikit-learn)."""

import json
import os
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


def make_videos(folder: Path, *, videos: int = VIDEOS, frames: int = FRAMES, seed: int = 0) -> tuple[Path, Path]:
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
    truth = _Truth()
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    for n in range(videos):
        rng = np.random.default_rng([seed, n])
        path = folder / "videos" / f"digits_{n:02d}.mp4"
        truth.begin_video(path.name)
        sprites = [_Sprite(digits, rng) for _ in range(rng.integers(1, 4))]
        pictures = []
        for index in range(frames):
            picture = _background(photographs[n % len(photographs)], index / frames + 2 * n / videos)
            truth.add_frame(index, [(sprite.category, sprite.draw(picture)) for sprite in sprites])
            pictures.append(picture)
        if not path.exists():
            _encode(path, pictures)
    truth_path = folder / "truth.json"
    atomic_replace(truth_path, json.dumps(truth.document).encode())
    return folder / "videos", truth_path


def cut_labels(truth: Path, output: Path, frames: Iterable[tuple[str, int]]) -> int:
    """Write to `output` the part of a COCO or CocoVID file that labels the given frames; returns how many there were.

    `frames` are (file stem, frame_index), of an image with index 0: a selection, answered by known labels instead of a
    labelling vendor.
    """
    everything = json.loads(truth.read_text(encoding="utf-8"))
    stems = {video["id"]: Path(video["file_name"]).stem for video in everything.get("videos", [])}
    wanted = set(frames)

    def frame(image: dict[str, Any]) -> tuple[str, int]:
        if "video_id" in image:
            return stems[image["video_id"]], image["frame_index"]
        return Path(image["file_name"]).stem, 0

    images = [image for image in everything["images"] if frame(image) in wanted]
    ids = {image["id"] for image in images}
    annotations = [a for a in everything["annotations"] if a["image_id"] in ids]
    atomic_replace(output, json.dumps(everything | {"images": images, "annotations": annotations}).encode())
    return len(images)


class _Truth:
    """A CocoVID document that grows frame by frame."""

    def __init__(self) -> None:
        self.document: dict[str, Any] = {
            "info": {"description": "curate demo"},
            "videos": [],
            "images": [],
            "annotations": [],
            "categories": [{"id": n + 1, "name": name} for n, name in enumerate(CATEGORIES)],
        }

    def begin_video(self, file_name: str) -> None:
        """The frames that follow are of this video."""
        videos = self.document["videos"]
        videos.append({"id": len(videos) + 1, "file_name": file_name, "width": WIDTH, "height": HEIGHT})

    def add_frame(self, index: int, boxes: Iterable[tuple[int, tuple[int, int, int, int]]]) -> None:
        """A frame with its boxes: category from 0, and x, y, width, height in pixels."""
        images, annotations = self.document["images"], self.document["annotations"]
        video = self.document["videos"][-1]
        images.append(
            {
                "id": len(images) + 1,
                "video_id": video["id"],
                "frame_index": index,
                "file_name": video["file_name"],
                "width": WIDTH,
                "height": HEIGHT,
            }
        )
        for category, (x, y, width, height) in boxes:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": len(images),
                    "category_id": category + 1,
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )


class _Sprite:
    """One handwritten digit: its picture, place and speed in pixels a frame."""

    def __init__(self, digits: Any, rng: "np.random.Generator") -> None:
        import numpy as np
        from PIL import Image

        self.category = int(rng.integers(len(DIGITS)))
        written = digits.images[rng.choice(np.flatnonzero(digits.target == DIGITS[self.category]))]
        rows, columns = np.flatnonzero(written.max(1) > 4), np.flatnonzero(written.max(0) > 4)
        written = written[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        scale = rng.uniform(5, 10)
        size = (round(written.shape[1] * scale), round(written.shape[0] * scale))
        picture = Image.fromarray((written * 255 / 16).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
        self.alpha = np.asarray(picture, np.float32)[..., None] / 255
        self.color = rng.integers(160, 256, 3).astype(np.float32)
        self.room = np.array([WIDTH - size[0], HEIGHT - size[1]])
        self.place = rng.uniform(0, self.room)
        self.speed = rng.uniform(-3, 3, 2)

    def draw(self, picture: "Image") -> tuple[int, int, int, int]:
        """Draw onto `picture` (H, W, 3) and move on; returns x, y, width and height of its box in pixels."""
        import numpy as np

        height, width = self.alpha.shape[:2]
        x, y = self.place.astype(int).tolist()
        patch = picture[y : y + height, x : x + width]
        patch[:] = (patch * (1 - self.alpha) + self.color * self.alpha).astype(np.uint8)
        self.place = self.place + self.speed
        self.speed = np.where((self.place < 0) | (self.place > self.room), -self.speed, self.speed)
        self.place = np.clip(self.place, 0, self.room)
        return x, y, width, height


def _background(photograph: "Image", phase: float) -> "Image":
    """A window of the photograph (427, 640, 3) that goes round it once while `phase` grows by 2."""
    import numpy as np

    height, width = photograph.shape[:2]
    x = int((width - WIDTH) * (0.5 + 0.5 * np.cos(np.pi * phase)))
    y = int((height - HEIGHT) * (0.5 + 0.5 * np.sin(np.pi * phase)))
    return np.array(photograph[y : y + HEIGHT, x : x + WIDTH])


def _encode(path: Path, pictures: "list[Image]") -> None:
    import av

    temporary = path.with_suffix(".tmp.mp4")
    with av.open(temporary, "w") as container:
        # Macroblock-tree rate control gave other bytes from run to run on a processor with AVX-512 (x264 in PyAV 18).
        options = {"crf": "20", "preset": "veryfast", "x264-params": "mbtree=0"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        # One thread, for the same reason: the bytes, and with them the frame_ids, are the same every time.
        stream.codec_context.thread_count = 1
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    os.replace(temporary, path)
