"""Coverage: k-center greedy, weighted by utility, inside clusters that share the budget by their utility.

k-center greedy (Sener & Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", ICLR 2018)
picks the frame that is farthest from all labelled frames and earlier picks. Here it is the frame of the largest
utility * distance. With one cluster and equal utilities it is k-center greedy itself.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates
from curate.selection.clusters import assign, cluster
from curate.selection.features import distances, distances_to, nearest_distances, squared_norms, whole
from curate.selection.picking.types import Pick
from curate.selection.rules import Rules

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.int64]

EXACT_PAIRS = 2 * 10**8
"""Up to so many pairs of a candidate and a pick, `Coverage()` looks at all; beyond, at those of one cluster."""


@dataclass(frozen=True)
class Coverage:
    """k-center greedy with these choices.

    picks_per_cluster: the number of clusters is the budget divided by this; None for one cluster, or as many as keep
    the number of compared pairs at EXACT_PAIRS. within_sources: a video that is due a pick by its number of frames has
    clusters of its own; the others, and images, share theirs. against_labeled: keep away from labelled frames too.
    """

    picks_per_cluster: float | None = None
    within_sources: bool = False
    against_labeled: bool = True

    def __call__(
        self,
        candidates: Candidates,
        utilities: "npt.NDArray[np.float64]",
        rules: Rules,
        rng: "np.random.Generator",
    ) -> list[Pick]:
        """See `Picking`. Utilities must not be negative; a pick's utility is its utility times the distance."""
        import numpy as np

        if len(candidates) == 0:
            return []
        features = whole(candidates.embeddings())
        known = whole(candidates.labeled_embeddings()) if self.against_labeled else features[:0]
        codes, known_codes, count = self._partition(candidates, features, known, rules.expected, rng)
        order = rng.permutation(len(features))
        order = order[np.argsort(codes[order], kind="stable")]
        starts = np.searchsorted(codes[order], np.arange(count + 1))
        weights = np.nan_to_num(utilities, nan=0.0)
        clusters = [
            _Cluster(number, features, weights, order[starts[number] : starts[number + 1]]) for number in range(count)
        ]
        for number in np.unique(known_codes[known_codes >= 0]).tolist():
            clusters[number].keep_away(known[known_codes == number])
        picks: list[Pick] = []
        for _ in rules.phases():
            while not rules.full and _round(clusters, codes, weights, rules, picks):
                pass
        return sorted(picks, key=lambda pick: -pick.utility)

    def _partition(
        self, candidates: Candidates, features: "Matrix", known: "Matrix", budget: int, rng: "np.random.Generator"
    ) -> "tuple[Codes, Codes, int]":
        """The cluster of each candidate and of each labelled frame, and how many clusters there are.

        A labelled frame that is like no cluster's part of the pool has none, -1.
        """
        import numpy as np

        parts, known_parts = np.zeros(len(features), dtype=np.int64), np.zeros(len(known), dtype=np.int64)
        if self.within_sources:
            parts, known_parts = _own_parts(candidates, budget, len(known))
        codes = np.empty(len(features), dtype=np.int64)
        known_codes = np.full(len(known), -1, dtype=np.int64)
        order = np.argsort(parts, kind="stable")
        found = 0
        for members in np.split(order, np.flatnonzero(np.diff(parts[order])) + 1):
            if self.picks_per_cluster is not None:
                wanted = round(budget * len(members) / len(features) / self.picks_per_cluster)
            else:
                wanted = -(-len(members) * (budget + len(known)) // EXACT_PAIRS)
            own, centres = cluster(features[members], wanted, rng)
            codes[members] = found + own
            here = known_parts == parts[members[0]]
            known_codes[here] = found + assign(known[here], centres)
            found += len(centres)
        return codes, known_codes, found


def _own_parts(candidates: Candidates, budget: int, known: int) -> "tuple[Codes, Codes]":
    """The part of the pool of each candidate and labelled frame: its source, or -1 where that is due no pick."""
    import numpy as np

    names, sources = np.unique(candidates.frames["source"].to_numpy(), return_inverse=True)
    own = budget * np.bincount(sources) >= len(candidates)
    parts = np.where(own[sources], sources, -1)
    if candidates.labeled is None or known == 0:
        return parts, np.zeros(0, dtype=np.int64)
    labeled = candidates.labeled["source"].to_numpy()
    place = np.minimum(np.searchsorted(names, labeled), len(names) - 1)
    return parts, np.where((names[place] == labeled) & own[place], place, -1)


class _Cluster:
    """The members of one cluster, and how far each is from what is labelled or picked of it."""

    def __init__(self, number: int, features: "Matrix", weights: "npt.NDArray[np.float64]", members: "Codes") -> None:
        self.number = number
        self.members = members
        self.weights = weights[members]
        self._all = features
        self._nearest: Matrix | None = None

    def keep_away(self, labeled: "Matrix") -> None:
        """Count these labelled features as picked."""
        self._nearest = nearest_distances(self._all[self.members], labeled)

    def pick(self, share: int, rules: Rules, picks: list[Pick]) -> None:
        """Pick `share` members, or fewer where the rules allow no more."""
        import numpy as np

        features = self._all[self.members]
        norms = squared_norms(features)
        while share and not rules.full:
            scores = self.weights * self._first(features) if self._nearest is None else self.weights * self._nearest
            scores[~rules.open(self.members)] = -1
            best = int(np.argmax(scores))
            if scores[best] < 0:
                return
            if not rules.pick(int(self.members[best])):
                continue
            away = distances(features, norms, best)
            distance = float(away.max()) if self._nearest is None else float(self._nearest[best])
            utility = float(self.weights[best]) * distance
            picks.append(Pick(int(self.members[best]), utility, distance, self.number))
            self._nearest = away if self._nearest is None else np.minimum(self._nearest, away)
            share -= 1

    @staticmethod
    def _first(features: "Matrix") -> "Matrix":
        """How typical each member is: 1 + the largest distance from the mean direction - its own."""
        import numpy as np

        away = distances_to(features, whole(features.sum(axis=0, dtype=np.float64)[None].astype(np.float32))[0])
        return np.asarray(1 + away.max(initial=np.float32(0)) - away)


def _round(
    clusters: list[_Cluster],
    codes: "Codes",
    weights: "npt.NDArray[np.float64]",
    rules: Rules,
    picks: list[Pick],
) -> bool:
    """Share what is left of the budget over the clusters and pick; False where nothing may be picked any more."""
    import numpy as np

    allowed = rules.open(np.arange(len(codes)))
    capacity = np.bincount(codes[allowed], minlength=len(clusters))
    mass = np.bincount(codes[allowed], weights=weights[allowed], minlength=len(clusters))
    # Members without any utility are still worth a pick while there is budget.
    shares = share_out(np.where(capacity > 0, np.maximum(mass, 1e-9), 0), capacity, rules.expected)
    for number in np.argsort(-mass, kind="stable").tolist():
        if shares[number]:
            clusters[number].pick(int(shares[number]), rules, picks)
    return bool(shares.any())


def share_out(mass: "npt.NDArray[np.float64]", capacity: "npt.NDArray[np.int64]", count: int) -> "Codes":
    """`count` in whole shares proportional to `mass` (largest remainders), none above its capacity, (K,)."""
    import numpy as np

    shares = np.zeros(len(mass), dtype=np.int64)
    left = min(count, int(capacity.sum()))
    while left:
        free = np.where(shares < capacity, mass, 0.0)
        exact = np.minimum(left * free / free.sum(), capacity - shares)
        grown = np.floor(exact).astype(np.int64)
        rest = left - int(grown.sum())
        # What rounding left over goes to the largest remainders that have room.
        order = np.argsort(-np.where(shares + grown < capacity, exact - grown, -1), kind="stable")
        room = order[(shares + grown < capacity)[order]][:rest]
        grown[room] += 1
        shares += grown
        left -= int(grown.sum())
    return shares
