"""One selection in memory: limits from the options, utilities, picks, and what of the wishes could not be had."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.selection.balance import balanced_shares, class_caps, rarest_class
from curate.selection.budget import Budget
from curate.selection.candidates import Candidates
from curate.selection.options import SelectOptions
from curate.selection.picking.types import Pick
from curate.selection.registry import load_acquisition
from curate.selection.rules import Limits, Rules, State

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Known:
    """What is known beside the candidates.

    wanted: the budget in frames; None where it is a labelling time. excluded: frame ids that must not be picked.
    labeled_of: near-duplicate groups with a labelled frame, and that frame. labeled_classes: labelled frames of each
    class of the detector, in its order; empty where none has scored the frames.
    """

    wanted: int | None
    excluded: Collection[str] = ()
    labeled_of: Mapping[int, str] | None = None
    labeled_classes: Sequence[int] = ()


@dataclass(frozen=True)
class Choice:
    """Picks, best first, and what they come from: `utilities` are (N,), `wanted` as in `explain.Explainer`."""

    picks: tuple[Pick, ...]
    rules: Rules
    utilities: "npt.NDArray[np.float64]"
    wanted: "npt.NDArray[np.float64] | None"
    unmet: tuple[str, ...]


def choose(candidates: Candidates, acquisition: str, budget: Budget, options: SelectOptions, known: Known) -> Choice:
    """Pick from the candidates. `options.acquisition` is not read: `acquisition` is the one to use."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    rng = np.random.default_rng(options.seed)
    frames = candidates.frames
    groups = np.asarray(frames["duplicate_group"].to_numpy(), dtype=np.int64)
    drop = options.duplicates == "drop"
    costs = None
    total = float(known.wanted or 0)
    if budget.seconds is not None:
        costs, total = np.asarray(frames["cost_s"].to_numpy(), dtype=np.float64), budget.seconds
    expected = total if costs is None else total / max(float(costs.mean()) if len(costs) else 1.0, 1e-9)
    classes, caps, wanted = None, None, None
    if options.balance > 0 and len(candidates) and len(known.labeled_classes):
        labeled = np.asarray(known.labeled_classes, dtype=np.int64)
        classes = rarest_class(candidates.class_probabilities(), labeled)
        shares = balanced_shares(labeled, np.bincount(classes, minlength=len(labeled)), int(expected))
        caps = class_caps(shares, int(expected), options.balance)
        wanted = (shares * len(shares) / max(1, shares.sum()))[classes]
    limits = Limits(
        budget=total,
        costs=costs,
        gap=options.gap,
        per_video_min=options.per_video_min.least(expected) if options.per_video_min else 0,
        per_video_max=options.per_video_max.most(expected) if options.per_video_max else None,
        groups=groups if drop else None,
        classes=classes,
        class_caps=caps,
    )
    rules = Rules(candidates, limits)
    excluded = pc.is_in(frames["frame_id"], value_set=pa.array(sorted(known.excluded), pa.string()))
    rules.forbid(np.asarray(excluded.to_numpy(), dtype=bool), State.EXCLUDED)
    if drop and known.labeled_of:
        rules.forbid(np.isin(groups, list(known.labeled_of)), State.DUPLICATE)
    function = load_acquisition(acquisition)
    utilities = function.utilities(candidates, rng=rng)
    rules.forbid(np.isnan(utilities), State.UNSCORED)
    picks = tuple(function.PICKING(candidates, utilities, rules, rng))
    return Choice(picks, rules, utilities, wanted, _unmet(rules, options, known))


def _unmet(rules: Rules, options: SelectOptions, known: Known) -> tuple[str, ...]:
    """The wishes that could not be met, each in a sentence."""
    unmet = []
    if known.wanted is not None and len(rules.picked) < known.wanted:
        unmet.append(f"{len(rules.picked):,} of {known.wanted:,} frames: {_in_the_way(rules, options)}")
    elif not rules.picked:
        unmet.append(f"no frame: {_in_the_way(rules, options)}")
    if options.per_video_min is not None:
        videos = set(rules.sources[rules.is_video].tolist())
        few = sum(int(rules.picked_of[video]) < rules.limits.per_video_min for video in videos)
        if few:
            unmet.append(
                f"--per-video-min {options.per_video_min}: {few:,} of {len(videos):,} videos have fewer than "
                f"{rules.limits.per_video_min} picks, for want of budget or of frames that may be picked"
            )
    if rules.over_caps:
        unmet.append(
            f"--balance: {rules.over_caps:,} of the {len(rules.picked):,} frames are beyond the share of their class, "
            "since the others had no more frames that may be picked"
        )
    return tuple(unmet)


def _in_the_way(rules: Rules, options: SelectOptions) -> str:
    """What kept the other candidates out."""
    closed = Counter(State(state) for state in rules.state.tolist())
    ways = {
        State.GAP: f"a gap of {options.gap} within a video (lower --min-gap for more)",
        State.QUOTA: f"--per-video-max {options.per_video_max}",
        State.DUPLICATE: "near-duplicates (--duplicates keep for more)",
        State.EXCLUDED: "--exclude",
        State.UNSCORED: "frames without a utility",
    }
    found = [text for state, text in ways.items() if closed[state]]
    return f"{', '.join(found)} left no more" if found else "no more frames are scored and can be read"
