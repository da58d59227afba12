"""Mask R-CNN with MIDL heads: region proposals are the instances (He et al. 2017; Wan et al., section 4.2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, smooth_l1_loss
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, BoxCoder, Matcher
from torchvision.ops import box_iou

from detectors.backbones import FULL_HEAD_BACKBONES, PyramidBackbone, build_trunk
from detectors.config import MidlConfig, ParameterRole
from detectors.midl.padding import pad_bags
from detectors.model import Detections, Instances, MidlDetector, Target
from detectors.postprocess import detections
from detectors.roi_heads import BoxFeatures, MaskHead, RoiHead, RoiMilHead
from detectors.rpn import ProposalNetwork

_SMOOTH_L1_BETA = 1 / 9
_POSITIVE_IOU = 0.5
_POSITIVE_SHARE = 0.25


@dataclass(frozen=True)
class HeadSize:
    """Size of FPN and heads.

    proposals: instances an image. sampled: those of them that the box losses use. pool_samples: points a pooled cell is
    the mean of, in each direction.
    """

    channels: int
    width: int
    mask_depth: int
    proposals: int
    sampled: int
    pool_samples: int


# The light head trains on two CPU cores; at two samples, pooling with its gradient took 47% of a step of four images of
# 96 x 64 px there. The other head is that of He et al.
LIGHT = HeadSize(channels=64, width=256, mask_depth=2, proposals=300, sampled=128, pool_samples=1)
FULL = HeadSize(channels=256, width=1024, mask_depth=4, proposals=1000, sampled=512, pool_samples=2)


@dataclass(frozen=True, kw_only=True)
class ProposalBags(Instances):
    """Bags of proposals, with what the losses and the masks need besides: A anchors of the RPN, levels of the FPN."""

    rpn_logits: Tensor  # (B, A)
    rpn_deltas: Tensor  # (B, A, 4)
    anchors: Tensor  # (B, A, 4)
    levels: tuple[Tensor, ...]  # each (B, channels, H, W)
    regions: tuple[Tensor, ...]  # of each image, (n, width): what the heads read of its valid proposals

    def __getitem__(self, images: slice) -> Instances:
        """See Instances."""
        return replace(
            super().__getitem__(images),
            levels=tuple(level[images] for level in self.levels),  # type: ignore[call-arg]
            regions=self.regions[images],
        )


@dataclass(frozen=True)
class _Sampled:
    """Regions of one image that the losses use: proposals and the labeled boxes themselves.

    rows: (n,) indices into the valid proposals followed by the labeled boxes; boxes: (n, 4); labels: (n,) in 0..C, 0
    being background; matched: (n,) indices of the labeled boxes, -1 on background; objects: (n, 4), those boxes, and on
    background any.
    """

    rows: Tensor
    boxes: Tensor
    labels: Tensor
    matched: Tensor
    objects: Tensor


class MaskRcnn(MidlDetector):
    """Backbone, FPN and RPN; over the proposals classifiers f1 and f2, box regressor and MIL head; a mask head.

    The box regressor knows no classes: `Instances` has one box an instance, on which both classifiers then speak.
    """

    makes_masks = True

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
        self.rpn = ProposalNetwork(size.channels, proposals=size.proposals, anchor_scale=anchor_scale)
        self.largest_anchor = self.rpn.largest_anchor
        self.box_features = BoxFeatures(size.channels, size.width, samples=size.pool_samples)
        self.f1, self.f2 = (RoiHead(size.width, columns=num_classes + 1) for _ in range(2))
        self.regressor = RoiHead(size.width, columns=4)
        self.mil = RoiMilHead(size.width, num_classes=num_classes, class_bias=midl.class_bias)
        self.mask = MaskHead(size.channels, depth=size.mask_depth, num_classes=num_classes)
        self.matcher = Matcher(_POSITIVE_IOU, _POSITIVE_IOU, allow_low_quality_matches=False)
        self.sampler = BalancedPositiveNegativeSampler(size.sampled, _POSITIVE_SHARE)
        self.box_coder = BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))

    def features(self, images: Tensor, sizes_hw: Tensor) -> list[Tensor]:
        """See MidlDetector."""
        x = self.normalized(images, sizes_hw)
        levels: list[Tensor] = self.backbone(x.contiguous(memory_format=torch.channels_last))
        return levels

    def instances(self, features: list[Tensor], sizes_hw: Tensor) -> ProposalBags:
        """See MidlDetector."""
        proposals, logits, deltas, anchors = self.rpn(features, sizes_hw)
        counts = [len(boxes) for boxes in proposals]
        x = self.box_features(features, proposals)  # (R, width)
        (mil_x,) = self.mil_features([x])
        zc, zo = self.mil(mil_x)

        def bags(rows: Tensor) -> Tensor:  # (R, K) -> (B, N, K)
            return pad_bags(torch.split(rows, counts))[0]

        priors, valid = pad_bags(proposals)
        return ProposalBags(
            cls_logits_1=bags(self.f1(x)),
            cls_logits_2=bags(self.f2(x)),
            mil_class_logits=bags(zc),
            mil_objectness_logits=bags(zo),
            box_deltas=bags(self.regressor(x)),
            priors=priors,
            valid=valid,
            activation="softmax",
            rpn_logits=logits,
            rpn_deltas=deltas,
            anchors=anchors.expand(len(proposals), -1, -1),
            levels=tuple(features),
            regions=torch.split(x, counts),
        )

    def detection_loss(self, instances: Instances, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Losses of RPN, f1, f2, regressor and masks, as torchvision's, on random samples of anchors and proposals."""
        bags = _proposal_bags(instances)
        losses = self.rpn.loss(bags.rpn_logits, bags.rpn_deltas, bags.anchors[0], targets)
        sampled = self._sample(bags, targets)
        x = self.box_features(bags.levels, [target.boxes for target in targets])
        counts = [len(target.boxes) for target in targets]

        def rows(of_bags: Tensor, of_labeled: Tensor) -> Tensor:  # (R, K) of the sampled regions
            pairs = zip(of_bags, bags.valid, torch.split(of_labeled, counts), sampled, strict=True)
            return torch.cat([torch.cat([bag[valid], own])[s.rows] for bag, valid, own, s in pairs]).float()

        labels = torch.cat([s.labels for s in sampled])
        boxes = torch.cat([s.boxes for s in sampled])
        count = max(len(labels), 1)
        for name, logits, head in (("class_1", bags.cls_logits_1, self.f1), ("class_2", bags.cls_logits_2, self.f2)):
            losses[name] = cross_entropy(rows(logits, head(x)), labels, reduction="sum") / count
        positive = labels > 0
        objects = torch.cat([s.objects for s in sampled])
        wanted = self.box_coder.encode_single(objects[positive], boxes[positive])
        deltas = rows(bags.box_deltas, self.regressor(x))[positive]
        losses["box"] = smooth_l1_loss(deltas, wanted, beta=_SMOOTH_L1_BETA, reduction="sum") / count
        losses["mask"] = self._mask_loss(bags, targets, sampled)
        return losses

    def _sample(self, bags: ProposalBags, targets: Sequence[Target]) -> list[_Sampled]:
        """Draw the regions of each image, a quarter of them on objects where there are enough."""
        regions = []
        for priors, valid, target in zip(bags.priors, bags.valid, targets, strict=True):
            boxes = torch.cat([priors[valid], target.boxes])
            matched = torch.full((len(boxes),), Matcher.BELOW_LOW_THRESHOLD, device=boxes.device)
            labels, objects = torch.zeros_like(matched), boxes
            if len(target.boxes):
                matched = self.matcher(box_iou(target.boxes, boxes))
                nearest = matched.clamp(min=0)
                labels = torch.where(matched >= 0, target.labels[nearest] + 1, 0)
                objects = target.boxes[nearest]
            regions.append((boxes, labels, matched, objects))
        sampled = []
        for of_image, on, off in zip(regions, *self.sampler([labels for _, labels, _, _ in regions]), strict=True):
            rows = (on | off).nonzero().squeeze(1)
            boxes, labels, matched, objects = (part[rows] for part in of_image)
            sampled.append(_Sampled(rows, boxes, labels, matched, objects))
        return sampled

    def _mask_loss(self, bags: ProposalBags, targets: Sequence[Target], sampled: Sequence[_Sampled]) -> Tensor:
        """Mask loss of the regions on objects that have a mask."""
        boxes, labels, matched, masks = [], [], [], []
        for target, regions in zip(targets, sampled, strict=True):
            drawn = target.masks
            if drawn is None:
                drawn = torch.zeros((len(target.boxes), 1, 1), dtype=torch.bool, device=target.boxes.device)
            on_object = regions.matched >= 0
            on_mask = on_object.clone()
            on_mask[on_object] = drawn.flatten(1).any(dim=1)[regions.matched[on_object]]
            boxes.append(regions.boxes[on_mask])
            labels.append(regions.labels[on_mask] - 1)
            matched.append(regions.matched[on_mask])
            masks.append(drawn)
        logits = self.mask(bags.levels, boxes)
        return self.mask.compute_loss(logits, boxes, torch.cat(labels), masks, matched)

    @torch.no_grad()
    def detect(
        self, instances: Instances, sizes_hw: Tensor, *, score_threshold: float, iou_threshold: float, max_boxes: int
    ) -> list[Detections]:
        """See MidlDetector. Masks are predicted on the boxes that are left."""
        found = detections(
            instances,
            self.box_coder,
            sizes_hw,
            score_threshold=score_threshold,
            iou_threshold=iou_threshold,
            max_boxes=max_boxes,
        )
        logits = self.mask(_proposal_bags(instances).levels, [f.boxes for f in found])  # (R, C, 28, 28)
        labels = torch.cat([f.labels for f in found])
        masks = logits[torch.arange(len(labels), device=labels.device), labels].sigmoid()
        split = torch.split(masks, [len(f.labels) for f in found])
        return [replace(f, masks=of_image) for f, of_image in zip(found, split, strict=True)]

    def pooled(self, features: list[Tensor], instances: Instances, weights: Tensor) -> Tensor:
        """See MidlDetector. The feature of a proposal is what all box heads read."""
        regions = _proposal_bags(instances).regions
        # Valid proposals come first in a bag.
        return torch.stack([w[: len(rows)] @ rows.float() for rows, w in zip(regions, weights, strict=True)])

    def footprints(self, features: list[Tensor], instances: Instances) -> Tensor:
        """See MidlDetector: the proposals themselves."""
        return instances.priors

    def modules_by_role(self) -> dict[ParameterRole, list[nn.Module]]:
        """See MidlDetector.

        RPN and the shared layer of the boxes make the instances and what is known of them, as backbone and FPN do;
        a mask says where an object is, as the regressor does.
        """
        return {
            "features": [self.backbone, self.rpn, self.box_features],
            "classifiers": [self.f1, self.f2],
            "regressor": [self.regressor, self.mask],
            "mil": [self.mil],
        }


def _proposal_bags(instances: Instances) -> ProposalBags:
    """Narrow the type: the losses and masks need the feature levels."""
    if not isinstance(instances, ProposalBags):
        raise TypeError(f"Mask R-CNN needs the ProposalBags that its `instances` gives, got {type(instances).__name__}")
    return instances


def build(*, num_classes: int, backbone: str, weights: str, midl: MidlConfig, anchor_scale: float) -> MaskRcnn:
    """Build a Mask R-CNN: the light head on efficientnet_lite0 and its like, the reference one on resnet50."""
    size = FULL if backbone in FULL_HEAD_BACKBONES else LIGHT
    return MaskRcnn(num_classes, midl, backbone=backbone, weights=weights, size=size, anchor_scale=anchor_scale)
