"""Images and labels: COCO files in, augmented batches out. Random draws follow from (seed, step, position) alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detectors.augment import Picture, draw_flip, draw_jitter, flipped, picture_of, recut
from detectors.images import decode_image, resized
from detectors.masks import Segmentation, draw_masks
from detectors.model import Target

# Streams keep draws for different purposes apart.
_ORDER, _AUGMENT, _SAMPLING = 0, 1, 2


@dataclass(frozen=True)
class LabeledImage:
    """One image with its labels. Pixels are those of the file, without applying an EXIF rotation.

    masks: of each object, None where it has none; they are only decoded for detectors that want them. masks_wh: width
    and height of the picture whose pixels they are in, None for the file's.
    """

    path: Path
    boxes_xyxy: np.ndarray  # (n, 4) float32, pixels of the file
    labels: np.ndarray  # (n,) int64 in 0..C-1
    name: str
    masks: tuple[Segmentation | None, ...] | None = None
    masks_wh: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.masks is not None and len(self.masks) != len(self.labels):
            raise ValueError(f"{self.name}: masks must be {len(self.labels)} to fit labels, got {len(self.masks)}")
        if self.boxes_xyxy.shape != (len(self.labels), 4):
            raise ValueError(
                f"{self.name}: boxes_xyxy must be ({len(self.labels)}, 4) to fit labels, got {self.boxes_xyxy.shape}"
            )
        if not np.isfinite(self.boxes_xyxy).all() or (self.boxes_xyxy[:, 2:] <= self.boxes_xyxy[:, :2]).any():
            raise ValueError(f"{self.name}: each box must be finite with x1 < x2 and y1 < y2")


@dataclass(frozen=True)
class Sample:
    """One decoded image. image: (3, H, W) uint8 RGB; file_wh: size of the file's image in pixels."""

    image: Tensor
    file_wh: tuple[int, int]
    target: Target | None
    name: str

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Pixels of `image` per pixel of the file, x and y, of an image that augmentation has not cut."""
        height, width = self.image.shape[1:]
        return width / self.file_wh[0], height / self.file_wh[1]


@dataclass(frozen=True)
class Batch:
    """B images padded to one size. images: (B, 3, H, W) uint8; sizes_hw: (B, 2) int64, the real images inside."""

    images: Tensor
    sizes_hw: Tensor
    targets: tuple[Target, ...]
    names: tuple[str, ...]

    def to(self, device: torch.device) -> Batch:
        """Return the batch on `device`."""
        targets = tuple(target.to(device) for target in self.targets)
        return Batch(self.images.to(device), self.sizes_hw.to(device), targets, self.names)


def load_coco(
    annotations: Path, images: Path, *, categories: Sequence[str] | None = None
) -> tuple[list[LabeledImage], list[str]]:
    """Read a COCO file over an image folder; every image of the file comes back, also without boxes.

    Crowd boxes are ignored, boxes without area dropped. categories: the class order by name; None takes the file's, by
    id.

    Returns: the images and the category names, label c being the c-th name.

    Raises:
        ValueError: not a COCO file, an annotation of an unknown image or category, or a category not in `categories`.
    """
    try:
        document: dict[str, Any] = json.loads(annotations.read_text(encoding="utf-8"))
        listed = sorted(document["categories"], key=lambda c: c["id"])
        rows: dict[Any, dict[str, Any]] = {image["id"]: image for image in document["images"]}
        found = document["annotations"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{annotations} is no COCO detection file: {error}") from error
    names = [str(c["name"]) for c in listed] if categories is None else list(categories)
    foreign = sorted({str(c["name"]) for c in listed} - set(names))
    if foreign:
        raise ValueError(f"{annotations} has categories {', '.join(foreign)} that are not among {', '.join(names)}")
    label_of = {c["id"]: names.index(str(c["name"])) for c in listed}
    objects: dict[Any, list[tuple[list[float], int, Segmentation | None]]] = {key: [] for key in rows}
    for annotation in found:
        if annotation["image_id"] not in rows or annotation["category_id"] not in label_of:
            raise ValueError(f"{annotations}: annotation {annotation.get('id')} has an unknown image or category")
        x, y, width, height = (float(v) for v in annotation["bbox"])
        if annotation.get("iscrowd", 0) or width <= 0 or height <= 0:
            continue
        label, mask = label_of[annotation["category_id"]], annotation.get("segmentation") or None
        objects[annotation["image_id"]].append(([x, y, x + width, y + height], label, mask))
    return [
        LabeledImage(
            path=images / row["file_name"],
            boxes_xyxy=np.array([box for box, _, _ in objects[key]], dtype=np.float32).reshape(-1, 4),
            labels=np.array([label for _, label, _ in objects[key]], dtype=np.int64),
            name=str(row["file_name"]),
            masks=tuple(mask for _, _, mask in objects[key]),
        )
        for key, row in rows.items()
    ], names


def load_sample(
    item: LabeledImage | Path,
    *,
    image_size: int | None = None,
    rng: np.random.Generator | None = None,
    masks: bool = False,
    crops: bool = False,
    decode: Callable[[Path], Tensor] = decode_image,
) -> Sample:
    """Read one image, with its labels if it has any; `rng` augments it, None leaves it as it is.

    masks: decode the masks too. crops: augment by SSD's crops and zooming out in the place of scale jitter. decode:
    gives the pixels of a file, (3, H, W) uint8; where they lie, the image is augmented.

    Raises:
        FileNotFoundError: there is no such file. ValueError: it cannot be decoded.
    """
    jitter, flip = 1.0, False
    if rng is not None:
        jitter = 1.0 if crops else draw_jitter(rng)
        flip = draw_flip(rng)
    path, name = (item, str(item)) if isinstance(item, Path) else (item.path, item.name)
    recuts = rng is not None and crops
    decoded = decode(path)
    height, width = decoded.shape[1:]
    file_wh = (width, height)
    # A crop is cut from the file's own pixels and shrunk after.
    image = resized(decoded, image_size=None if recuts else image_size, factor=jitter)
    picture = _picture(item, image, file_wh, masks=masks)
    if flip:
        picture = flipped(picture)
    if rng is not None and crops:
        picture = recut(picture, rng, image_size=image_size)
    target = None if isinstance(item, Path) else picture.target()
    return Sample(picture.image.as_subclass(Tensor), file_wh, target, name)


def _picture(item: LabeledImage | Path, image: Tensor, file_wh: tuple[int, int], *, masks: bool) -> Picture:
    """Put an image, (3, H, W), and the labels of its file together."""
    if isinstance(item, Path):
        return picture_of(image, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), None, boxes_wh=file_wh)
    bitmaps = None
    if masks:
        segmentations = item.masks or (None,) * len(item.labels)
        height, width = image.shape[1:]
        bitmaps = draw_masks(segmentations, name=item.name, file_wh=item.masks_wh or file_wh, size_wh=(width, height))
    boxes, labels = torch.tensor(item.boxes_xyxy), torch.from_numpy(item.labels)
    return picture_of(image, boxes, labels, bitmaps, boxes_wh=file_wh)


def collate(samples: Sequence[Sample], *, divisor: int) -> Batch:
    """Pad images to one size, a multiple of `divisor`, on the right and at the bottom."""
    height, width = (-(-max(s.image.shape[axis] for s in samples) // divisor) * divisor for axis in (1, 2))
    images = samples[0].image.new_zeros((len(samples), 3, height, width))
    for row, sample in zip(images, samples, strict=True):
        row[:, : sample.image.shape[1], : sample.image.shape[2]] = sample.image
    sizes = torch.tensor([list(s.image.shape[1:]) for s in samples])
    targets = tuple(s.target for s in samples if s.target is not None)
    return Batch(images, sizes, targets, tuple(s.name for s in samples))


def draw(count: int, *, seed: int, step: int, batch_size: int, stream: int) -> list[int]:
    """Indices into a set of `count` images for one step: shuffled epochs, a function of its arguments alone.

    stream: keeps the labeled and the unlabeled order apart. A set smaller than the batch repeats within it.
    """
    places = range(step * batch_size, (step + 1) * batch_size)
    orders = {
        e: np.random.default_rng([seed, _ORDER, stream, e]).permutation(count) for e in {p // count for p in places}
    }
    return [int(orders[p // count][p % count]) for p in places]


def augmentation_rng(*, seed: int, step: int, position: int, stream: int) -> np.random.Generator:
    """Return the generator of one image's augmentation at one step."""
    return np.random.default_rng([seed, _AUGMENT, stream, step, position])


def sampling_seed(*, seed: int, step: int) -> int:
    """Return the seed of what a detector's loss draws at one step, such as the proposals that it is computed on."""
    return int(np.random.SeedSequence([seed, _SAMPLING, step]).generate_state(1, np.uint64)[0])
