"""Coverage: k-center greedy over all candidates, or over those of the highest utilities.

k-center greedy (Sener & Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", ICLR 2018)
picks the frame that is farthest from all labelled frames and earlier picks. Where there are too many pairs to compare,
frames are compared within clusters, which share the budget: in proportion to what of them may be picked, labelled
frames and picks counted together, so that a cluster that has its labels gets none before the others have theirs.
"""

from dataclasses import dataclass, replace
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
"""Up to so many pairs of a candidate and a pick are compared; beyond, the pairs within a cluster are."""
TOP_BUDGETS = 4
"""With a `top_share`, at least so many times the budget is looked at: less would leave little to choose."""
# What a candidate counts against one of the share above: it is picked where none of those may be.
_BELOW = 1e-3
# Halvings of the water level, beyond a float's digits, and what is whole but for them.
_HALVINGS = 100
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Coverage:
    """k-center greedy with these choices.

    top_share: this share of the candidates, of the highest utilities, is looked at, all of them alike (PPAL, Yang et
    al., CVPR 2024, has such stages); where none of them may be picked any more, the next as many, and so on.
    against_labeled: keep away from labelled frames too.
    """

    top_share: float = 1.0
    against_labeled: bool = True

    def __call__(
        self,
        candidates: Candidates,
        utilities: "npt.NDArray[np.float64]",
        rules: Rules,
        rng: "np.random.Generator",
    ) -> list[Pick]:
        """See `Picking`. Utilities are in [0, 1]; a pick's utility is its utility times the distance."""
        import numpy as np

        if len(candidates) == 0:
            return []
        features = whole(candidates.embeddings())
        known = whole(candidates.labeled_embeddings()) if self.against_labeled else features[:0]
        weights = self._weights(utilities, rules.expected, rng)
        pairs = len(features) * (rules.expected + len(known))
        codes, centres = cluster(features, -(-pairs // EXACT_PAIRS), rng)
        known_codes = assign(known, centres)
        order = rng.permutation(len(features))
        order = order[np.argsort(codes[order], kind="stable")]
        starts = np.searchsorted(codes[order], np.arange(len(centres) + 1))
        clusters = [
            _Cluster(features, weights, utilities, order[starts[number] : starts[number + 1]])
            for number in range(len(centres))
        ]
        for number in np.unique(known_codes).tolist():
            clusters[number].keep_away(known[known_codes == number])
        picks: list[Pick] = []
        for _ in rules.phases():
            while not rules.full and _round(clusters, codes, weights, rules, picks):
                pass
        owners = np.concatenate([cluster.owners for cluster in clusters])
        sizes = np.bincount(owners[owners >= 0], minlength=len(picks)).tolist()
        sized = [replace(pick, cluster_size=size) for pick, size in zip(picks, sizes, strict=True)]
        return sorted(sized, key=lambda pick: -pick.utility)

    def _weights(
        self, utilities: "npt.NDArray[np.float64]", budget: int, rng: "np.random.Generator"
    ) -> "npt.NDArray[np.float64]":
        """What the distance of each candidate counts, (N,)."""
        import numpy as np

        known = np.nan_to_num(utilities, nan=0.0)
        count = max(int(np.ceil(self.top_share * len(known))), TOP_BUDGETS * budget)
        order = rng.permutation(len(known))
        weights = np.empty(len(known))
        weights[order[np.argsort(-known[order], kind="stable")]] = _BELOW ** (np.arange(len(known)) // count)
        return weights


class _Cluster:
    """The members of one cluster, and how far each is from what is labelled or picked of it."""

    def __init__(
        self,
        features: "Matrix",
        weights: "npt.NDArray[np.float64]",
        utilities: "npt.NDArray[np.float64]",
        members: "Codes",
    ) -> None:
        import numpy as np

        self.members = members
        self.weights = weights[members]
        self.utilities = utilities[members]
        self._all = features
        self._nearest: Matrix | None = None
        self.owners = np.full(len(members), -1, dtype=np.int64)  # the nearest pick, -1 where a labelled frame is nearer
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
            utility = float(self.utilities[best]) * distance
            nearer = away < self._nearest if self._nearest is not None else np.ones(len(away), dtype=bool)
            nearer[best] = True
            self.owners[nearer] = len(picks)
            picks.append(Pick(int(self.members[best]), utility, distance))
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
