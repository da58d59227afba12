"""Image files as tensors: decoding, resizing, and decoded images kept for a training that draws each many times."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize_image

from detectors.pixels import to_rgb

_HOST_BYTES = 2 * 2**30
_GPU_SHARE = 0.25


def file_size_wh(path: Path) -> tuple[int, int]:
    """Read an image's width and height from its header."""
    with Image.open(path) as opened:
        size: tuple[int, int] = opened.size
    return size


def decode_image(path: Path) -> Tensor:
    """Read an image as (3, H, W) uint8 RGB, pixels as `to_rgb` has them.

    An EXIF rotation is not applied, but to TIFF files, which Pillow turns itself.

    Raises:
        FileNotFoundError: there is no such file. ValueError: it cannot be decoded.
    """
    try:
        with Image.open(path) as opened:
            picture = to_rgb(opened)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"cannot decode image {path}: {error}") from error
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def resized(image: Tensor, *, image_size: int | None = None, factor: float = 1.0) -> Tensor:
    """Resize an image, (3, H, W) uint8 on any device; the image itself where its size is the wanted one.

    image_size: long side to which a larger image is shrunk; factor: further factor on its size.
    """
    height, width = image.shape[1:]
    shrunk = min(1.0, image_size / max(width, height)) if image_size else 1.0
    size = [max(1, round(side * factor * shrunk)) for side in (height, width)]
    if size == [height, width]:
        return image
    new: Tensor = resize_image(image, size, interpolation=InterpolationMode.BILINEAR, antialias=True)
    return new


class DecodedImages:
    """Images by path, each decoded once as long as there is room; what finds none is decoded every time.

    Images are kept as the files have them, so that room changes nothing in what a training draws. Threads may share it.

    device: that of the training; on a GPU images are kept there, else in the memory of the CPU. limit: of the images
    kept, in bytes; None: a quarter of the GPU's free memory, 2 GiB of the CPU's.
    """

    def __init__(self, device: torch.device, *, limit: int | None = None) -> None:
        # Other accelerators than CUDA's cannot all resize.
        self._device = device if device.type == "cuda" else torch.device("cpu")
        self._room = image_room(self._device) if limit is None else limit
        self._kept: dict[Path, Tensor] = {}
        self._lock = threading.Lock()

    def decode(self, path: Path) -> Tensor:
        """Return an image, (3, H, W) uint8, not to be written into; errors as `decode_image`."""
        kept = self._kept.get(path)
        if kept is not None:
            return kept
        image = decode_image(path).to(self._device)
        with self._lock:
            if path not in self._kept and image.nbytes <= self._room:
                self._kept[path] = image
                self._room -= image.nbytes
        return image


def image_room(device: torch.device, gib: float | None = None, *, processes: int = 1) -> int:
    """Bytes that decoded images of one process may take.

    gib: what was asked for, None: the default. processes: of one training; on a CPU they share its default.
    """
    if gib is not None:
        return int(gib * 2**30)
    if device.type != "cuda":
        return _HOST_BYTES // processes
    free, _ = torch.cuda.mem_get_info(device)
    return int(_GPU_SHARE * free)
