"""What a pick allows and forbids: budget, time gap, quotas a video, class caps and near-duplicate groups.

Every picking rule asks here, so that they all keep the same promises, and a frame that was kept out knows why.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from curate.selection.gap import DEFAULT_GAP, Gap

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from curate.selection.candidates import Candidates

_TOLERANCE = 1e-6
"""Time stamps are sums of fractions: 1.0 s apart must pass a gap of 1 s."""


class State(IntEnum):
    """Where a candidate stands. All but OPEN and PICKED say why it may not be picked."""

    OPEN = 0
    PICKED = 1
    GAP = 2
    DUPLICATE = 3
    QUOTA = 4
    BUDGET = 5
    EXCLUDED = 6
    UNSCORED = 7


@dataclass(frozen=True)
class Limits:
    """The limits of one selection, for N candidates.

    budget: frames, or seconds where `costs` (N,) has the seconds of each frame. per_video_min: frames that each video
    gets first, while the budget lasts. per_video_max: frames that no video exceeds; None for no limit. groups: (N,),
    candidates with one number from 0 are near-duplicates. classes, class_caps: the class of each candidate, -1 for
    none, (N,), and how many of each class may be picked while others are left, (C,).
    """

    budget: float
    costs: "npt.NDArray[np.float64] | None" = None
    gap: Gap = DEFAULT_GAP
    per_video_min: int = 0
    per_video_max: int | None = None
    groups: "npt.NDArray[np.int64] | None" = None
    classes: "npt.NDArray[np.int64] | None" = None
    class_caps: "npt.NDArray[np.int64] | None" = None


class Rules:
    """The state of every candidate while picks are made.

    timeline: candidates by source and time, (N,). state: of each candidate, see State. blocker: which pick, as a
    candidate, keeps a candidate out; -1 for none. picked: candidates in the order of picking.
    """

    def __init__(self, candidates: "Candidates", limits: Limits) -> None:
        import numpy as np
        import pyarrow.compute as pc

        count = len(candidates)
        self.limits = limits
        self.sources = candidates.source_codes()
        column = "frame_index" if limits.gap.frames is not None else "timestamp_s"
        self._times = np.asarray(candidates.frames[column].to_numpy(), dtype=np.float64)
        self.timeline = np.lexsort((self._times, self.sources))
        gap = limits.gap.frames if limits.gap.frames is not None else limits.gap.seconds
        self._low, self._high = self.window(self._times, gap - _TOLERANCE)
        self._video_low, self._video_high = self.window(np.zeros(count), 1)
        self.state = np.zeros(count, dtype=np.int8)
        self.blocker = np.full(count, -1, dtype=np.int64)
        self.picked: list[int] = []
        self.spent = 0.0
        self.over_caps = 0
        videos = pc.not_equal(candidates.frames["frame_id"], candidates.frames["source"])
        self.is_video = np.asarray(videos.to_numpy(), dtype=bool)
        self.picked_of = np.zeros(int(self.sources.max()) + 1 if count else 0, dtype=np.int64)
        self._members = _Members(limits.groups)
        self._cheapest = 1.0 if limits.costs is None else float(limits.costs.min(initial=np.inf))
        self._taken = np.zeros(0 if limits.class_caps is None else len(limits.class_caps), dtype=np.int64)
        self._minimum_only = False
        self._capped = False

    def window(
        self, values: "npt.NDArray[np.float64]", reach: float
    ) -> "tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]":
        """For each candidate, the half-open range of `timeline` less than `reach` from it in the same source.

        `values` are times or frame indices, (N,); a candidate is always in its own range.
        """
        import numpy as np

        count = len(self.timeline)
        low = np.empty(count, dtype=np.int64)
        low[self.timeline] = np.arange(count)
        high = low + 1
        ordered = self.sources[self.timeline]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        stops = np.append(starts[1:], count)
        long = stops - starts > 1
        for start, stop in zip(starts[long].tolist(), stops[long].tolist(), strict=True):
            frames = self.timeline[start:stop]
            t = values[frames]
            if reach > 0:
                low[frames] = start + np.searchsorted(t, t - reach, side="right")
                high[frames] = start + np.searchsorted(t, t + reach, side="left")
        return low, high

    def forbid(self, chosen: "npt.NDArray[np.bool_]", why: State) -> None:
        """Keep open candidates out; `chosen` is a mask, (N,)."""
        self.state[chosen & (self.state == State.OPEN)] = why

    @property
    def expected(self) -> int:
        """How many frames the rest of the budget buys: exact for frames, at the mean cost for a labelling time."""
        import numpy as np

        left = self.limits.budget - self.spent
        if self.limits.costs is None:
            return int(left)
        costs = self.limits.costs[self.state == State.OPEN]
        return int(np.ceil(left / costs.mean())) if len(costs) else 0

    @property
    def full(self) -> bool:
        """Whether no candidate, not even the cheapest, fits into the budget."""
        return self.spent + self._cheapest > self.limits.budget + _TOLERANCE

    def phases(self) -> Iterator[None]:
        """The order of rights: each video's minimum, then all within the class caps, then whatever is left.

        A picking rule runs once for each phase, and asks `open` and `pick` what that phase allows.
        """
        if self.limits.per_video_min and not self.full:
            self._minimum_only = True
            yield
            self._minimum_only = False
        if self.limits.class_caps is not None and not self.full:
            self._capped = True
            yield
            self._capped = False
        if not self.full:
            before = len(self.picked)
            yield
            self.over_caps = len(self.picked) - before if self.limits.class_caps is not None else 0

    def open(self, chosen: "npt.NDArray[np.int64]") -> "npt.NDArray[np.bool_]":
        """Which of these candidates may be picked now, whatever they cost."""
        allowed: npt.NDArray[np.bool_] = self.state[chosen] == State.OPEN
        if self._minimum_only:
            few = self.picked_of[self.sources[chosen]] < self.limits.per_video_min
            allowed = allowed & few & self.is_video[chosen]
        if self._capped:
            allowed = allowed & ~self._at_cap(chosen)
        return allowed

    def pick(self, i: int) -> bool:
        """Pick an open candidate and block what it keeps out; False where it does not fit into the budget."""
        cost = 1.0 if self.limits.costs is None else float(self.limits.costs[i])
        if self.spent + cost > self.limits.budget + _TOLERANCE:
            self.state[i] = State.BUDGET
            return False
        self.state[i] = State.PICKED
        self.picked.append(i)
        self.spent += cost
        source = self.sources[i]
        self.picked_of[source] += 1
        self._block(self.timeline[self._low[i] : self._high[i]], State.GAP, i)
        self._block(self._members.of(i), State.DUPLICATE, i)
        if self.limits.per_video_max is not None and self.picked_of[source] >= self.limits.per_video_max:
            self._block(self.timeline[self._video_low[i] : self._video_high[i]], State.QUOTA, -1)
        if self.limits.classes is not None and len(self._taken) and self.limits.classes[i] >= 0:
            self._taken[self.limits.classes[i]] += 1
        return True

    def capped(self, i: int) -> bool:
        """Whether a candidate's class has had its share, and no frame was picked beyond the shares."""
        import numpy as np

        return self.over_caps == 0 and bool(self._at_cap(np.array([i]))[0])

    def _at_cap(self, chosen: "npt.NDArray[np.int64]") -> "npt.NDArray[np.bool_]":
        import numpy as np

        if self.limits.classes is None or self.limits.class_caps is None:
            return np.zeros(len(chosen), dtype=bool)
        classes = self.limits.classes[chosen]
        # The last element answers for -1, no class.
        full: npt.NDArray[np.bool_] = np.append(self._taken >= self.limits.class_caps, False)
        return full[classes]

    def _block(self, chosen: "npt.NDArray[np.int64]", why: State, by: int) -> None:
        still = chosen[self.state[chosen] == State.OPEN]
        self.state[still] = why
        self.blocker[still] = by


class _Members:
    """The candidates of each near-duplicate group."""

    def __init__(self, groups: "npt.NDArray[np.int64] | None") -> None:
        import numpy as np

        self._groups = groups
        self._order = np.zeros(0, dtype=np.int64) if groups is None else np.argsort(groups, kind="stable")
        self._sorted = self._order if groups is None else groups[self._order]

    def of(self, i: int) -> "npt.NDArray[np.int64]":
        """The candidates of i's group, itself among them; none where it is in no group."""
        import numpy as np

        if self._groups is None or self._groups[i] < 0:
            return self._order[:0]
        low, high = np.searchsorted(self._sorted, [self._groups[i], self._groups[i] + 1])
        return self._order[low:high]
