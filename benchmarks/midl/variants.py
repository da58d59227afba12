"""Other image scores from the instances that Eq. 7 weighs, tried so that it follows the true error of the image.

The weights are Eq. 7's, w[i, c] = p_cls[i, c] * p_obj[i]. In Eq. 5 as printed they weigh (f1 - f2)^2, which is small
wherever both classifiers see nothing, whether or not something is there. s1 and s2 are the class probabilities given an
object, P(o|x) the score of the surest instance. The default is `apart` times P(o|x) / 0.2, at most 1.

  relative   sum of w |f1 - f2| / (f1 + f2): how far they differ for their size
  hellinger  sum of w (sqrt f1 - sqrt f2)^2
  missed     sum of w (1 - (f1 + f2) / 2): what the MIL head takes for an object of a class and the classifiers do not
  no_class   1 - the largest p_img of Eq. 8: whether the MIL head sees a class at all
  given      sum of w (s1 - s2)^2: Eq. 5 given an object
  given_shown  the same times P(o|x)
  apart      sum of p_obj (1 - sum_c s1 s2): the probability that the two, given an object, name different classes
  apart_shown  the same times P(o|x); apart_15, apart_25: times P(o|x) / 0.15 and / 0.25, at most 1
  missed_20  missed times P(o|x) / 0.2, at most 1
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from detectors.data import load_sample
from detectors.inference import Scorer
from detectors.midl import class_given_object
from detectors.midl.bags import bag_weights
from detectors.midl.probabilities import class_scores

VARIANTS = (
    "relative",
    "hellinger",
    "missed",
    "no_class",
    "given",
    "given_shown",
    "apart",
    "apart_shown",
    "apart_15",
    "apart_25",
    "missed_20",
)
_EPSILON = 1e-6


@torch.inference_mode()
def variants(scorer: Scorer, paths: Sequence[Path]) -> dict[str, list[float]]:
    """Each variant's values, in the order of the images."""
    found: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for path in paths:
        instances = scorer.run([load_sample(path, image_size=scorer.image_size)]).instances
        logits = (instances.cls_logits_1[0], instances.cls_logits_2[0])
        first, second = (class_scores(z, instances.activation) for z in logits)  # (N, C)
        given_1, given_2 = (class_given_object(z, instances.activation) for z in logits)  # (N, C)
        weights = bag_weights(instances, scorer.midl)
        p_obj = weights.p_obj[0]  # (N,)
        w = weights.p_cls[0] * p_obj.unsqueeze(-1)  # (N, C)
        mean = (first + second) / 2
        shown = float((mean * instances.valid[0].unsqueeze(-1)).max())
        apart = float((p_obj * (1 - (given_1 * given_2).sum(dim=-1))).sum())
        missed = float((w * (1 - mean)).sum())
        given = float((w * (given_1 - given_2).square()).sum())
        values = {
            "relative": float((w * (first - second).abs() / (first + second + _EPSILON)).sum()),
            "hellinger": float((w * (first.sqrt() - second.sqrt()).square()).sum()),
            "missed": missed,
            "no_class": float(1 - w.sum(dim=0).max()),
            "given": given,
            "given_shown": given * shown,
            "apart": apart,
            "apart_shown": apart * shown,
            "apart_15": apart * min(1, shown / 0.15),
            "apart_25": apart * min(1, shown / 0.25),
            "missed_20": missed * min(1, shown / 0.2),
        }
        for name, value in values.items():
            found[name].append(value)
    return found
