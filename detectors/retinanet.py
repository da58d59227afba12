"""RetinaNet with MIDL heads: anchors are the instances (Lin et al. 2017; Wan et al., section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import box_iou, sigmoid_focal_loss

from detectors.anchors import cells_around, pool_cells, pyramid_anchors
from detectors.backbones import FULL_HEAD_BACKBONES, LEVEL_STRIDES, PyramidBackbone, build_trunk
from detectors.config import MidlConfig, ParameterRole
from detectors.midl.heads import FOCAL_PRIOR_BIAS, DenseHead, MilHead
from detectors.model import Detections, Instances, MidlDetector, Target
from detectors.postprocess import detections

# Nine anchors a location as in the paper.
_SCALES = tuple(2 ** (i / 3) for i in range(3))
_ASPECT_RATIOS = (0.5, 1.0, 2.0)
_ANCHORS = len(_SCALES) * len(_ASPECT_RATIOS)
_SMOOTH_L1_BETA = 1 / 9


@dataclass(frozen=True)
class HeadSize:
    """Width and depth of FPN and towers."""

    channels: int
    depth: int
    mil_depth: int


# The light head trains on two CPU cores; the other is the paper's.
LIGHT = HeadSize(channels=64, depth=2, mil_depth=1)
FULL = HeadSize(channels=256, depth=4, mil_depth=1)


class RetinaNet(MidlDetector):
    """Backbone and FPN, classifiers f1 and f2, box regressor and MIL head, each with a tower of its own."""

    def __init__(
        self,
        num_classes: int,
        midl: MidlConfig,
        *,
        backbone: str,
        weights: str,
        size: HeadSize,
        anchor_scale: float,
    ) -> None:
        trunk = build_trunk(backbone, weights)
        super().__init__(num_classes, midl, mean=trunk.mean, std=trunk.std)
        self.backbone = PyramidBackbone(trunk, size.channels)
        self.f1, self.f2 = (
            DenseHead(size.channels, depth=size.depth, anchors=_ANCHORS, columns=num_classes, bias=FOCAL_PRIOR_BIAS)
            for _ in range(2)
        )
        self.regressor = DenseHead(size.channels, depth=size.depth, anchors=_ANCHORS, columns=4)
        self.mil = MilHead(
            size.channels,
            depth=size.mil_depth,
            anchors=_ANCHORS,
            num_classes=num_classes,
            class_bias=midl.class_bias,
        )
        self.anchor_generator = AnchorGenerator(
            tuple(tuple(anchor_scale * stride * scale for scale in _SCALES) for stride in LEVEL_STRIDES),
            (_ASPECT_RATIOS,) * len(LEVEL_STRIDES),
        )
        self.largest_anchor = anchor_scale * LEVEL_STRIDES[-1] * _SCALES[-1]
        self.matcher = Matcher(0.5, 0.4, allow_low_quality_matches=True)
        self.box_coder = BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))

    def features(self, images: Tensor, sizes_hw: Tensor) -> list[Tensor]:
        """See MidlDetector."""
        x = self.normalized(images, sizes_hw)
        levels: list[Tensor] = self.backbone(x.contiguous(memory_format=torch.channels_last))
        return levels

    def instances(self, features: list[Tensor], sizes_hw: Tensor) -> Instances:
        """See MidlDetector."""
        zc, zo = self.mil(self.mil_features(features))
        anchors = pyramid_anchors(self.anchor_generator, features)  # (N, 4)
        centres = (anchors[:, :2] + anchors[:, 2:]) / 2  # (N, 2) x, y
        # Anchors out in the padding would share in the softmax of Eq. 11 and make a score depend on the batch.
        valid = (centres[None] < sizes_hw.flip(1)[:, None]).all(dim=2)  # (B, N)
        return Instances(
            cls_logits_1=self.f1(features),
            cls_logits_2=self.f2(features),
            mil_class_logits=zc,
            mil_objectness_logits=zo,
            box_deltas=self.regressor(features),
            priors=anchors.expand(len(sizes_hw), -1, -1),
            valid=valid,
        )

    def detection_loss(self, instances: Instances, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Focal losses of f1 and f2, smooth L1 of the boxes (Eq. 1): per image over its positives, mean over images."""
        losses: dict[str, list[Tensor]] = {"focal_1": [], "focal_2": [], "box": []}
        for i, target in enumerate(targets):
            matched = self._match(instances.priors[i], instances.valid[i], target.boxes)  # (N,)
            positive = matched >= 0
            count = positive.sum().clamp(min=1)
            counted = matched != Matcher.BETWEEN_THRESHOLDS
            wanted = torch.zeros_like(instances.cls_logits_1[i], dtype=torch.float32)  # (N, C)
            wanted[positive, target.labels[matched[positive]]] = 1.0
            for name, logits in (("focal_1", instances.cls_logits_1[i]), ("focal_2", instances.cls_logits_2[i])):
                focal = sigmoid_focal_loss(logits.float(), wanted, reduction="none").sum(dim=1)  # (N,)
                losses[name].append((focal * counted).sum() / count)
            deltas = self.box_coder.encode_single(target.boxes[matched[positive]], instances.priors[i][positive])
            predicted = instances.box_deltas[i][positive].float()
            losses["box"].append(smooth_l1_loss(predicted, deltas, beta=_SMOOTH_L1_BETA, reduction="sum") / count)
        return {name: torch.stack(values).mean() for name, values in losses.items()}

    def _match(self, priors: Tensor, valid: Tensor, boxes: Tensor) -> Tensor:
        """Index of each anchor's box, (N,): -1 background, BETWEEN_THRESHOLDS ignored, as are invalid anchors."""
        if len(boxes) == 0:
            matched = torch.full((len(priors),), Matcher.BELOW_LOW_THRESHOLD, device=priors.device)
        else:
            # -1 keeps an anchor in the padding from being the best match of a box at the border.
            matched = self.matcher(box_iou(boxes, priors).masked_fill(~valid, -1.0))
        return matched.masked_fill(~valid, Matcher.BETWEEN_THRESHOLDS)

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
        """See MidlDetector. The heads are shared by the levels, so the features of all are of one space."""
        return torch.stack(pool_cells(features, weights, (_ANCHORS,) * len(features))).sum(dim=0)

    def footprints(self, features: list[Tensor], instances: Instances) -> Tensor:
        """See MidlDetector."""
        sides = [torch.full((2,), float(stride), device=instances.priors.device) for stride in LEVEL_STRIDES]
        return cells_around(instances.priors, features, (_ANCHORS,) * len(features), sides)

    def modules_by_role(self) -> dict[ParameterRole, list[nn.Module]]:
        """See MidlDetector."""
        return {
            "features": [self.backbone],
            "classifiers": [self.f1, self.f2],
            "regressor": [self.regressor],
            "mil": [self.mil],
        }


def build(*, num_classes: int, backbone: str, weights: str, midl: MidlConfig, anchor_scale: float) -> RetinaNet:
    """Build a RetinaNet: the light head on efficientnet_lite0 and its like, the paper's on resnet50."""
    size = FULL if backbone in FULL_HEAD_BACKBONES else LIGHT
    return RetinaNet(num_classes, midl, backbone=backbone, weights=weights, size=size, anchor_scale=anchor_scale)
