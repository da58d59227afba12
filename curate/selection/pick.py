"""From utilities to picks: best first, with a minimum time gap within a video and ties broken by the seed."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class GapRule:
    """Refuses a frame that is less than `min_gap_s` seconds from a picked frame of the same source."""

    def __init__(self, min_gap_s: float) -> None:
        self._min_gap_s = min_gap_s
        self._picked: dict[str, list[float]] = defaultdict(list)

    def allows(self, source: str, timestamp_s: float) -> bool:
        """Whether the frame may be picked beside those picked so far."""
        times = self._picked[source]
        place = bisect_left(times, timestamp_s)
        # A microsecond of tolerance: time stamps are sums of fractions, and 1.0 s apart must pass a gap of 1 s.
        return all(abs(time - timestamp_s) >= self._min_gap_s - 1e-6 for time in times[max(0, place - 1) : place + 1])

    def pick(self, source: str, timestamp_s: float) -> None:
        """Remember a picked frame."""
        insort(self._picked[source], timestamp_s)


def by_utility(
    utilities: "npt.NDArray[np.float64]",
    sources: Sequence[str],
    timestamps_s: Sequence[float],
    *,
    budget: int,
    min_gap_s: float,
    rng: "np.random.Generator",
) -> list[int]:
    """Positions of at most `budget` frames by falling utility; fewer where the gap leaves no more.

    NaN utilities are never picked. Equal utilities are ordered by `rng`.
    """
    import numpy as np

    ties = rng.permutation(len(utilities))
    order = np.lexsort((ties, -utilities))
    order = order[~np.isnan(utilities[order])]
    rule = GapRule(min_gap_s)
    picked: list[int] = []
    for i in order.tolist():
        if len(picked) == budget:
            break
        if rule.allows(sources[i], timestamps_s[i]):
            rule.pick(sources[i], timestamps_s[i])
            picked.append(i)
    return picked


def by_coverage(
    features: "npt.NDArray[np.float32]",
    sources: Sequence[str],
    timestamps_s: Sequence[float],
    *,
    budget: int,
    min_gap_s: float,
    rng: "np.random.Generator",
) -> Iterator[tuple[int, float]]:
    """k-center greedy (Sener & Savarese, Core-set, ICLR 2018): each pick is the frame farthest from all picks before.

    Yields (position, distance to the nearest earlier pick); the first pick is the frame nearest to the mean feature,
    its distance that to the frame farthest from it. Ends early where the gap leaves no more. Frames equally far are
    ordered by `rng`. `features` are (N, D); time is O(budget * N * D), memory O(N) beside them.
    """
    import numpy as np

    order = rng.permutation(len(features))
    features = features[order]
    squared_norms = np.einsum("nd,nd->n", features, features)

    def distances_to(i: int) -> "npt.NDArray[np.float32]":
        squared = squared_norms + squared_norms[i] - 2 * (features @ features[i])
        return np.asarray(np.sqrt(np.maximum(squared, 0)))

    source_codes = np.unique(np.asarray(sources), return_inverse=True)[1][order]
    times = np.asarray(timestamps_s, dtype=np.float64)[order]
    allowed = np.ones(len(features), dtype=bool)
    nearest = np.full(len(features), np.inf, dtype=np.float32)
    for n in range(min(budget, len(features))):
        if n == 0:
            i = int(np.argmin(np.linalg.norm(features - features.mean(0), axis=1)))
            distance = float(distances_to(i).max())
        else:
            reachable = np.where(allowed, nearest, -1)
            i = int(np.argmax(reachable))
            distance = float(reachable[i])
            if distance < 0:
                return
        yield int(order[i]), distance
        nearest = np.minimum(nearest, distances_to(i))
        allowed[i] = False
        allowed &= ~((source_codes == source_codes[i]) & (np.abs(times - times[i]) < min_gap_s - 1e-6))
