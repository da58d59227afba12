"""Anchors over a feature pyramid, exactly centred in their cells at every image size."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator

from detectors.backbones import LEVEL_STRIDES


def pyramid_anchors(generator: AnchorGenerator, levels: list[Tensor]) -> Tensor:
    """Anchors of all levels, (N, 4) xyxy in pixels, in the order (level, row, column, anchor).

    The strides are exact at every image size; AnchorGenerator.forward derives them by division, which shifts P6 and P7.
    """
    device = levels[0].device
    generator.set_cell_anchors(torch.float32, device)
    grids = [list(level.shape[-2:]) for level in levels]
    strides = [[torch.tensor(s, device=device)] * 2 for s in LEVEL_STRIDES]
    corners = generator.grid_anchors(grids, strides)
    return torch.cat([corner + stride / 2 for corner, stride in zip(corners, LEVEL_STRIDES, strict=True)])
