"""What must hold for every acquisition function and any options, on generated pools."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from selection.pools import make_candidates, make_frames

from curate.selection.budget import Budget
from curate.selection.choose import Known, choose
from curate.selection.gap import Gap
from curate.selection.options import SelectOptions
from curate.selection.picking.best_first import best_first
from curate.selection.quota import Quota
from curate.selection.registry import ACQUISITIONS, load_acquisition

NAMES = ACQUISITIONS.names()

gaps = st.one_of(
    st.sampled_from([0.0, 0.5, 1.0, 3.0]).map(Gap),
    st.sampled_from([0, 3, 7]).map(lambda frames: Gap(frames=frames)),
)
quotas = st.one_of(
    st.none(), st.integers(1, 4).map(Quota), st.sampled_from([5.0, 30.0]).map(lambda p: Quota(percent=p))
)
problems = st.fixed_dictionaries(
    {
        "videos": st.lists(st.integers(1, 15), max_size=5),
        "images": st.integers(0, 8),
        "labeled": st.integers(0, 6),
        "share": st.floats(0.05, 1),
        "timed": st.booleans(),
        "gap": gaps,
        "per_video_min": quotas,
        "per_video_max": quotas,
        "balance": st.sampled_from([0.0, 0.4, 1.0]),
        "duplicates": st.sampled_from(["drop", "keep"]),
        "grouped": st.floats(0, 0.6),
        "excluded": st.floats(0, 0.5),
        "levels": st.sampled_from([0, 1, 4]),
        "seed": st.integers(0, 3),
    }
).filter(lambda problem: problem["videos"] or problem["images"])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(problem=problems)
def test_promises(name: str, problem: dict) -> None:  # type: ignore[type-arg]
    rng = np.random.default_rng(problem["seed"])
    frames = make_frames(problem["videos"], problem["images"])
    count = frames.num_rows
    labeled = make_frames([0, 0, 0, 0, 0, 0, problem["labeled"]], state="labeled")
    groups = np.where(rng.random(count) < problem["grouped"], rng.integers(0, max(1, count // 3), count), -1)
    costs = rng.integers(1, 60, count) / 2
    candidates = make_candidates(
        frames, labeled=labeled, groups=groups, costs=costs, seed=problem["seed"], levels=problem["levels"]
    )
    ids = candidates.frames["frame_id"].to_pylist()
    excluded = {one for one in ids if rng.random() < problem["excluded"]}
    wanted = max(1, int(problem["share"] * count))
    budget = Budget(seconds=15.0 * wanted) if problem["timed"] else Budget(count=wanted)
    options = SelectOptions(
        gap=problem["gap"],
        per_video_min=problem["per_video_min"],
        per_video_max=problem["per_video_max"],
        balance=problem["balance"],
        duplicates=problem["duplicates"],
        seed=problem["seed"],
    )
    known = Known(
        wanted=None if problem["timed"] else wanted,
        excluded=excluded,
        labeled_of={0: "labelled"} if problem["grouped"] else {},
        labeled_classes=(9, 3, 1, 0),
    )
    choice = choose(candidates, name, budget, options, known)
    picked = [pick.index for pick in choice.picks]

    assert len(set(picked)) == len(picked)
    assert not excluded & {ids[i] for i in picked}
    assert all(0 <= i < count for i in picked)
    if problem["timed"]:
        assert sum(costs[i] for i in picked) <= 15.0 * wanted + 1e-6
    else:
        assert len(picked) <= wanted

    sources = candidates.frames["source"].to_pylist()
    places = candidates.frames["frame_index" if options.gap.frames is not None else "timestamp_s"].to_pylist()
    least = options.gap.frames if options.gap.frames is not None else options.gap.seconds
    expected = wanted if not problem["timed"] else 15.0 * wanted / costs.mean()
    most = options.per_video_max.most(expected) if options.per_video_max else count
    of_source = {source: [i for i in picked if sources[i] == source] for source in set(sources)}

    def too_near(i: int, others: list[int]) -> bool:
        return any(abs(places[i] - places[j]) < least - 1e-6 for j in others if j != i)

    def twin(i: int, others: list[int]) -> bool:
        if options.duplicates == "keep" or groups[i] < 0:
            return False
        return bool(known.labeled_of and groups[i] in known.labeled_of) or any(
            groups[i] == groups[j] for j in others if j != i
        )

    for i in picked:
        assert not too_near(i, of_source[sources[i]])
        assert not twin(i, picked)
        assert len(of_source[sources[i]]) <= most

    # Fewer than the budget only where every other frame is forbidden.
    left = 15.0 * wanted - sum(costs[i] for i in picked) if problem["timed"] else wanted - len(picked)
    for i in set(range(count)) - set(picked):
        assert (
            (costs[i] > left - 1e-6 if problem["timed"] else left == 0)
            or ids[i] in excluded
            or too_near(i, of_source[sources[i]])
            or len(of_source[sources[i]]) >= most
            or twin(i, picked)
        ), f"{ids[i]} could have been picked"

    ranked = [pick.utility for pick in choice.picks]
    assert ranked == sorted(ranked, reverse=True)
    if load_acquisition(name).PICKING is best_first:
        assert ranked == [choice.utilities[i] for i in picked]


@pytest.mark.parametrize("name", NAMES)
def test_each_video_gets_its_minimum_where_the_budget_allows(name: str) -> None:
    candidates = make_candidates(make_frames([40, 30, 10, 10, 5], images=20))
    options = SelectOptions(gap=Gap(1.0), per_video_min=Quota(2), balance=0)
    choice = choose(candidates, name, Budget(count=12), options, Known(wanted=12))
    sources = [candidates.frames["source"][pick.index].as_py() for pick in choice.picks]
    assert len(sources) == 12
    assert all(sources.count(f"clip{n:03d}-{n:08x}") >= 2 for n in range(5))
    assert choice.unmet == ()
    unmet = choose(candidates, name, Budget(count=7), options, Known(wanted=7)).unmet
    assert len(unmet) == 1
    assert "--per-video-min 2" in unmet[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_alone_decides(name: str) -> None:
    candidates = make_candidates(make_frames([60, 60], images=60), levels=1)

    def picks(seed: int) -> list[int]:
        options = SelectOptions(seed=seed, gap=Gap(0))
        known = Known(wanted=10, labeled_classes=(1, 1, 1, 1))
        return [pick.index for pick in choose(candidates, name, Budget(count=10), options, known).picks]

    assert picks(1) == picks(1)
    if name not in ("k-center", "core-set", "diverse"):  # no two of its values are equal
        assert picks(1) != picks(2)
