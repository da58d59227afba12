"""Other image scores from the instances that Eq. 7 weighs: what keeps it from following the true error of an image.

The weights are Eq. 7's, w[i, c] = p_cls[i, c] * p_obj[i]. What they weigh there is (f1 - f2)^2, which is small wherever
both classifiers see nothing, whether or not something is there.

  relative   sum of w |f1 - f2| / (f1 + f2): how far they differ for their size
  missed     sum of w (1 - (f1 + f2) / 2): what the MIL head takes for an object of a class and the classifiers do not
  no_class   1 - the largest p_img of Eq. 8: whether the MIL head sees a class at all
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from detectors.data import load_sample
from detectors.inference import Scorer
from detectors.midl.bags import bag_weights
from detectors.midl.probabilities import class_scores

VARIANTS = ("relative", "missed", "no_class")
_EPSILON = 1e-6


@torch.inference_mode()
def variants(scorer: Scorer, paths: Sequence[Path]) -> dict[str, list[float]]:
    """Each variant's values, in the order of the images."""
    found: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for path in paths:
        instances = scorer.run([load_sample(path, image_size=scorer.image_size)]).instances
        first, second = (
            class_scores(logits[0], instances.activation) for logits in (instances.cls_logits_1, instances.cls_logits_2)
        )
        weights = bag_weights(instances, scorer.midl)
        w = weights.p_cls[0] * weights.p_obj[0].unsqueeze(-1)  # (N, C)
        found["relative"].append(float((w * (first - second).abs() / (first + second + _EPSILON)).sum()))
        found["missed"].append(float((w * (1 - (first + second) / 2)).sum()))
        found["no_class"].append(float(1 - w.sum(dim=0).max()))
    return found
