"""SSD300 with MIDL heads: default boxes are the instances (Liu et al. 2016; Wan et al., section 4.1).

Every image is resized to a square of 300 pixels, as in the paper, whatever its shape: here, from the real image inside
the padding, so that batches look as they do for the other detectors. Default boxes are those of the square stretched
back over the image. The box coder and IoU do not change when an axis is scaled, so matching and losses are those in the
square, while priors and boxes are in pixels of the batch like any detector's. The padding is cut off before the
network, so that a score cannot depend on the batch and every default box is valid; SSD's own grids reach up to 4 pixels
of the square beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, smooth_l1_loss
from torchvision.models.detection._utils import BoxCoder, SSDMatcher
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSDClassificationHead, SSDRegressionHead
from torchvision.ops import box_convert, box_iou

from detectors.anchors import cells_around, pool_cells
from detectors.config import MidlConfig, ParameterRole
from detectors.midl.heads import init_mil_branches, instance_rows
from detectors.model import Detections, Instances, MidlDetector, Target
from detectors.postprocess import detections
from detectors.ssd_levels import SIDE, build_levels

# Of torchvision's ssd300_vgg16: scales in shares of the side, one more than levels; steps in pixels of the square.
_ASPECT_RATIOS = [[2], [2, 3], [2, 3], [2, 3], [2], [2]]
_SCALES = [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]
_STEPS = [8, 16, 32, 64, 100, 300]
_NEGATIVES_PER_POSITIVE = 3
_BACKGROUND = -1


class SsdMilHead(nn.Module):
    """The MIL branch: class logits zc and objectness logits zo, each a 1x1 convolution a level, to keep it light."""

    def __init__(
        self, channels: Sequence[int], anchors: Sequence[int], num_classes: int, *, class_bias: float = 0.0
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.classes, self.objectness = (
            nn.ModuleList(nn.Conv2d(c, a * num_classes, 1) for c, a in zip(channels, anchors, strict=True))
            for _ in range(2)
        )
        init_mil_branches(self.classes, self.objectness, class_bias=class_bias)

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return class logits and objectness logits, each (B, N, C)."""
        zc, zo = (
            torch.cat([instance_rows(conv(x), self.num_classes) for conv, x in zip(branch, levels, strict=True)], dim=1)
            for branch in (self.classes, self.objectness)
        )
        return zc, zo


