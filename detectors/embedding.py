"""Embeddings of images from a pretrained backbone: what to look at before there is a single label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from detectors.backbones import build_trunk
from detectors.data import read_image

_PROJECTION_SEED = 20240612
_DEFAULT_SIZE = 320


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
        trunk = build_trunk(backbone, weights)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._body = trunk.body.to(self.device).eval()
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

        Images run one by one, at their own size: padding would enter the mean.

        Raises:
            FileNotFoundError, ValueError: a file is missing or cannot be decoded.
        """
        rows = np.zeros((len(paths), self.dim), dtype=np.float32)
        for row, path in zip(rows, paths, strict=True):
            image, _ = read_image(path, image_size=self._image_size)
            x = (image.to(self.device).float() / 255 - self._mean) / self._std
            pooled = [level.mean(dim=(2, 3)) for level in self._body(x[None])]  # each (1, channels)
            # Levels of unlike magnitude would drown one another.
            features = torch.cat([torch.nn.functional.normalize(level, dim=1) for level in pooled], dim=1)
            if self._projection is not None:
                features = features @ self._projection
            row[:] = torch.nn.functional.normalize(features, dim=1)[0].cpu().numpy()
        return rows
