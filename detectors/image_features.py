"""One vector an image from a detector's own features: what its objects look like, of which classes, in which scene.

Three blocks, each of length 1, then concatenated, brought to EMBEDDING_DIM numbers and scaled to length 1:

  objects  sum_i w_i g_i, g_i the feature of instance i, w_i = p_obj[i] * sum_c p_cls[i, c] as in Eqs. 7 and 8
  classes  sum_i p_obj[i] * p_cls[i, c]: Eq. 8. In the block above the classes cancel out where p_cls sums to 1
  scene    the mean of g_i over all instances: objects alone would make a car at night the car at noon
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from detectors.midl.bags import BagScores
from detectors.model import Instances, MidlDetector

EMBEDDING_DIM = 128
_PROJECTION_SEED = 20240612


def image_embeddings(detector: MidlDetector, features: list[Tensor], instances: Instances, bags: BagScores) -> Tensor:
    """Return (B, EMBEDDING_DIM) float32, each row of length 1. features: those the instances were made from."""
    valid = instances.valid.float()
    uniform = valid / valid.sum(dim=1, keepdim=True).clamp(min=1)
    blocks = [
        detector.pooled(features, instances, bags.instance_weights),
        bags.class_probabilities,
        detector.pooled(features, instances, uniform),
    ]
    joined = torch.cat([normalize(block, dim=1) for block in blocks], dim=1)
    return normalize(joined @ projection(joined.shape[1]).to(joined.device), dim=1)


@cache
def projection(size: int) -> Tensor:
    """Map `size` numbers to EMBEDDING_DIM, (size, EMBEDDING_DIM), the same in every process.

    More numbers: onto a random subspace (orthonormal columns from a seeded normal matrix). Fewer: zeros behind them.
    """
    if size <= EMBEDDING_DIM:
        return torch.eye(size, EMBEDDING_DIM)
    normal = np.random.default_rng(_PROJECTION_SEED).standard_normal((size, EMBEDDING_DIM))
    return torch.from_numpy(np.linalg.qr(normal)[0].astype(np.float32))
