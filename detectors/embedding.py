"""Embeddings of images from a pretrained backbone: what to look at before there is a single label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from detectors.ahead import ahead
from detectors.backbones import build_trunk
from detectors.images import decode_image, resized

_PROJECTION_SEED = 20240612
_DEFAULT_SIZE = 320
_BATCH = 4


class Embedder:
    """Pooled features of a backbone, projected at random to `dim` numbers and scaled to length 1.

    dim: None leaves the features as they are. image_size: long side in pixels to which larger images are shrunk. The
    projection is the same in every process. device: None takes the GPU if there is one.
    """

    def __init__(
        self,
        backbone: str = "efficientnet_lite0",
        weights: str = "embedded",
        dim: int | None = 128,
        *,
        image_size: int = _DEFAULT_SIZE,
        device: str | torch.device | None = None,
    ) -> None:
        if dim is not None and dim < 1:
            raise ValueError(f"dim must be at least 1 or None, got {dim}")
        trunk = build_trunk(backbone, weights, size_hw=(75, 100))  # no image is padded to a multiple of 32 here
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        # Channels last, four at a time: 1.7 times as fast as one by one in torch's own layout, on two cores.
        self._body = trunk.body.to(self.device).to(memory_format=torch.channels_last).eval()
        self._mean = torch.tensor(trunk.mean, device=self.device)[:, None, None]
        self._std = torch.tensor(trunk.std, device=self.device)[:, None, None]
        self._image_size = image_size
        features = sum(trunk.channels)
        self.dim = features if dim is None else dim
        self._projection: torch.Tensor | None = None
        if dim is not None:
            normal = np.random.default_rng(_PROJECTION_SEED).standard_normal((features, dim)) / np.sqrt(dim)
            self._projection = torch.from_numpy(normal.astype(np.float32)).to(self.device)

    @torch.inference_mode()
    def embed(self, paths: Sequence[Path]) -> np.ndarray:
        """Return (n, dim) float32, each row of length 1.

        Neighbours of one size run together; nothing is padded, for padding would enter the mean.

        Raises:
            FileNotFoundError, ValueError: a file is missing or cannot be decoded.
        """
        batches = [self._embed_batch(batch) for batch in self._batches(paths)]
        return np.concatenate(batches) if batches else np.zeros((0, self.dim), dtype=np.float32)

    def _batches(self, paths: Sequence[Path]) -> Iterator[torch.Tensor]:
        """The images as (b, 3, H, W) uint8, in order, b at most `_BATCH`."""
        waiting: list[torch.Tensor] = []
        for image in ahead(self._read, paths, depth=2 * _BATCH):
            if waiting and (len(waiting) == _BATCH or waiting[0].shape != image.shape):
                yield torch.stack(waiting)
                waiting = []
            waiting.append(image)
        if waiting:
            yield torch.stack(waiting)

    def _read(self, path: Path) -> torch.Tensor:
        return resized(decode_image(path), image_size=self._image_size)

    def _embed_batch(self, images: torch.Tensor) -> np.ndarray:
        x = (images.to(self.device).float() / 255 - self._mean) / self._std
        levels = self._body(x.contiguous(memory_format=torch.channels_last))
        # Levels of unlike magnitude would drown one another.
        pooled = [torch.nn.functional.normalize(level.mean(dim=(2, 3)), dim=1) for level in levels]
        features = torch.cat(pooled, dim=1)
        if self._projection is not None:
            features = features @ self._projection
        return torch.nn.functional.normalize(features, dim=1).cpu().numpy()
