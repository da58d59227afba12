"""Image uncertainty, discrepancy and MIL loss (Eqs. 6, 7 and 9)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from detectors.config import ClassProbability, Objectness
from detectors.midl.probabilities import (
    Activation,
    class_probability,
    full_precision,
    instance_uncertainty,
    objectness_probability,
)

# Below this the logarithm goes on along its tangent; float32 still tells 1 - 1e-7 from 1.
_EPS = 1e-7


def weighted_instance_uncertainty(u: Tensor, p_cls: Tensor | None) -> Tensor:
    """Uncertainty of each instance, sum_c u[i, c] * p_cls[i, c]: the bracket of Eq. 7.

    u, p_cls: (..., N, C); None stands for the uniform 1/C.

    Returns: (..., N).
    """
    u = full_precision(u)
    return u.mean(dim=-1) if p_cls is None else (u * full_precision(p_cls)).sum(dim=-1)


def image_uncertainty(u: Tensor, p_cls: Tensor | None, p_obj: Tensor | None, *, valid: Tensor | None = None) -> Tensor:
    """Uncertainty of the image: sum_i (sum_c u[i, c] * p_cls[i, c]) * p_obj[i] (Eq. 7).

    u, p_cls: (..., N, C). p_obj: (..., N). None stands for uniform weights; with both None this is Eq. 6's plain mean.
    valid: (..., N) bool, instances that count in the mean over uniform p_obj; a learned p_obj is 0 on the others
    already.

    Returns: (...), in 0-1 where each p_cls sums to at most 1 ("sigmoid" may go up to C); 0 for a bag without instances.
    """
    per_instance = weighted_instance_uncertainty(u, p_cls)  # (..., N)
    if p_obj is not None:
        return (per_instance * full_precision(p_obj)).sum(dim=-1)
    if valid is not None:
        return (per_instance * valid).sum(dim=-1) / valid.sum(dim=-1).clamp(min=1)
    return per_instance.mean(dim=-1) if per_instance.shape[-1] else per_instance.sum(dim=-1)


def class_weights(
    mil_class_logits: Tensor, kind: ClassProbability, *, delta_fg: float = 0.0, background_gradient: bool = False
) -> Tensor | None:
    """p_cls as the switch says: Eq. 10 for "softmax", plain sigmoid for "sigmoid", None (1/C) for "uniform"."""
    if kind == "softmax":
        return class_probability(mil_class_logits, delta_fg=delta_fg, background_gradient=background_gradient)
    if kind == "sigmoid":
        return full_precision(mil_class_logits).sigmoid()
    if kind == "uniform":
        return None
    raise ValueError(f"class_probability must be 'softmax', 'sigmoid' or 'uniform', got {kind!r}")


def objectness_weights(
    mil_objectness_logits: Tensor, kind: Objectness, *, valid: Tensor | None = None
) -> Tensor | None:
    """p_obj as the switch says: Eq. 11 for "learned", None (1/N) for "uniform"."""
    if kind == "learned":
        return objectness_probability(mil_objectness_logits, valid=valid)
    if kind == "uniform":
        return None
    raise ValueError(f"objectness must be 'learned' or 'uniform', got {kind!r}")


def discrepancy_loss(
    cls_logits_1: Tensor,
    cls_logits_2: Tensor,
    mil_class_logits: Tensor,
    mil_objectness_logits: Tensor,
    *,
    class_probability: ClassProbability = "softmax",
    objectness: Objectness = "learned",
    delta_fg: float = 0.0,
    valid: Tensor | None = None,
    activation: Activation = "sigmoid",
    reduction: Literal["mean", "none"] = "mean",
) -> Tensor:
    """Discrepancy of the two classifiers (Eq. 6 with uniform weights, Eq. 7 with learned ones), the U of Eqs. 2 and 4.

    The weights are detached: the MIL loss alone trains the MIL head, or maximizing would move p onto whatever differs.

    Shapes as in `detectors.midl.probabilities`; valid: (..., N) bool.

    Returns: the mean over images, or (...) with reduction "none".
    """
    p_cls = class_weights(mil_class_logits.detach(), class_probability, delta_fg=delta_fg)
    p_obj = objectness_weights(mil_objectness_logits.detach(), objectness, valid=valid)
    u = instance_uncertainty(cls_logits_1, cls_logits_2, activation)
    per_image = image_uncertainty(u, p_cls, p_obj, valid=valid)
    if reduction == "none":
        return per_image
    if reduction == "mean":
        return per_image.mean()
    raise ValueError(f"reduction must be 'mean' or 'none', got {reduction!r}")


def mil_loss(p_img: Tensor, image_labels: Tensor, *, counted: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of the image's class probabilities, summed over classes (Eq. 9), mean over counted images.

    p_img: (B, C) or (C,) in 0-1. image_labels: the same shape, 0 or 1.
    counted: (B,) bool, images that take part (a pseudo label may be empty). None counts all; with none left the loss
    is 0.

    Raises ValueError when the shapes differ.
    """
    if p_img.shape != image_labels.shape:
        raise ValueError(f"p_img {tuple(p_img.shape)} and image_labels {tuple(image_labels.shape)} must have one shape")
    p = full_precision(p_img)
    y = image_labels.to(p.dtype)
    per_image = -(y * _finite_log(p) + (1 - y) * _finite_log(1 - p)).sum(dim=-1)  # (B,) or ()
    weight = torch.ones_like(per_image) if counted is None else counted.to(p.dtype)
    return (per_image * weight).sum() / weight.sum().clamp(min=1)


def _finite_log(p: Tensor) -> Tensor:
    """Logarithm of a probability, finite and with a gradient at 0: clamping p would leave a wrong image none."""
    return torch.where(p > _EPS, p.clamp(min=_EPS).log(), math.log(_EPS) + (p - _EPS) / _EPS)
