"""Heads over regions of the feature pyramid: box features, classifiers and regressor, MIL branches, masks.

Regions come as one (n, 4) tensor of boxes an image; everything is computed on all R of them together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import project_masks_on_boxes
from torchvision.ops import MultiScaleRoIAlign

from detectors.backbones import LEVEL_STRIDES
from detectors.midl.heads import init_mil_branches

# Regions are pooled from the levels of strides 8, 16 and 32, by size as in Lin et al. 2017 (224 px at stride 16).
_POOLED_LEVELS = 3
_BOX_CELLS = 7
_MASK_CELLS = 14


class RoiPool(nn.Module):
    """RoIAlign over the pyramid: (R, channels, cells, cells), each cell the mean of samples x samples points."""

    def __init__(self, cells: int, *, samples: int) -> None:
        super().__init__()
        self._names = [str(i) for i in range(_POOLED_LEVELS)]
        self.align = MultiScaleRoIAlign(self._names, output_size=cells, sampling_ratio=samples)

    def forward(self, levels: Sequence[Tensor], boxes: list[Tensor]) -> Tensor:
        """Pool the features under the boxes."""
        height, width = (LEVEL_STRIDES[0] * extent for extent in levels[0].shape[-2:])
        maps = dict(zip(self._names, levels, strict=False))
        pooled: Tensor = self.align(maps, boxes, [(height, width)] * len(boxes))
        return pooled


class BoxFeatures(nn.Module):
    """What all box heads read: pooled features and one shared linear layer."""

    def __init__(self, channels: int, width: int, *, samples: int) -> None:
        super().__init__()
        self.pool = RoiPool(_BOX_CELLS, samples=samples)
        self.project = nn.Linear(channels * _BOX_CELLS**2, width)

    def forward(self, levels: Sequence[Tensor], boxes: list[Tensor]) -> Tensor:
        """Return (R, width)."""
        features: Tensor = self.project(self.pool(levels, boxes).flatten(1)).relu()
        return features


class RoiHead(nn.Module):
    """One hidden layer of its own and a prediction: a classifier or the box regressor."""

    def __init__(self, width: int, *, columns: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.predict = nn.Linear(width, columns)
        nn.init.normal_(self.predict.weight, std=0.01)
        nn.init.zeros_(self.predict.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return (R, columns)."""
        predicted: Tensor = self.predict(self.hidden(x).relu())
        return predicted


class RoiMilHead(nn.Module):
    """The MIL branch (paper Fig. 5): a hidden layer, then class logits zc and objectness logits zo."""

    def __init__(self, width: int, *, num_classes: int, class_bias: float = 0.0) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.classes = nn.Linear(width, num_classes)
        self.objectness = nn.Linear(width, num_classes)
        init_mil_branches(self.classes, self.objectness, class_bias=class_bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits and objectness logits, each (R, C)."""
        hidden = self.hidden(x).relu()
        return self.classes(hidden), self.objectness(hidden)


class MaskHead(nn.Module):
    """torchvision's mask head: convolutions on 14 x 14 cells, then a mask of 28 x 28 for each class."""

    def __init__(self, channels: int, *, depth: int, num_classes: int) -> None:
        super().__init__()
        self.pool = RoiPool(_MASK_CELLS, samples=2)
        self.tower = MaskRCNNHeads(channels, (channels,) * depth, dilation=1)
        self.predict = MaskRCNNPredictor(channels, channels, num_classes)
        # As Detectron2. torchvision's spread grows as classes get few: at ten the loss began at 5 instead of log 2.
        nn.init.normal_(self.predict.mask_fcn_logits.weight, std=0.001)
        nn.init.zeros_(self.predict.mask_fcn_logits.bias)

    def forward(self, levels: Sequence[Tensor], boxes: list[Tensor]) -> Tensor:
        """Return mask logits, (R, C, 28, 28)."""
        logits: Tensor = self.predict(self.tower(self.pool(levels, boxes)))
        return logits.float()

    def compute_loss(
        self, logits: Tensor, boxes: list[Tensor], labels: Tensor, masks: list[Tensor], matched: list[Tensor]
    ) -> Tensor:
        """Binary cross-entropy of each region's mask of its own class, mean over regions; 0 without regions.

        logits: (R, C, 28, 28). boxes: of each image, (n, 4). labels: (R,) in 0..C-1. masks: of each image, (objects,
        H, W) bool. matched: of each image, (n,), the object of each region.
        """
        if len(labels) == 0:
            return logits.sum() * 0.0
        size = logits.shape[-1]
        wanted = [
            project_masks_on_boxes(m, b, i, size) for m, b, i in zip(masks, boxes, matched, strict=True) if len(i)
        ]
        own = logits[torch.arange(len(labels), device=labels.device), labels]  # (R, 28, 28)
        return binary_cross_entropy_with_logits(own, torch.cat(wanted))
