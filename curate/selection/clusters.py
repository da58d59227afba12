"""Spherical k-means (Dhillon & Modha, Machine Learning 2001) in whole numbers, for up to millions of features.

Many clusters are found in two levels, so that time grows with the square root of their number. Each level begins with
k-means++ (Arthur & Vassilvitskii, SODA 2007), learns on a sample and gives every feature to its nearest centre.
"""

from typing import TYPE_CHECKING

from curate.selection.features import squared_norms, whole

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.int64]

ONE_LEVEL = 128
"""Up to so many clusters are found at once."""
SAMPLE_PER_CLUSTER = 64
ROUNDS = 6
_CELLS = 2**24


def cluster(features: "Matrix", count: int, rng: "np.random.Generator") -> "tuple[Codes, Matrix]":
    """The cluster of each feature, numbered from 0, (N,), and the centres, (K, D), K about `count`.

    `features` are those of `features.whole`. A cluster may be empty.
    """
    import numpy as np

    count = max(1, min(count, len(features)))
    if count <= ONE_LEVEL:
        few = _centres(features, count, rng)
        return assign(features, few), few
    coarse = _centres(features, round(count**0.5), rng)
    block = assign(features, coarse)
    order = np.argsort(block, kind="stable")
    stops = np.cumsum(np.bincount(block, minlength=len(coarse)))
    codes = np.empty(len(features), dtype=np.int64)
    centres: list[Matrix] = []
    found = 0
    for members in np.split(order, stops[:-1]):
        if len(members):
            own = features[members]
            centres.append(_centres(own, max(1, round(count * len(own) / len(features))), rng))
            codes[members] = found + assign(own, centres[-1])
            found += len(centres[-1])
    return codes, np.concatenate(centres)


def assign(features: "Matrix", centres: "Matrix") -> "Codes":
    """The nearest centre of each feature, the first of equals, (N,)."""
    import numpy as np

    codes = np.empty(len(features), dtype=np.int64)
    half_norms = squared_norms(centres) / 2
    step = max(1, _CELLS // len(centres))
    for start in range(0, len(features), step):
        codes[start : start + step] = np.argmax(features[start : start + step] @ centres.T - half_norms, axis=1)
    return codes


def _centres(features: "Matrix", count: int, rng: "np.random.Generator") -> "Matrix":
    import numpy as np

    if len(features) > count * SAMPLE_PER_CLUSTER:
        features = features[np.sort(rng.choice(len(features), count * SAMPLE_PER_CLUSTER, replace=False))]
    centres = _plus_plus(features, count, rng)
    for _ in range(ROUNDS):
        codes = assign(features, centres)
        order = np.argsort(codes, kind="stable")
        filled, starts = np.unique(codes[order], return_index=True)
        # Sums of whole numbers in float64 are exact.
        sums = np.add.reduceat(features[order].astype(np.float64), starts, axis=0)
        # A centre that lost its features stays where it was.
        centres[filled] = whole(sums)
    return centres


def _plus_plus(features: "Matrix", count: int, rng: "np.random.Generator") -> "Matrix":
    """k-means++: each centre is a feature, drawn in proportion to its squared distance from those drawn before."""
    import numpy as np

    norms = squared_norms(features)
    nearest = np.full(len(features), np.inf, dtype=np.float32)
    chosen = [int(rng.integers(len(features)))]
    while len(chosen) < count:
        i = chosen[-1]
        nearest = np.minimum(nearest, norms + norms[i] - 2 * (features @ features[i]))
        total = np.cumsum(np.maximum(nearest, 0), dtype=np.float64)
        if total[-1] == 0:
            break
        chosen.append(int(np.searchsorted(total, rng.random() * total[-1], side="right")))
    return features[chosen]
