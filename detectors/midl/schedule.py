"""The stages of training as data: labeled, then twice maximize, minimize, labeled (section 4.1, Eqs. 1, 2 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from detectors.config import DEFAULT_STAGES


class Stage(StrEnum):
    """What a training step optimizes."""

    LABELED = "labeled"
    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


_DROP_FACTOR = 0.1


@dataclass(frozen=True)
class StageSpan:
    """Steps start <= step < stop of one stage."""

    stage: Stage
    start: int
    stop: int


def stage_spans(steps: int, shares: Sequence[tuple[str, float]] = DEFAULT_STAGES) -> tuple[StageSpan, ...]:
    """Share `steps` among the stages; spans are adjacent and cover every step, and empty ones are dropped.

    shares: a stage and its share of the steps, in order.
    """
    total = sum(share for _, share in shares)
    spans: list[StageSpan] = []
    done = 0.0
    for stage, share in shares:
        start, done = done, done + share
        span = StageSpan(Stage(stage), round(steps * start / total), round(steps * done / total))
        if span.stop > span.start:
            spans.append(span)
    return tuple(spans)


def labeled_only(steps: int) -> tuple[StageSpan, ...]:
    """The schedule of plain training, and of MIDL without unlabeled images."""
    return (StageSpan(Stage.LABELED, 0, steps),)


def lr_factor(step: int, *, steps: int, warmup_steps: int, drop: float) -> float:
    """Factor on the learning rate at `step`: linear warm-up, constant, a tenth after the share `drop` of the steps."""
    warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return warmup * (_DROP_FACTOR if step >= drop * steps else 1.0)
