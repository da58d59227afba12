"""The probabilities of MIDL as pure functions on logits (Eqs. 5, 8, 10 and 11).

Shapes: B images, N instances in a bag, C classes without background. Every function also takes a single image without
B. All of it runs in float32 (float64 stays): a softmax over 100,000 anchors loses its tail in half precision.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Activation = Literal["sigmoid", "softmax"]

# Below this sum of 1 - exp(z) every class logit is zero to rounding and the second line of Eq. 10 is 0 / 0.
_MIN_REVERSE_SUM = 1e-12


def full_precision(x: Tensor) -> Tensor:
    """Return `x` in float32, or in float64 if it is that already."""
    return x if x.dtype == torch.float64 else x.float()


def softmax_over_classes(logits: Tensor) -> Tensor:
    """Softmax over the last dimension.

    On a CPU torch's own goes row by row: with 10 classes it takes five times as long as these whole-tensor operations.
    """
    if logits.device.type != "cpu" or logits.shape[-1] == 0:
        return logits.softmax(dim=-1)
    # The shift cancels out, and with it its gradient.
    powers: Tensor = (logits - logits.detach().amax(dim=-1, keepdim=True)).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


def class_scores(cls_logits: Tensor, activation: Activation = "sigmoid") -> Tensor:
    """Turn classifier logits into probabilities of the foreground classes.

    cls_logits: (..., N, C) for "sigmoid"; (..., N, C + 1) with the background in column 0 for "softmax".

    Returns: (..., N, C) in 0-1.
    """
    logits = full_precision(cls_logits)
    if activation == "sigmoid":
        return logits.sigmoid()
    if activation == "softmax":
        return softmax_over_classes(logits)[..., 1:]
    raise ValueError(f"activation must be 'sigmoid' or 'softmax', got {activation!r}")


def class_given_object(cls_logits: Tensor, activation: Activation = "sigmoid") -> Tensor:
    """Probability of each class if the instance is an object: a softmax over the foreground classes alone.

    For "softmax" that is the detector's own probability, divided by that of all foreground classes. For "sigmoid" the
    classes are judged one by one, and exp(logit) is the odds of each.

    Arguments as in `class_scores`. Returns: (..., N, C), sums to 1 over C.
    """
    logits = full_precision(cls_logits)
    return softmax_over_classes(logits[..., 1:] if activation == "softmax" else logits)


def instance_uncertainty(cls_logits_1: Tensor, cls_logits_2: Tensor, activation: Activation = "sigmoid") -> Tensor:
    """Squared difference of what the two adversarial classifiers say (Eq. 5).

    Returns: (..., N, C) in 0-1. Raises ValueError when the shapes differ.
    """
    _check_alike(cls_logits_1, cls_logits_2)
    return (class_scores(cls_logits_1, activation) - class_scores(cls_logits_2, activation)).square()


def class_disagreement(cls_logits_1: Tensor, cls_logits_2: Tensor, activation: Activation = "sigmoid") -> Tensor:
    """Probability that the two classifiers, given an object, name different classes: 1 - sum_c s1[c] * s2[c].

    s1 and s2 are those of `class_given_object`. It is |s1 - s2|^2 / 2, the difference of Eq. 5, and the doubt of each,
    (1 - |s|^2) / 2: two classifiers that both do not know which class it is are not certain of it.

    Returns: (..., N) in 0-1, with one class 0. Raises ValueError when the shapes differ.
    """
    _check_alike(cls_logits_1, cls_logits_2)
    first, second = (class_given_object(z, activation) for z in (cls_logits_1, cls_logits_2))
    return (1 - (first * second).sum(dim=-1)).clamp(min=0)


def _check_alike(cls_logits_1: Tensor, cls_logits_2: Tensor) -> None:
    if cls_logits_1.shape != cls_logits_2.shape:
        raise ValueError(
            f"logits of f1 and f2 must have one shape, got {tuple(cls_logits_1.shape)} and {tuple(cls_logits_2.shape)}"
        )


def class_probability(mil_class_logits: Tensor, *, delta_fg: float = 0.0, background_gradient: bool = False) -> Tensor:
    """Probability of each class given the instance (Eq. 10).

    Where the largest logit is above `delta_fg` this is a softmax; elsewhere, on background, (1 - exp(z)) normalised. No
    gradient passes through the second line, unless `background_gradient` says so: raising p there needs a *lower*
    logit, so the MIL loss would push an instance away from the foreground and it could never climb over the threshold.

    mil_class_logits: (..., N, C). delta_fg: logit units, at most 0.

    Returns: (..., N, C), sums to 1 over C. Raises ValueError for delta_fg above 0, where 1 - exp(z) turns negative.
    """
    if not delta_fg <= 0:
        raise ValueError(f"delta_fg is a logit threshold and must be at most 0, got {delta_fg!r}")
    logits = full_precision(mil_class_logits)
    foreground = softmax_over_classes(logits)
    below = logits if background_gradient else logits.detach()
    reverse = -torch.expm1(below.clamp(max=0.0))  # (..., N, C), 1 - exp(z) without cancellation near z = 0
    total = reverse.sum(dim=-1, keepdim=True)
    uniform = 1.0 / max(logits.shape[-1], 1)
    background = torch.where(total > _MIN_REVERSE_SUM, reverse / total.clamp(min=_MIN_REVERSE_SUM), uniform)
    return torch.where(logits.amax(dim=-1, keepdim=True) > delta_fg, foreground, background)


def objectness_probability(mil_objectness_logits: Tensor, *, valid: Tensor | None = None) -> Tensor:
    """Probability of each instance to be the object of its image: softmax over instances of the largest logit (Eq. 11).

    mil_objectness_logits: (..., N, C), or (..., N, 1) where the classes are already pooled.
    valid: (..., N) bool; instances that are False (padding) get probability 0. None counts all.

    Returns: (..., N), sums to 1 over N (to 0 in a bag without valid instances).
    """
    logits = full_precision(mil_objectness_logits).amax(dim=-1)  # (..., N)
    if valid is None:
        return logits.softmax(dim=-1)
    # A finite floor, not -inf: a bag without valid instances would become NaN.
    floor = torch.finfo(logits.dtype).min
    return logits.masked_fill(~valid, floor).softmax(dim=-1) * valid


def tied_objectness_logits(
    mil_objectness_logits: Tensor, cls_logits_1: Tensor, cls_logits_2: Tensor, activation: Activation = "sigmoid"
) -> Tensor:
    """Objectness logits as a learned residual over the detector's own class logits.

    max_c zo + max_c (z1 + z2) / 2, the second term detached. With the image-level loss alone objectness drifts to
    context; the classifiers, trained with boxes, know where the objects are.

    Returns: (..., N, 1).
    """
    mean = (full_precision(cls_logits_1.detach()) + full_precision(cls_logits_2.detach())) / 2
    if activation == "softmax":
        mean = mean[..., 1:] - mean[..., :1]
    residual = full_precision(mil_objectness_logits).amax(dim=-1, keepdim=True)
    return residual + mean.amax(dim=-1, keepdim=True)


def image_class_probability(p_cls: Tensor, p_obj: Tensor) -> Tensor:
    """Probability of each class to be in the image: sum_i p_cls[i, c] * p_obj[i] (Eq. 8).

    p_cls: (..., N, C). p_obj: (..., N).

    Returns: (..., C) in 0-1.
    """
    # Not a matrix product: autocast would run one in half precision.
    return (full_precision(p_cls) * full_precision(p_obj).unsqueeze(-1)).sum(dim=-2)
