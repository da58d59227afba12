"""From instances to detections: decode, drop what scores low or overlaps, clip to the image; weigh by its classes."""

from __future__ import annotations

from torch import Tensor
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import batched_nms, clip_boxes_to_image

from detectors.model import Detections, Instances

_NMS_CANDIDATES = 1000


def detections(
    instances: Instances,
    box_coder: BoxCoder,
    sizes_hw: Tensor,
    *,
    score_threshold: float,
    iou_threshold: float,
    max_boxes: int,
) -> list[Detections]:
    """Return the detections of each image, best first. sizes_hw: (B, 2), the real images in the padding."""
    scores = instances.scores() * instances.valid.unsqueeze(-1)  # (B, N, C)
    num_classes = scores.shape[-1]
    found = []
    for i, size in enumerate(sizes_hw.tolist()):
        flat = scores[i].flatten()  # (N * C,)
        top, order = flat.topk(min(_NMS_CANDIDATES, len(flat)))
        order = order[top > score_threshold]
        rows, labels = order // num_classes, order % num_classes
        boxes = box_coder.decode_single(instances.box_deltas[i][rows].float(), instances.priors[i][rows])
        boxes = clip_boxes_to_image(boxes, (int(size[0]), int(size[1])))
        solid = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(dim=1)  # clipping may leave nothing of a box
        boxes, rows, labels, kept = boxes[solid], rows[solid], labels[solid], flat[order][solid]
        keep = batched_nms(boxes, kept, labels, iou_threshold)[:max_boxes]
        found.append(Detections(boxes[keep], labels[keep], kept[keep], rows[keep]))
    return found


def weighed_by_image(found: Detections, class_probabilities: Tensor, exponent: float) -> Detections:
    """Multiply the score of each box by the probability of its class in the image, to the power of `exponent`.

    The boxes stay as they are, best first again: within an image and a class the order cannot change, between images
    and between classes it follows what MIL knows of the whole image. class_probabilities: (C,) of Eq. 8.
    """
    if exponent == 0:
        return found
    scores = found.scores * class_probabilities[found.labels].clamp(max=1).pow(exponent)
    scores, order = scores.sort(descending=True, stable=True)
    return Detections(
        boxes=found.boxes[order],
        labels=found.labels[order],
        scores=scores,
        instances=found.instances[order],
        masks=None if found.masks is None else found.masks[order],
    )
