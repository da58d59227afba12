"""Evenly: at equal steps along the candidates of all sources, one source after the other in time.

Candidates are sampled evenly in time, so equal steps among them are equal times.
"""

from typing import TYPE_CHECKING

from curate.selection.candidates import Candidates
from curate.selection.picking.types import Pick
from curate.selection.rules import Rules

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def evenly(
    candidates: Candidates, utilities: "npt.NDArray[np.float64]", rules: Rules, rng: "np.random.Generator"
) -> list[Pick]:
    """See `Picking`. The first step begins at a place that `rng` draws; a step that may not be picked goes to the
    nearest frame that may. Of any number of first picks the steps are as even as they can be.
    """
    offset = float(rng.random())
    for _ in rules.phases():
        while not rules.full:
            line = rules.timeline[rules.open(rules.timeline)]
            steps = min(rules.expected, len(line))
            if steps == 0:
                break
            for step in _spread(steps).tolist():
                while not rules.full:
                    i = _nearest_open(line, int((step + offset) * len(line) / steps), rules)
                    if i is None or rules.pick(i):
                        break
    return [Pick(i, 1 - n / len(rules.picked)) for n, i in enumerate(rules.picked)]


def _spread(count: int) -> "npt.NDArray[np.int64]":
    """0 to count - 1 so that each beginning of it is spread evenly: by reversed bits (van der Corput)."""
    import numpy as np

    numbers = np.arange(count)
    reverse = np.zeros(count)
    for bit in range(max(1, count - 1).bit_length()):
        reverse += ((numbers >> bit) & 1) * 0.5 ** (bit + 1)
    return np.argsort(reverse, kind="stable")


def _nearest_open(line: "npt.NDArray[np.int64]", target: int, rules: Rules) -> int | None:
    """The candidate of `line` nearest to the place `target` that may be picked, the earlier of two; None for none."""
    import numpy as np

    reach = 4
    while True:
        start = max(0, target - reach)
        near = np.flatnonzero(rules.open(line[start : target + reach + 1])) + start
        if len(near):
            return int(line[near[np.argmin(np.abs(near - target))]])
        if reach >= len(line):
            return None
        reach *= 4
