"""The equations put together for a batch of bags, under the switches of a MidlConfig."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torchvision.ops import box_iou

from detectors.config import MidlConfig
from detectors.midl.losses import (
    class_weights,
    image_uncertainty,
    mil_loss,
    objectness_weights,
    weighted_instance_uncertainty,
)
from detectors.midl.probabilities import (
    class_disagreement,
    full_precision,
    image_class_probability,
    instance_uncertainty,
    tied_objectness_logits,
)
from detectors.model import Instances

# An instance with this IoU to a box is on an object (paper Fig. 9).
ON_OBJECT_IOU = 0.5
# MI-AOD scores an image by its so many most uncertain instances (Yuan et al. 2021; its published code).
TOP_K = 10_000
# An image whose surest instance scores this shows an object: a detector of few labels seldom says more of one
# (docs/results/midl.md has what other values gave).
SHOWN_SCORE = 0.2


@dataclass(frozen=True)
class BagWeights:
    """What the MIL head says of the instances of B images, in float32."""

    p_cls: Tensor  # (B, N, C) Eq. 10
    p_obj: Tensor  # (B, N) Eq. 11
    objectness_logits: Tensor  # (B, N) the logits under p_obj, of all instances

    def switched(self, midl: MidlConfig) -> tuple[Tensor | None, Tensor | None]:
        """Return p_cls and p_obj as weights of Eq. 7: without gradient, None where the switch says uniform."""
        p_cls = None if midl.class_probability == "uniform" else self.p_cls.detach()
        return p_cls, None if midl.objectness == "uniform" else self.p_obj.detach()


@dataclass(frozen=True)
class BagScores:
    """What MIDL says of B images with N instances and C classes; in 0-1, in float32.

    Uncertainties may go up to C under "sigmoid", whose class probabilities do not sum to 1.
    """

    uncertainty: Tensor  # (B,) Eq. 7, or as MidlConfig.image_score says
    printed_uncertainty: Tensor  # (B,) Eq. 7 with Eq. 5 as printed, whatever MidlConfig.given_object says
    mean_uncertainty: Tensor  # (B,) mean of Eq. 5, as printed, over valid instances and classes: Eq. 6
    max_uncertainty: Tensor  # (B,) largest instance uncertainty of Eq. 5, as printed, weighted over classes as in Eq. 7
    objectness_uncertainty: Tensor  # (B,) Eq. 7 with p_cls uniform, u as printed
    top_k_uncertainty: Tensor  # (B,) MI-AOD: mean of the TOP_K largest means over classes of Eq. 5, of all if fewer
    class_probabilities: Tensor  # (B, C) Eq. 8
    instance_uncertainties: Tensor  # (B, N) sum_c u * p_cls
    objectness: Tensor  # (B, N) p_obj
    instance_weights: Tensor  # (B, N) p_obj * sum_c p_cls, both as learned


def objectness_logits(instances: Instances, midl: MidlConfig) -> Tensor:
    """The largest logit of each instance in Eq. 11, tied to the detector's own if `midl` says so. (B, N)."""
    if not midl.tie_objectness:
        return full_precision(instances.mil_objectness_logits).amax(dim=-1)
    return tied_objectness_logits(
        instances.mil_objectness_logits, instances.cls_logits_1, instances.cls_logits_2, instances.activation
    ).squeeze(-1)


def bag_weights(instances: Instances, midl: MidlConfig) -> BagWeights:
    """Eqs. 10 and 11 of a batch. Also under uniform switches: the MIL head learns all the same."""
    kind = "softmax" if midl.class_probability == "uniform" else midl.class_probability
    p_cls = class_weights(
        instances.mil_class_logits, kind, delta_fg=midl.delta_fg, background_gradient=midl.background_gradient
    )
    logits = objectness_logits(instances, midl)
    counted = instances.valid
    if midl.objectness_instances is not None:
        counted = counted & _of_largest(logits.masked_fill(~counted, -torch.inf), midl.objectness_instances)
    p_obj = objectness_weights(logits.unsqueeze(-1), "learned", valid=counted)
    assert p_cls is not None
    assert p_obj is not None
    return BagWeights(p_cls, p_obj, logits)


