"""Images and labels: COCO files in, augmented batches out. Random draws follow from (seed, step, position) alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
class Crowds:
    """Regions of many objects of a class that nobody told apart (COCO's `iscrowd`); n of one image.

    They are not trained on, and in AP they are neither to be found nor a mistake.
    """

    boxes_xyxy: np.ndarray  # (n, 4), pixels of the file
    labels: np.ndarray  # (n,) in 0..C-1
    masks: tuple[Segmentation | None, ...]  # None stands for the box


@dataclass(frozen=True)
class LabeledImage:
    """One image with its labels. Pixels are those of the file, without applying an EXIF rotation.

    Boxes and labels of another type of number are converted. masks: of each object, None where it has none; they are
    only decoded for detectors that want them. masks_wh: width and height of the picture whose pixels they are in, None
    for the file's. areas: by which an object counts as small, medium or large in AP; None: by its box. crowds: None
    where the image has none.

    Raises ValueError where the parts do not fit each other, or a box is no box.
    """

    path: Path
    boxes_xyxy: np.ndarray  # (n, 4) float32, pixels of the file
    labels: np.ndarray  # (n,) int64 in 0..C-1
    name: str
    masks: tuple[Segmentation | None, ...] | None = None
    masks_wh: tuple[int, int] | None = None
    areas: np.ndarray | None = None  # (n,) square pixels of the file
    crowds: Crowds | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes_xyxy", np.asarray(self.boxes_xyxy, dtype=np.float32))
        object.__setattr__(self, "labels", np.asarray(self.labels, dtype=np.int64))
        for name in ("masks", "areas"):
            part = getattr(self, name)
            if part is not None and len(part) != len(self.labels):
                raise ValueError(f"{self.name}: {name} must be {len(self.labels)} to fit labels, got {len(part)}")
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

    Boxes without area are dropped. categories: the class order by name; None takes the file's, by id.

    Returns: the images and the category names, label c being the c-th name.

    Raises:
        ValueError: not a COCO file, an image or annotation that lacks a part, an annotation of an unknown image or
            category, or a category not in `categories`.
    """
    try:
        document: dict[str, Any] = json.loads(annotations.read_text(encoding="utf-8-sig"))
        listed = sorted(document["categories"], key=lambda c: c["id"])
        names_in_file = [str(c["name"]) for c in listed]
        files: dict[Any, str] = {image["id"]: str(image["file_name"]) for image in document["images"]}
        found = list(document["annotations"])
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise ValueError(f"{annotations} is no COCO detection file: {error}") from error
    names = names_in_file if categories is None else list(categories)
    foreign = sorted(set(names_in_file) - set(names))
    if foreign:
        raise ValueError(f"{annotations} has categories {', '.join(foreign)} that are not among {', '.join(names)}")
    label_of = {c["id"]: names.index(str(c["name"])) for c in listed}
    objects: dict[Any, list[_CocoObject]] = {key: [] for key in files}
    for place, annotation in enumerate(found):
        try:
            entry = _coco_object(annotation, label_of)
            of_image = objects[annotation["image_id"]]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            name = annotation.get("id", f"number {place}") if isinstance(annotation, dict) else f"number {place}"
            raise ValueError(
                f"{annotations}: annotation {name} must have a known image_id and category_id, and a bbox of four "
                f"numbers, none of its sizes below 0: {type(error).__name__} {error}"
            ) from error
        if not (entry.width <= 0 or entry.height <= 0):  # what is not a number is left to LabeledImage to refuse
            of_image.append(entry)
    return [_coco_image(images / name, name, objects[key]) for key, name in files.items()], names


class _CocoObject(NamedTuple):
    """An annotation: its box in pixels, label, mask, area in square pixels, and whether it is a crowd."""

    x: float
    y: float
    width: float
    height: float
    label: int
    mask: Segmentation | None
    area: float
    crowd: bool


def _coco_object(annotation: Mapping[str, Any], label_of: Mapping[Any, int]) -> _CocoObject:
    x, y, width, height = (_number(value) for value in annotation["bbox"])
    if width < 0 or height < 0:
        raise ValueError(f"a size of {width:g} x {height:g}")
    area = _number(annotation.get("area") or width * height)
    mask = annotation.get("segmentation") or None
    label = label_of[annotation["category_id"]]
    return _CocoObject(x, y, width, height, label, mask, area, bool(annotation.get("iscrowd", 0)))


def _number(value: Any) -> float:
    """The value of a JSON number; TypeError for what is none, a text of digits too."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r:.40} is no number")
    return float(value)


def _coco_image(path: Path, name: str, entries: Sequence[_CocoObject]) -> LabeledImage:
    single, crowds = ([e for e in entries if e.crowd is crowd] for crowd in (False, True))

    def boxes(of: Sequence[_CocoObject]) -> np.ndarray:
        return np.array([[e.x, e.y, e.x + e.width, e.y + e.height] for e in of], dtype=np.float32).reshape(-1, 4)

    def labels(of: Sequence[_CocoObject]) -> np.ndarray:
        return np.array([e.label for e in of], dtype=np.int64)

    return LabeledImage(
        path=path,
        boxes_xyxy=boxes(single),
        labels=labels(single),
        name=name,
        masks=tuple(e.mask for e in single),
        areas=np.array([e.area for e in single]),
        crowds=Crowds(boxes(crowds), labels(crowds), tuple(e.mask for e in crowds)) if crowds else None,
    )


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