class Ssd300(MidlDetector):
    """Six levels, classifiers f1 and f2 with a background class, box regressor and MIL head."""

    def __init__(self, num_classes: int, midl: MidlConfig, *, backbone: str, weights: str) -> None:
        levels = build_levels(backbone, weights)
        super().__init__(num_classes, midl, mean=levels.mean, std=levels.std)
        self.backbone = levels
        self.default_boxes = DefaultBoxGenerator(_ASPECT_RATIOS, scales=_SCALES, steps=_STEPS)
        self.anchors: list[int] = self.default_boxes.num_anchors_per_location()
        anchors = self.anchors
        self.f1, self.f2 = (SSDClassificationHead(levels.channels, anchors, num_classes + 1) for _ in range(2))
        self.regressor = SSDRegressionHead(levels.channels, anchors)
        self.mil = SsdMilHead(levels.channels, anchors, num_classes, class_bias=midl.class_bias)
        self.matcher = SSDMatcher(0.5)
        self.box_coder = BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))

    def features(self, images: Tensor, sizes_hw: Tensor) -> list[Tensor]:
        """See MidlDetector."""
        squares = [
            interpolate(image[None, :, :height, :width].float(), (SIDE, SIDE), mode="bilinear", antialias=True)
            for image, (height, width) in zip(images, sizes_hw.tolist(), strict=True)
        ]
        x = self.normalized(torch.cat(squares), torch.full_like(sizes_hw, SIDE))  # (B, 3, SIDE, SIDE)
        levels: list[Tensor] = self.backbone(x.contiguous(memory_format=torch.channels_last))
        return levels

    def instances(self, features: list[Tensor], sizes_hw: Tensor) -> Instances:
        """See MidlDetector."""
        zc, zo = self.mil(self.mil_features(features))
        priors = self.priors(features, sizes_hw)
        return Instances(
            cls_logits_1=self.f1(features),
            cls_logits_2=self.f2(features),
            mil_class_logits=zc,
            mil_objectness_logits=zo,
            box_deltas=self.regressor(features),
            priors=priors,
            valid=torch.ones(priors.shape[:2], dtype=torch.bool, device=priors.device),
            activation="softmax",
        )

    def priors(self, features: list[Tensor], sizes_hw: Tensor) -> Tensor:
        """Default boxes of all levels over each image, (B, N, 4) xyxy in pixels of the batch."""
        grids = [list(level.shape[-2:]) for level in features]
        boxes = self.default_boxes._grid_default_boxes(grids, [SIDE, SIDE])  # (N, 4) cxcywh in shares of the side
        corners = box_convert(boxes.to(sizes_hw.device), "cxcywh", "xyxy")
        stretched: Tensor = corners * sizes_hw.flip(1).repeat(1, 2).unsqueeze(1)
        return stretched

    def detection_loss(self, instances: Instances, targets: Sequence[Target]) -> dict[str, Tensor]:
        """SSD's multibox loss in the place of Eq. 1's: sums over the batch's boxes, divided by its positives."""
        labels, deltas, predicted = [], [], []
        for priors, box_deltas, target in zip(instances.priors, instances.box_deltas, targets, strict=True):
            matched = self._match(priors, target.boxes)  # (N,)
            positive = matched != _BACKGROUND
            column = torch.zeros_like(matched)
            column[positive] = target.labels[matched[positive]] + 1
            labels.append(column)
            deltas.append(self.box_coder.encode_single(target.boxes[matched[positive]], priors[positive]))
            predicted.append(box_deltas[positive])
        columns = torch.stack(labels)  # (B, N)
        count = (columns > 0).sum().clamp(min=1)
        return {
            "class_1": mined_cross_entropy(instances.cls_logits_1, columns) / count,
            "class_2": mined_cross_entropy(instances.cls_logits_2, columns) / count,
            "box": smooth_l1_loss(torch.cat(predicted).float(), torch.cat(deltas), reduction="sum") / count,
        }

    def _match(self, priors: Tensor, boxes: Tensor) -> Tensor:
        """Index of each default box's object, (N,); _BACKGROUND for none."""
        if len(boxes) == 0:
            return torch.full((len(priors),), _BACKGROUND, device=priors.device)
        matched: Tensor = self.matcher(box_iou(boxes, priors))
        return matched

    def detect(
        self, instances: Instances, sizes_hw: Tensor, *, score_threshold: float, iou_threshold: float, max_boxes: int
    ) -> list[Detections]:
        """See MidlDetector."""
        return detections(
            instances,
            self.box_coder,
            sizes_hw,
            score_threshold=score_threshold,
            iou_threshold=iou_threshold,
            max_boxes=max_boxes,
        )

    def pooled(self, features: list[Tensor], instances: Instances, weights: Tensor) -> Tensor:
        """See MidlDetector. Each level has heads and channels of its own, and so a place of its own in the sum."""
        return torch.cat(pool_cells(features, weights, self.anchors), dim=1)

    def footprints(self, features: list[Tensor], instances: Instances) -> Tensor:
        """See MidlDetector. The last level is one cell, the whole image."""
        # Of the one default box without neighbours: its centre is the image's.
        sizes_wh = instances.priors[:, -1:, :2] + instances.priors[:, -1:, 2:]  # (B, 1, 2)
        return cells_around(instances.priors, features, self.anchors, [sizes_wh * step / SIDE for step in _STEPS])

    def modules_by_role(self) -> dict[ParameterRole, list[nn.Module]]:
        """See MidlDetector."""
        return {
            "features": [self.backbone],
            "classifiers": [self.f1, self.f2],
            "regressor": [self.regressor],
            "mil": [self.mil],
        }


def mined_cross_entropy(cls_logits: Tensor, columns: Tensor) -> Tensor:
    """Cross-entropy summed over positives and, in each image, the three hardest negatives a positive (Liu et al., 2.2).

    An image without positives gives the negatives of one: an image known to be empty teaches what background is.

    cls_logits: (B, N, C + 1), background in column 0. columns: (B, N) int64, the column wanted.
    """
    loss = cross_entropy(cls_logits.float().flatten(0, 1), columns.flatten(), reduction="none").view(columns.shape)
    positive = columns > 0
    wanted = _NEGATIVES_PER_POSITIVE * positive.sum(dim=1, keepdim=True).clamp(min=1)  # (B, 1)
    hardness = loss.detach().masked_fill(positive, -1.0)  # below any negative's
    rank = hardness.argsort(dim=1, descending=True, stable=True).argsort(dim=1)  # (B, N), 0 is the hardest
    return loss[positive | (rank < wanted)].sum()


def build(*, num_classes: int, backbone: str, weights: str, midl: MidlConfig, anchor_scale: float) -> Ssd300:
    """Build an SSD300: on vgg16 the paper's, on any other backbone a light one. Its boxes have no `anchor_scale`."""
    return Ssd300(num_classes, midl, backbone=backbone, weights=weights)
