"""Class balance: how many picks of each predicted class are allowed while there are others.

The fully balanced share of a class is what it needs so that labelled frames and picks together are spread over the
classes as evenly as the candidates allow (the target of Bengar et al., "Class-Balanced Active Learning for Image
Classification", WACV 2022, as a count instead of a penalty). `balance` b goes from no cap to that share in equal
ratios: cap = budget^(1 - b) * share^b.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PRESENT = 0.5
"""A class of this probability (Eq. 8) or more is taken to be in the frame."""


def rarest_class(probabilities: "npt.NDArray[np.float32]", labeled: "npt.NDArray[np.int64]") -> "npt.NDArray[np.int64]":
    """The class that each frame is picked for, (N,): of those in it the one with the fewest labelled frames.

    `probabilities` are (N, C), `labeled` counts the labelled frames of each class, (C,). Where no class is likely to be
    in the frame, it is the most probable one.
    """
    import numpy as np

    by_rarity = np.argsort(labeled, kind="stable")
    present = probabilities[:, by_rarity] >= PRESENT
    first = by_rarity[np.argmax(present, axis=1)]
    return np.asarray(np.where(present.any(axis=1), first, np.argmax(probabilities, axis=1)), dtype=np.int64)


def balanced_shares(
    labeled: "npt.NDArray[np.int64]", available: "npt.NDArray[np.int64]", budget: int
) -> "npt.NDArray[np.int64]":
    """How many picks of each class make the classes as even as they can be, (C,); at most `budget` in all.

    `labeled` and `available` count the labelled frames and the candidates of each class, (C,).
    """
    import numpy as np

    low, high = 0, int(labeled.max(initial=0)) + int(budget) + 1
    while high - low > 1:
        level = (low + high) // 2
        if np.clip(level - labeled, 0, available).sum() <= budget:
            low = level
        else:
            high = level
    shares: npt.NDArray[np.int64] = np.clip(low - labeled, 0, available)
    # What is less than one for each class of this level goes to the first of them.
    room = np.flatnonzero((shares < available) & (labeled <= low))
    shares[room[: max(0, budget - int(shares.sum()))]] += 1
    return shares


def class_caps(shares: "npt.NDArray[np.int64]", budget: int, balance: float) -> "npt.NDArray[np.int64]":
    """The most picks of each class at `balance` 0-1, at least 1, (C,)."""
    import numpy as np

    caps: npt.NDArray[np.float64] = (
        float(max(1, budget)) ** (1 - balance) * np.maximum(shares, 1).astype(np.float64) ** balance
    )
    return np.ceil(caps - 1e-6).astype(np.int64)
