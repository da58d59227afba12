"""Anchors over a feature pyramid, exactly centred in their cells at every image size, and the cells they stand on."""

from __future__ import annotations

from collections.abc import Sequence

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


def cells_around(priors: Tensor, levels: list[Tensor], anchors: Sequence[int], cells_wh: Sequence[Tensor]) -> Tensor:
    """The feature cell that each prior is centred in, (B, N, 4) xyxy in pixels.

    priors: (B, N, 4) in the order (level, row, column, anchor). anchors: of a cell, by level. cells_wh: width and
    height of a level's cell in pixels, each (2,) or (B, 1, 2).
    """
    counts = [level.shape[2] * level.shape[3] * a for level, a in zip(levels, anchors, strict=True)]
    centres = torch.split((priors[..., :2] + priors[..., 2:]) / 2, counts, dim=1)
    cells = [torch.cat([c - wh / 2, c + wh / 2], dim=-1) for c, wh in zip(centres, cells_wh, strict=True)]
    return torch.cat(cells, dim=1)


def pool_cells(levels: Sequence[Tensor], weights: Tensor, anchors: Sequence[int]) -> list[Tensor]:
    """Weighted sums over the cells of each level, where an instance's feature is the cell that its anchor stands on.

    levels: each (B, channels, H, W). weights: (B, N) in the order (level, row, column, anchor). anchors: of a cell, by
    level.

    Returns: of each level, (B, channels).
    """
    counts = [level.shape[2] * level.shape[3] * a for level, a in zip(levels, anchors, strict=True)]
    return [
        torch.einsum("bchw,bhw->bc", level.float(), part.view(len(level), *level.shape[2:], a).sum(dim=-1))
        for level, part, a in zip(levels, torch.split(weights, counts, dim=1), anchors, strict=True)
    ]