def _of_largest(values: Tensor, count: int) -> Tensor:
    """Which values are among the `count` largest of their row, (B, N) bool."""
    largest = values.topk(min(count, values.shape[1]), dim=1, sorted=False).indices
    return torch.zeros_like(values, dtype=torch.bool).scatter(1, largest, value=True)


def on_objects(instances: Instances, boxes: Sequence[Tensor]) -> Tensor:
    """Which instances overlap an object by ON_OBJECT_IOU, (B, N) bool. boxes: of each image, (n, 4) xyxy."""
    rows = [
        box_iou(of_image, priors).amax(dim=0) >= ON_OBJECT_IOU
        if len(of_image) and len(priors)
        else torch.zeros(len(priors), dtype=torch.bool, device=priors.device)
        for of_image, priors in zip(boxes, instances.priors, strict=True)
    ]
    return torch.stack(rows) & instances.valid


def bag_objectness_loss(
    instances: Instances, midl: MidlConfig, boxes: Sequence[Tensor], weights: BagWeights | None = None
) -> Tensor:
    """-log of the share of p_obj on objects, mean over the images with instances on objects; 0 without any."""
    on_object = on_objects(instances, boxes)
    # A softmax over the instances: the share is a difference of log-sum-exps, which stays finite where it is tiny.
    logits = (weights or bag_weights(instances, midl)).objectness_logits
    floor = torch.finfo(logits.dtype).min
    inside, total = (logits.masked_fill(~rows, floor).logsumexp(dim=1) for rows in (on_object, instances.valid))
    counted = on_object.any(dim=1)
    losses = torch.where(counted, total - inside, torch.zeros_like(total))
    return losses.sum() / counted.sum().clamp(min=1)


def bag_discrepancy(instances: Instances, midl: MidlConfig, weights: BagWeights | None = None) -> Tensor:
    """U of Eqs. 2 and 4, mean over the images: a scalar with gradient to the classifiers' logits alone.

    weights: those of `bag_weights`, if they are known already. See `detectors.midl.discrepancy_loss`.
    """
    weights = weights or bag_weights(instances, midl)
    u = instance_uncertainty(instances.cls_logits_1, instances.cls_logits_2, instances.activation)
    p_cls, p_obj = weights.switched(midl)
    return image_uncertainty(u, p_cls, p_obj, valid=instances.valid).mean()


def pseudo_image_labels(instances: Instances, score: float) -> Tensor:
    """Classes of which an instance has this score, the mean of the classifiers. (B, C) bool; an image may have none."""
    scores = instances.scores().detach() * instances.valid.unsqueeze(-1)
    if scores.shape[1] == 0:
        return torch.zeros(scores.shape[0], scores.shape[2], dtype=torch.bool, device=scores.device)
    return scores.amax(dim=1) >= score


def bag_mil_loss(
    instances: Instances,
    midl: MidlConfig,
    image_labels: Tensor,
    weights: BagWeights | None = None,
    *,
    pseudo: bool = False,
) -> Tensor:
    """Eq. 9, mean over the images that count. image_labels: (B, C) bool.

    Under "softmax" the class probabilities of an image sum to one, so that an image without objects has no reachable
    target: it does not count. Under "sigmoid" it does, unless the labels are pseudo labels: without one, nothing is
    known of the image.
    """
    weights = weights or bag_weights(instances, midl)
    p_img = image_class_probability(weights.p_cls, weights.p_obj)
    empty_counts = midl.class_probability == "sigmoid" and not pseudo
    return mil_loss(p_img, image_labels, counted=None if empty_counts else image_labels.any(dim=1))


