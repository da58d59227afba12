"""Why each frame was picked, what it kept out, and why a more uncertain frame near it was left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate.selection.candidates import Candidates
from curate.selection.picking.types import Pick
from curate.selection.rules import Rules, State

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

NEAR_S = 5.0
"""How far around a pick a more uncertain frame is looked for, where the gap is not longer."""
SHOWN = 10
"""How many suppressed frames are named."""

_WHY = {
    State.GAP: "gap",
    State.DUPLICATE: "duplicate",
    State.QUOTA: "quota",
    State.BUDGET: "budget",
    State.EXCLUDED: "excluded",
    State.UNSCORED: "no utility",
}


@dataclass(frozen=True)
class Explainer:
    """What the explanations are made of.

    utilities: (N,); by_score: whether they are made of a detector's scores. uncertainties: Eq. 7 of each candidate,
    (N,); None where no detector has scored them. groups: near-duplicate groups, (N,), -1 for none; labeled_of: those
    with a labelled frame, and that frame. wanted: the balanced share of each candidate's class, 1 = as many picks as
    the average class; None without class balance, (N,).
    """

    candidates: Candidates
    rules: Rules
    utilities: "npt.NDArray[np.float64]"
    by_score: bool
    uncertainties: "npt.NDArray[np.float64] | None"
    groups: "npt.NDArray[np.int64]"
    labeled_of: dict[int, str]
    wanted: "npt.NDArray[np.float64] | None"

    def details(self, picks: Sequence[Pick]) -> list[dict[str, Any]]:
        """For each pick: utility_parts, cluster_size, duplicate_group, suppressed, left_out; see docs/selection.md."""
        import numpy as np

        ids = self.candidates.frames["frame_id"].to_pylist()
        times = np.asarray(self.candidates.frames["timestamp_s"].to_numpy(), dtype=np.float64)
        gap = self.rules.limits.gap
        reach = NEAR_S if gap.frames is not None else max(NEAR_S, gap.seconds)
        low, high = self.rules.window(times, reach + 1e-6)
        blocked = np.argsort(self.rules.blocker, kind="stable")
        blockers = self.rules.blocker[blocked]
        found = []
        for pick in picks:
            i = pick.index
            start, stop = np.searchsorted(blockers, [i, i + 1])
            near = self.rules.timeline[low[i] : high[i]]
            group = int(self.groups[i])
            found.append(
                {
                    "utility_parts": self._parts(pick),
                    "cluster_size": pick.cluster_size,
                    "duplicate_group": group if group >= 0 else None,
                    "suppressed": self._suppressed(blocked[start:stop], ids),
                    "left_out": self._left_out(pick, near, ids),
                }
            )
        return found

    def _parts(self, pick: Pick) -> dict[str, float]:
        parts = {}
        if self.by_score:
            parts["uncertainty"] = float(self.utilities[pick.index])
        if pick.distance is not None:
            parts["diversity"] = pick.distance
        if self.wanted is not None:
            parts["balance"] = float(self.wanted[pick.index])
        return parts

    def _suppressed(self, frames: "npt.NDArray[np.int64]", ids: list[str]) -> dict[str, Any]:
        import numpy as np

        shown = np.sort(frames)
        if self.uncertainties is not None:
            shown = shown[np.argsort(-self.uncertainties[shown], kind="stable")]
        return {"count": len(frames), "frames": [self._frame(j, ids, "") for j in shown[:SHOWN].tolist()]}

    def _left_out(self, pick: Pick, near: "npt.NDArray[np.int64]", ids: list[str]) -> dict[str, Any] | None:
        """The most uncertain frame near a pick that is more uncertain than it and was not picked."""
        import numpy as np

        if self.uncertainties is None:
            return None
        others = np.sort(near[self.rules.state[near] != State.PICKED])
        others = others[self.uncertainties[others] > self.uncertainties[pick.index]]
        if len(others) == 0:
            return None
        j = int(others[np.argmax(self.uncertainties[others])])
        return self._frame(j, ids, "diversity" if pick.distance is not None else "budget")

    def _frame(self, j: int, ids: list[str], why_open: str) -> dict[str, Any]:
        """A frame that was not picked and why; `why_open` where no rule forbade it."""
        state = State(int(self.rules.state[j]))
        why = _WHY.get(state) or ("class balance" if self.rules.capped(j) else why_open)
        uncertainty = None if self.uncertainties is None else float(self.uncertainties[j])
        frame: dict[str, Any] = {"frame_id": ids[j], "uncertainty": uncertainty, "why": why}
        of = int(self.rules.blocker[j])
        if of >= 0:
            frame["of"] = ids[of]
        elif state == State.DUPLICATE:
            frame["of"] = self.labeled_of[int(self.groups[j])]
        return frame
