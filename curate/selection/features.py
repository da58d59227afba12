"""Features in whole numbers, so that their distances are the same on every machine and with any number of threads.

A matrix product in floating point differs in its last bits with the number of threads, and one such bit can turn a
close decision and with it all that follow. Here a feature is scaled to length `LENGTH` and rounded: by Cauchy-Schwarz
no partial sum of a dot product of two such vectors is above their lengths' product, and a squared distance is at most
four times that, still below 2**24. So every number that float32 makes on the way is exact, in whatever order.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

LENGTH = 2000
_ROWS = 65536


def whole(features: "Matrix") -> "Matrix":
    """Directions of length about LENGTH with whole numbers, (N, D); a feature of zeros stays zeros."""
    import numpy as np

    result = np.empty(features.shape, dtype=np.float32)
    for start in range(0, len(features), _ROWS):
        rows = features[start : start + _ROWS].astype(np.float64)
        norms = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
        result[start : start + _ROWS] = np.rint(rows * (LENGTH / np.where(norms > 0, norms, 1)))
    return result


def squared_norms(features: "Matrix") -> "Matrix":
    """The squared length of each, (N,), exact."""
    import numpy as np

    return np.asarray(np.einsum("nd,nd->n", features, features), dtype=np.float32)


def distances(features: "Matrix", norms: "Matrix", i: int) -> "Matrix":
    """The distance of each feature from the i-th, (N,), 0-2, where 2 is the opposite direction."""
    return _rooted(norms + norms[i] - 2 * (features @ features[i]))


def distances_to(features: "Matrix", point: "Matrix") -> "Matrix":
    """The distance of each feature from a point of whole numbers, (N,)."""
    return _rooted(squared_norms(features) + (point * point).sum() - 2 * (features @ point))


def nearest_distances(features: "Matrix", others: "Matrix") -> "Matrix":
    """The distance of each feature from the nearest of `others`, (N,); infinite where there are none."""
    import numpy as np

    nearest = np.full(len(features), np.inf, dtype=np.float32)
    norms, other_norms = squared_norms(features), squared_norms(others)
    step = max(1, 2**24 // max(1, len(features)))
    for start in range(0, len(others), step):
        block = others[start : start + step]
        squared = norms[:, None] + other_norms[start : start + step] - 2 * (features @ block.T)
        nearest = np.minimum(nearest, _rooted(squared.min(axis=1)))
    return nearest


def _rooted(squared: "Matrix") -> "Matrix":
    import numpy as np

    return np.asarray(np.sqrt(np.maximum(squared, 0)) / np.float32(LENGTH), dtype=np.float32)
