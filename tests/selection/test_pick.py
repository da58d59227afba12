import itertools

import numpy as np
import pytest

from curate.selection.pick import by_coverage, by_utility


def pick(utilities: list[float], times: list[float], *, budget: int, gap: float = 0, seed: int = 0) -> list[int]:
    rng = np.random.default_rng(seed)
    return by_utility(np.array(utilities), ["v"] * len(times), times, budget=budget, min_gap_s=gap, rng=rng)


def test_empty() -> None:
    assert pick([], [], budget=3) == []


def test_best_first_within_budget() -> None:
    assert pick([0.1, 0.9, 0.5], [0, 1, 2], budget=2) == [1, 2]


def test_nan_is_never_picked() -> None:
    assert pick([np.nan, 0.1, np.nan], [0, 1, 2], budget=3) == [1]


def test_gap_holds_within_a_video_and_its_border_is_allowed() -> None:
    times = [i * 0.1 for i in range(31)]
    picked = pick([1 - t / 10 for t in times], times, budget=99, gap=1.0)
    assert [round(times[i], 1) for i in picked] == [0, 1, 2, 3]


def test_gap_does_not_reach_into_other_videos() -> None:
    rng = np.random.default_rng(0)
    assert by_utility(np.array([3.0, 2, 1]), ["a", "b", "a"], [0, 0, 0.5], budget=3, min_gap_s=1, rng=rng) == [0, 1]


def test_ties_follow_the_seed() -> None:
    times = [float(i) for i in range(50)]
    first = pick([1.0] * 50, times, budget=10, seed=1)
    assert first == pick([1.0] * 50, times, budget=10, seed=1)
    assert first != pick([1.0] * 50, times, budget=10, seed=2)
    assert first != sorted(first)


def test_coverage_takes_one_of_each_cluster() -> None:
    rng = np.random.default_rng(0)
    centers = np.eye(4, 16) * 10
    features = (centers.repeat(25, axis=0) + rng.normal(0, 0.1, (100, 16))).astype(np.float32)
    sources = [f"v{i}" for i in range(100)]
    picked = list(by_coverage(features, sources, [0.0] * 100, budget=4, min_gap_s=0, rng=rng))
    assert {i // 25 for i, _ in picked} == {0, 1, 2, 3}
    distances = [distance for _, distance in picked]
    assert min(distances[1:]) > 10


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_coverage_equals_a_slow_oracle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(40, 5)).astype(np.float32)
    picks = list(
        by_coverage(features, ["v"] * 40, list(range(40)), budget=10, min_gap_s=0, rng=np.random.default_rng(seed))
    )
    chosen = [int(np.argmin(np.linalg.norm(features - features.mean(0), axis=1)))]
    while len(chosen) < 10:
        nearest = [min(float(np.linalg.norm(f - features[c])) for c in chosen) for f in features]
        chosen.append(int(np.argmax(nearest)))
    assert [i for i, _ in picks] == chosen


def test_coverage_keeps_the_gap_and_ends_when_nothing_is_left() -> None:
    features = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    times = [i / 10 for i in range(30)]
    picks = [
        i for i, _ in by_coverage(features, ["v"] * 30, times, budget=30, min_gap_s=1, rng=np.random.default_rng(0))
    ]
    chosen = sorted(times[i] for i in picks)
    assert 2 <= len(chosen) <= 3
    assert all(b - a >= 1 - 1e-9 for a, b in itertools.pairwise(chosen))
    assert len(set(picks)) == len(picks)
