"""Region proposals over the feature pyramid (Ren et al. 2015), torchvision's parts in the order that MIDL needs.

torchvision computes proposals and loss in one call on labeled images. Here unlabeled images have proposals too, in a
forward pass of their own, and the loss follows for the labeled ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from detectors.anchors import pyramid_anchors
from detectors.backbones import LEVEL_STRIDES
from detectors.midl.heads import instance_rows
from detectors.model import Target

# Half an octave apart, so that small objects reach the IoU of 0.7 that makes a positive. torchvision has one size a
# level, and begins at stride 4.
_SCALES = (1.0, 2**0.5)
_ASPECT_RATIOS = (0.5, 1.0, 2.0)
_ANCHORS = len(_SCALES) * len(_ASPECT_RATIOS)
_NMS_IOU = 0.7


class ProposalNetwork(RegionProposalNetwork):  # type: ignore[misc]  # torchvision has no types
    """torchvision's RPN, with the same number of proposals in training and scoring: the bag's size is part of U."""

    def __init__(self, channels: int, *, proposals: int, anchor_scale: float) -> None:
        # Candidates a level before non-maximum suppression: 2000 for 1000, as Detectron2 trains.
        before = {"training": 2 * proposals, "testing": 2 * proposals}
        after = {"training": proposals, "testing": proposals}
        super().__init__(
            AnchorGenerator(
                tuple(tuple(anchor_scale * stride * scale for scale in _SCALES) for stride in LEVEL_STRIDES),
                (_ASPECT_RATIOS,) * len(LEVEL_STRIDES),
            ),
            RPNHead(channels, _ANCHORS),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n=before,
            post_nms_top_n=after,
            nms_thresh=_NMS_IOU,
        )
        self.largest_anchor = anchor_scale * LEVEL_STRIDES[-1] * _SCALES[-1]

    def forward(self, levels: list[Tensor], sizes_hw: Tensor) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """Propose boxes, without gradient through their places.

        levels: five of (B, channels, H, W). sizes_hw: (B, 2), the real images, to which proposals are clipped.

        Returns: B tensors (n, 4) of proposals, best first; objectness logits (B, A), deltas (B, A, 4) and anchors
        (A, 4), which the loss needs.
        """
        maps, delta_maps = self.head(levels)
        by_level = [instance_rows(x, 1).squeeze(2) for x in maps]  # (B, A of the level)
        # Coordinates of 500 px and more lose whole pixels in half precision.
        logits = torch.cat(by_level, dim=1).float()
        deltas = torch.cat([instance_rows(x, 4) for x in delta_maps], dim=1).float()
        anchors = pyramid_anchors(self.anchor_generator, levels)
        with torch.no_grad():
            count = len(sizes_hw)
            boxes = self.box_coder.decode(deltas.flatten(0, 1), [anchors] * count).view(count, -1, 4)
            sizes = [(int(height), int(width)) for height, width in sizes_hw.tolist()]
            proposals, _ = self.filter_proposals(boxes, logits, sizes, [x.shape[1] for x in by_level])
        return proposals, logits, deltas, anchors

    def loss(self, logits: Tensor, deltas: Tensor, anchors: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Binary cross-entropy and smooth L1 on a random sample of anchors.

        logits: (B, A). deltas: (B, A, 4). anchors: (A, 4).
        """
        per_image = [anchors] * len(targets)
        labels, matched = self.assign_targets_to_anchors(per_image, [{"boxes": target.boxes} for target in targets])
        wanted = self.box_coder.encode(matched, per_image)
        objectness, box = self.compute_loss(logits, deltas.flatten(0, 1), labels, wanted)
        return {"rpn_objectness": objectness, "rpn_box": box}
