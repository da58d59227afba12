"""What a training run reports: means by stage, and remarks on what did not go as the method expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from detectors.midl.schedule import Stage, StageSpan

# Maximizing is expected to raise the discrepancy by this factor; where it does not, the metrics say so.
_EXPECTED_RISE = 10.0
# The discrepancy before and after a stage is its mean over this share of the stage's first and last steps.
_EDGE_SHARE = 20


class RunLog:
    """Losses and discrepancy of every stage; its state is plain JSON, kept in the resume file."""

    def __init__(
        self,
        spans: Sequence[StageSpan],
        notes: Sequence[str] = (),
        fixed: Mapping[Stage, Sequence[str]] = MappingProxyType({}),
        discrepancy_cap: float | None = None,
    ) -> None:
        self._spans = spans
        self._sums: list[dict[str, float]] = [{} for _ in spans]
        self._discrepancies: list[list[float]] = [[] for _ in spans]
        self._notes = list(notes)
        self._fixed = fixed
        self._enough = float("inf") if discrepancy_cap is None else discrepancy_cap
        self.seconds = 0.0

    def add(self, step: int, losses: Mapping[str, float], seconds: float) -> None:
        """Take in one step. `losses` holds "discrepancy" and any number of other terms."""
        place = next(i for i, span in enumerate(self._spans) if span.start <= step < span.stop)
        for name, value in losses.items():
            self._sums[place][name] = self._sums[place].get(name, 0.0) + value
        self._discrepancies[place].append(losses["discrepancy"])
        self.seconds += seconds

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs."""
        return {"sums": self._sums, "discrepancies": self._discrepancies, "seconds": self.seconds}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a resume file."""
        self._sums = [dict(sums) for sums in state["sums"]]
        self._discrepancies = [list(values) for values in state["discrepancies"]]
        self.seconds = float(state["seconds"])

    def stages(self) -> list[dict[str, Any]]:
        """One row a stage: steps, parts that its discrepancy left fixed, mean losses, discrepancy at start and end."""
        rows = []
        for span, sums, values in zip(self._spans, self._sums, self._discrepancies, strict=True):
            edge = max(1, len(values) // _EDGE_SHARE)
            rows.append(
                {
                    "stage": span.stage.value,
                    "start": span.start,
                    "stop": span.stop,
                    "fixed": list(self._fixed.get(span.stage, ())),
                    "mean_losses": {name: value / len(values) for name, value in sums.items()},
                    "discrepancy_first": sum(values[:edge]) / edge,
                    "discrepancy_last": sum(values[-edge:]) / edge,
                }
            )
        return rows

    def notes(self) -> list[str]:
        """Remarks, among them each maximize stage that raised the discrepancy neither tenfold nor to its cap."""
        found = list(self._notes)
        for row, values in zip(self.stages(), self._discrepancies, strict=True):
            first, last = row["discrepancy_first"], row["discrepancy_last"]
            if row["stage"] == Stage.MAXIMIZE.value and last < _EXPECTED_RISE * first and max(values) < self._enough:
                factor = f"{last / first:.1f} times" if first else "not at all"
                # A span is half-open and counts from 0, what is printed of a training counts from 1.
                found.append(
                    f"maximizing in steps {row['start'] + 1} to {row['stop']} raised the discrepancy {factor} "
                    f"({first:.2e} to {last:.2e}); at least {_EXPECTED_RISE:.0f} times is expected"
                )
        return found
