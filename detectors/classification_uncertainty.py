"""How unsure the classifiers are of the boxes they predict: entropy, margin and least confidence of an image.

The usual baselines of active learning for detection (Roy et al., BMVC 2018; Brust et al., 2018, there "1-vs-2"). Each
box has a distribution over the classes and background; an image is as uncertain as its most uncertain box (Roy et al.'s
"max"), and one without boxes has 0, for nothing was seen to doubt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from detectors.midl.probabilities import Activation


@dataclass(frozen=True)
class ClassificationUncertainty:
    """Of one image, each in 0-1, higher = label sooner."""

    entropy: float
    margin: float
    least_confidence: float


def box_distributions(scores: Tensor, activation: Activation) -> Tensor:
    """Probabilities of background and of each class, (n, C + 1), each row summing to 1.

    scores: (n, C) of the foreground classes. A softmax leaves the rest to the background. Under "sigmoid" the classes
    are judged one by one; background is then what the likeliest class leaves, and the row is normalised. So a box that
    is hardly above the threshold counts as almost certain background, not as torn between classes.
    """
    taken = scores.sum(dim=1, keepdim=True) if activation == "softmax" else scores.amax(dim=1, keepdim=True)
    rows = torch.cat([(1 - taken).clamp(min=0), scores], dim=1)
    return rows / rows.sum(dim=1, keepdim=True)


def classification_uncertainty(scores: Tensor, activation: Activation) -> ClassificationUncertainty:
    """Judge the predicted boxes of one image.

    entropy: over log(C + 1). margin: 1 less the difference of the two likeliest. least_confidence: 1 less the
    likeliest, over its largest value C / (C + 1).

    scores: (n, C) of the foreground classes, mean of the two classifiers.
    """
    if len(scores) == 0:
        return ClassificationUncertainty(0.0, 0.0, 0.0)
    rows = box_distributions(scores.double(), activation)  # (n, C + 1)
    count = rows.shape[1]
    best = rows.topk(2, dim=1).values  # (n, 2)
    entropy = torch.special.entr(rows).sum(dim=1) / math.log(count)
    return ClassificationUncertainty(
        entropy=entropy.max().item(),
        margin=(1 - (best[:, 0] - best[:, 1])).max().item(),
        least_confidence=((1 - best[:, 0]) * count / (count - 1)).max().item(),
    )
