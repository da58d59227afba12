from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from selection.pools import make_candidates, make_frames

from curate.selection.balance import balanced_shares, class_caps, rarest_class
from curate.selection.budget import Budget
from curate.selection.candidates import Candidates
from curate.selection.choose import Choice, Known, choose
from curate.selection.gap import Gap
from curate.selection.options import SelectOptions
from curate.selection.picking.best_first import best_first
from curate.selection.picking.coverage import Coverage, share_out
from curate.selection.picking.evenly import evenly
from curate.selection.quota import Quota
from curate.selection.rules import Limits, Rules

NO_GAP = SelectOptions(gap=Gap(0), balance=0)


def with_uncertainty(candidates: Candidates, values: list[float]) -> Candidates:
    place = candidates.scores.schema.get_field_index("uncertainty")
    return Candidates(candidates.frames, candidates.scores.set_column(place, "uncertainty", pa.array(values)))


def with_features(
    frames: pa.Table, features: np.ndarray, labeled: np.ndarray | None = None, *, source: str = "elsewhere"
) -> Candidates:
    """Candidates of these features; `labeled` are those of labelled frames of one source."""
    ids = frames["frame_id"]
    candidates = make_candidates(frames)

    def column(values: np.ndarray) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float32).ravel()), values.shape[1])

    known = None
    if labeled is not None:
        names = [f"l{n}" for n in range(len(labeled))]
        known = pa.table({"frame_id": names, "embedding": column(labeled), "source": [source] * len(names)})
    return Candidates(candidates.frames, pa.table({"frame_id": ids, "embedding": column(features)}), known)


def pick(candidates: Candidates, name: str, count: int, options: SelectOptions = NO_GAP) -> Choice:
    return choose(candidates, name, Budget(count=count), options, Known(wanted=count, labeled_classes=(0, 0, 0, 0)))


def indices(choice: Choice) -> list[int]:
    return [one.index for one in choice.picks]


def test_no_candidates() -> None:
    candidates = make_candidates(make_frames([]))
    for rule in (best_first, evenly, Coverage(), Coverage(top_share=0.5)):
        rules = Rules(candidates, Limits(budget=3))
        assert rule(candidates, np.zeros(0), rules, np.random.default_rng(0)) == []


def test_best_first_within_budget_and_nan_is_never_picked() -> None:
    candidates = with_uncertainty(make_candidates(make_frames([5])), [0.1, 0.9, float("nan"), 0.5, 0.2])
    assert indices(pick(candidates, "midl", 2)) == [1, 3]
    assert indices(pick(candidates, "midl", 5)) == [1, 3, 4, 0]


def test_gap_holds_within_a_video_and_its_border_is_allowed() -> None:
    candidates = make_candidates(make_frames([31, 1]))
    candidates = with_uncertainty(candidates, [1 - n / 100 for n in range(32)])
    picked = indices(pick(candidates, "midl", 32, SelectOptions(gap=Gap(5.0))))
    assert picked == [0, 10, 20, 30, 31]
    assert indices(pick(candidates, "midl", 32, SelectOptions(gap=Gap(frames=30)))) == picked


def test_time_stamps_that_go_back_keep_the_gap() -> None:
    frames = make_frames([20])
    times = np.random.default_rng(0).permutation(20) / 4
    frames = frames.set_column(frames.schema.get_field_index("timestamp_s"), "timestamp_s", pa.array(times))
    picked = times[indices(pick(make_candidates(frames), "midl", 20, SelectOptions(gap=Gap(1.0))))]
    assert len(picked) >= 3
    assert all(b - a >= 1 for a, b in pairwise(sorted(picked)))


def test_only_the_best_of_a_near_duplicate_group() -> None:
    candidates = make_candidates(make_frames([2, 2]), groups=[7, -1, 7, 7])
    candidates = with_uncertainty(candidates, [0.1, 0.2, 0.9, 0.8])
    assert indices(pick(candidates, "midl", 4)) == [2, 1]
    assert indices(pick(candidates, "midl", 4, SelectOptions(gap=Gap(0), duplicates="keep"))) == [2, 3, 1, 0]


def test_uniform_is_even_in_time_and_over_videos() -> None:
    candidates = make_candidates(make_frames([40, 80]))
    for seed in range(5):
        picked = sorted(indices(pick(candidates, "uniform", 12, SelectOptions(gap=Gap(0), seed=seed))))
        assert {b - a for a, b in pairwise(picked)} == {10}
    first = indices(pick(candidates, "uniform", 12))
    half = sorted(first[:6])
    assert max(b - a for a, b in pairwise(half)) <= 30, "the beginning of the list is spread, too"