def bag_scores(instances: Instances, midl: MidlConfig) -> BagScores:
    """Score the images, at least one, without gradient.

    One after the other: the equations make a dozen (N, C) tensors, together a gigabyte for 200,000 anchors and 80
    classes.
    """
    with torch.no_grad():
        scores = [_bag_scores(instances[row : row + 1], midl) for row in range(len(instances.valid))]
        return BagScores(*(torch.cat([getattr(score, f.name) for score in scores]) for f in fields(BagScores)))


def _bag_scores(instances: Instances, midl: MidlConfig) -> BagScores:
    valid = instances.valid
    printed = instance_uncertainty(instances.cls_logits_1, instances.cls_logits_2, instances.activation)
    u = uncertainty_given_object(instances) if midl.given_object else printed  # (B, N, C)
    weights = bag_weights(instances, midl)
    p_cls, p_obj = weights.switched(midl)
    per_instance = weighted_instance_uncertainty(u, p_cls) * valid  # (B, N)
    image_score = {
        "joint": image_uncertainty(u, p_cls, p_obj, valid=valid),
        "mean": image_uncertainty(u, p_cls, None, valid=valid),
        "max": _largest(per_instance),
    }
    return BagScores(
        uncertainty=image_score[midl.image_score],
        printed_uncertainty=image_uncertainty(printed, p_cls, p_obj, valid=valid),
        mean_uncertainty=image_uncertainty(printed, None, None, valid=valid),
        max_uncertainty=_largest(weighted_instance_uncertainty(printed, p_cls) * valid),
        objectness_uncertainty=image_uncertainty(printed, None, weights.p_obj, valid=valid),
        top_k_uncertainty=top_k_uncertainty(printed, valid),
        class_probabilities=image_class_probability(weights.p_cls, weights.p_obj),
        instance_uncertainties=per_instance,
        objectness=weights.p_obj,
        instance_weights=weights.p_obj * weights.p_cls.sum(dim=-1),
    )


def uncertainty_given_object(instances: Instances) -> Tensor:
    """Uncertainty of instances by total probability: that of the image to show an object, times u given an object.

    u is `class_disagreement`. The image shows an object with the score of its surest instance over SHOWN_SCORE, at most
    1. Without that, frames in which nothing is would be among the most uncertain: their objectness has to sum to one
    too. With one class this is Eq. 5 as printed: given an object there is nothing left to differ in.

    Returns: (B, N, C) in 0-1, the same for all classes, so that the sum over p_cls in Eq. 7 leaves it as it is where
    p_cls sums to 1, as under "softmax"; under "sigmoid" that sum is a factor on it.
    """
    logits = (instances.cls_logits_1, instances.cls_logits_2)
    scores = instances.scores() * instances.valid.unsqueeze(-1)  # (B, N, C)
    if scores.shape[2] == 1:
        return instance_uncertainty(*logits, instances.activation)
    shown = (_largest(scores.flatten(1)) / SHOWN_SCORE).clamp(max=1)  # (B,)
    per_instance = shown.unsqueeze(-1) * class_disagreement(*logits, instances.activation)  # (B, N)
    return per_instance.unsqueeze(-1).expand_as(scores)


def _largest(values: Tensor) -> Tensor:
    """The largest value of each bag, 0 of an empty one. values: (B, N)."""
    return values.amax(dim=1) if values.shape[1] else values.new_zeros(values.shape[0])


def top_k_uncertainty(u: Tensor, valid: Tensor, k: int = TOP_K) -> Tensor:
    """Mean of the k largest instance uncertainties, each a mean over classes (Yuan et al., CVPR 2021).

    u: (B, N, C). valid: (B, N) bool; a bag with fewer valid instances than k has the mean of those.

    Returns: (B,), 0 for a bag without valid instances.
    """
    per_instance = u.mean(dim=-1) * valid
    if per_instance.shape[1] > k:
        per_instance = per_instance.topk(k, dim=1, sorted=False).values
    return per_instance.sum(dim=1) / valid.sum(dim=1).clamp(min=1, max=k)
