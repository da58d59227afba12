"""Coverage: k-center greedy, weighted by utility, inside clusters that share the budget by their utility.

The share of a cluster is what brings its labelled frames and its picks together into proportion to its utility: one
that has its labels already gets none before the others have theirs.

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
# Halvings of the water level, beyond a float's digits, and what is whole but for them.
_HALVINGS = 100
_ROUNDING = 1e-9


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
        self.held = 0  # members that are labelled or picked

    def keep_away(self, labeled: "Matrix") -> None:
        """Count these labelled features as picked."""
        self.held = len(labeled)
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
            self.held += 1
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
    held = np.array([cluster.held for cluster in clusters], dtype=np.int64)
    # Members without any utility are still worth a pick while there is budget.
    shares = share_out(np.where(capacity > 0, np.maximum(mass, 1e-9), 0), capacity, rules.expected, held)
    for number in np.argsort(-mass, kind="stable").tolist():
        if shares[number]:
            clusters[number].pick(int(shares[number]), rules, picks)
    return bool(shares.any())


def share_out(
    mass: "npt.NDArray[np.float64]", capacity: "npt.NDArray[np.int64]", count: int, held: "Codes | None" = None
) -> "Codes":
    """`count` in whole shares, none above its capacity, so that held + share is as near to proportional to `mass` as
    it can be, (K,).

    held: what each has had before; one that has had more than is due gets none. Water is poured in until the level at
    which `count` is used up; what rounding leaves goes to the largest remainders.
    """
    import numpy as np

    before = np.zeros(len(mass)) if held is None else held.astype(np.float64)
    room = np.where(mass > 0, capacity, 0)
    left = min(count, int(room.sum()))
    if left <= 0:
        return np.zeros(len(mass), dtype=np.int64)

    def poured(level: float) -> "npt.NDArray[np.float64]":
        return np.clip(level * mass - before, 0, room)

    low, high = 0.0, float(np.max((before + room)[mass > 0] / mass[mass > 0]))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if poured(middle).sum() < left else (low, middle)
    exact = poured(high)
    shares = np.minimum(np.floor(exact + _ROUNDING), room).astype(np.int64)
    order = np.argsort(-np.where(shares < room, exact - shares, -np.inf), kind="stable")
    for place in order[: left - int(shares.sum())].tolist():
        shares[place] += 1
    return shares