def test_k_center_takes_one_of_each_cluster() -> None:
    rng = np.random.default_rng(0)
    features = np.eye(4, 16).repeat(25, axis=0) + rng.normal(0, 0.02, (100, 16))
    choice = pick(with_features(make_frames([], images=100), features), "k-center", 4)
    assert {i // 25 for i in indices(choice)} == {0, 1, 2, 3}
    assert min(one.distance or 0 for one in choice.picks) > 1
    assert [one.cluster_size for one in choice.picks] == [25] * 4


def test_what_a_labelled_frame_is_nearest_to_is_in_no_cluster() -> None:
    rng = np.random.default_rng(0)
    features = np.eye(3, 16).repeat([50, 30, 20], axis=0) + rng.normal(0, 0.02, (100, 16))
    candidates = with_features(make_frames([], images=100), features, features[:1])
    assert sorted(one.cluster_size or 0 for one in pick(candidates, "core-set", 2).picks) == [20, 30]


@pytest.mark.parametrize("labeled", [0, 5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_core_set_equals_a_slow_oracle(seed: int, labeled: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(40 + labeled, 5))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    features, known = features[:40], features[40:]
    choice = pick(with_features(make_frames([40]), features, known if labeled else None), "core-set", 10)
    chosen: list[int] = []
    while len(chosen) < 10:
        centers = [*known, *features[chosen]]
        if centers:
            nearest = [min(float(np.linalg.norm(f - center)) for center in centers) for f in features]
            chosen.append(int(np.argmax(nearest)))
        else:
            mean = features.mean(0) / np.linalg.norm(features.mean(0))
            chosen.append(int(np.argmin(np.linalg.norm(features - mean, axis=1))))
    assert sorted(indices(choice)) == sorted(chosen)


def test_core_set_keeps_away_from_what_is_labelled_and_k_center_does_not() -> None:
    features = np.array([[1.0, 0], [1, 0.01], [0, 1], [0.01, 1]])
    candidates = with_features(make_frames([], images=4), features, np.array([[0.0, 1]]))
    assert set(indices(pick(candidates, "core-set", 1))) <= {0, 1}
    assert {i // 2 for i in indices(pick(candidates, "k-center", 2))} == {0, 1}


def with_scores(candidates: Candidates, uncertainty: np.ndarray) -> Candidates:
    scores = candidates.scores.append_column("uncertainty", pa.array(uncertainty))
    return Candidates(candidates.frames, scores, candidates.labeled)


def test_diverse_picks_the_unlike_among_the_uncertain() -> None:
    rng = np.random.default_rng(0)
    features = np.eye(4, 16).repeat(50, axis=0) + rng.normal(0, 0.01, (200, 16))
    candidates = with_features(make_frames([], images=200), features)
    # The fifth that is the most uncertain: 30, 6 and 4 frames of three clusters, none of the fourth.
    uncertainty = rng.random(200) * 0.5
    for cluster, count in enumerate((30, 6, 4)):
        uncertainty[50 * cluster : 50 * cluster + count] += 0.5
    picked = np.array(indices(pick(with_scores(candidates, uncertainty), "diverse", 6)))
    assert (uncertainty[picked] >= 0.5).all()
    assert set(picked // 50) == {0, 1, 2}
    assert set(indices(pick(with_scores(candidates, uncertainty), "core-set", 6))) != set(picked)
    per_cluster = np.bincount(np.array(indices(pick(with_scores(candidates, uncertainty), "midl", 6))) // 50)
    assert per_cluster.argmax() == 0


def test_diverse_keeps_away_from_what_is_labelled() -> None:
    rng = np.random.default_rng(0)
    features = np.eye(2, 16).repeat(50, axis=0) + rng.normal(0, 0.01, (100, 16))
    labeled = features[:5]
    candidates = with_features(make_frames([], images=100), features, labeled)
    # As uncertain on both sides, but for one frame, which is like what is labelled.
    need = rng.random(100)
    need[0] = 2
    assert indices(pick(with_scores(candidates, need), "diverse", 1))[0] >= 50


def test_diverse_looks_further_down_for_a_larger_budget_and_where_the_top_may_not_be_picked() -> None:
    rng = np.random.default_rng(0)
    need = np.linspace(1, 0, 100)
    candidates = with_scores(with_features(make_frames([50, 50]), rng.normal(0, 1, (100, 16))), need)
    few = indices(pick(candidates, "diverse", 5))
    assert max(few) < 20, "a fifth of 100"
    many = indices(pick(candidates, "diverse", 15))
    assert 20 <= max(many) < 60, "four times the budget"
    # All of the first video but 2 frames is out of reach.
    quota = SelectOptions(gap=Gap(0), per_video_max=Quota(2))
    held = indices(pick(candidates, "diverse", 4, quota))
    assert len(held) == 4
    assert sum(index < 50 for index in held) == 2
    assert all(index < 70 for index in held), "below the top, too, the uncertain come first"


def test_uncertainty_counts_by_rank_alone() -> None:
    frames = make_frames([30, 30, 30])
    candidates = make_candidates(frames)
    values = candidates.score("uncertainty")
    for same in (values * 1e-9, values**5, np.exp(values * 30)):
        other = with_uncertainty(candidates, same.tolist())
        assert indices(pick(other, "diverse", 9)) == indices(pick(candidates, "diverse", 9))


def test_balance_gives_rare_classes_their_share() -> None:
    frames = make_frames([], images=200)
    candidates = make_candidates(frames)
    classes = np.array([0] * 170 + [1] * 20 + [2] * 10)
    probabilities = (np.eye(4)[classes] * 0.9).tolist()
    place = candidates.scores.schema.get_field_index("class_probabilities")
    scores = candidates.scores.set_column(place, "class_probabilities", pa.array(probabilities))
    # The common class is the most uncertain.
    uncertainty = np.where(classes == 0, 0.5, 0.1) + np.random.default_rng(0).random(200) / 10
    candidates = with_uncertainty(Candidates(candidates.frames, scores), uncertainty.tolist())

    def counts(balance: float) -> list[int]:
        choice = pick(candidates, "midl", 30, SelectOptions(gap=Gap(0), balance=balance))
        return np.bincount(classes[indices(choice)], minlength=3).tolist()  # type: ignore[no-any-return]

    assert counts(0) == [30, 0, 0]
    assert counts(1) == [10, 10, 10]
    assert counts(0.5)[0] == 18, "the geometric mean of 30 and 10, rounded up"


def test_balance_counts_what_is_labelled() -> None:
    labeled, available = np.array([10, 4, 0, 0]), np.array([100, 100, 100, 2])
    shares = balanced_shares(labeled, available, 20)
    assert shares.tolist() == [1, 7, 10, 2], "10 of each, but for the class that has only 2, and 2 over"
    assert class_caps(shares, 20, 0).tolist() == [20] * 4
    assert class_caps(shares, 20, 1).tolist() == [1, 7, 10, 2]
    probabilities = np.array([[0.9, 0.6, 0.1, 0.0], [0.3, 0.2, 0.1, 0.0], [0.9, 0.9, 0.0, 0.5]], dtype=np.float32)
    assert rarest_class(probabilities, labeled).tolist() == [1, 0, 3]


def test_share_out_is_proportional_and_within_capacity() -> None:
    assert share_out(np.array([1.0, 1, 2]), np.array([9, 9, 9]), 8).tolist() == [2, 2, 4]
    assert share_out(np.array([1.0, 1, 2]), np.array([9, 9, 1]), 8).sum() == 8
    assert share_out(np.array([0.0, 1.0]), np.array([0, 2]), 5).tolist() == [0, 2]
    assert share_out(np.array([1e-9, 1.0, 0.0]), np.array([3, 1, 0]), 3).tolist() == [2, 1, 0]
    assert share_out(np.zeros(0), np.zeros(0, dtype=np.int64), 3).tolist() == []


def test_share_out_counts_what_is_held() -> None:
    mass, room = np.array([1.0, 1, 2]), np.array([9, 9, 9])
    assert share_out(mass, room, 8, np.array([2, 0, 0])).tolist() == [1, 2, 5], "of 10 are due 2.5, 2.5 and 5"
    assert share_out(mass, room, 3, np.array([9, 0, 0])).tolist() == [0, 1, 2]
    assert share_out(mass, np.array([9, 1, 1]), 4, np.array([9, 0, 0])).tolist() == [2, 1, 1], "what others cannot hold"
