"""Splits are by group, near to the shares, and drawn by the seed."""

from collections import Counter

import pytest

from curate.errors import UsageError
from curate.handoff.splits import parse_shares, split_groups

SHARES = (0.8, 0.1, 0.1)


def frames(sizes: dict[str, int], split_of: dict[str, str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for group, size in sizes.items():
        counts[split_of[group]] += size
    return counts


def test_images_come_near_to_the_shares() -> None:
    sizes = {f"image{n}": 1 for n in range(100)}
    assert frames(sizes, split_groups(sizes, SHARES, 0)) == {"train": 80, "val": 10, "test": 10}


def test_videos_of_many_lengths_come_near_to_the_shares() -> None:
    sizes = {f"video{n}": 1 + n % 7 for n in range(60)}
    counts = frames(sizes, split_groups(sizes, SHARES, 3))
    total = sum(sizes.values())
    assert all(abs(counts[name] / total - share) < 0.04 for name, share in zip(counts, (0.8, 0.1, 0.1), strict=False))
    assert sum(counts.values()) == total


@pytest.mark.parametrize("seed", range(8))
def test_every_split_gets_a_group_while_there_are_enough(seed: int) -> None:
    sizes = {"long": 1000, "short": 2, "shorter": 1}
    assert set(split_groups(sizes, SHARES, seed).values()) == {"train", "val", "test"}
    assert set(split_groups({"a": 5, "b": 5}, SHARES, seed).values()) == {"train", "val"}
    assert split_groups({"only": 5}, SHARES, seed) == {"only": "train"}
    assert split_groups({}, SHARES, seed) == {}


def test_the_seed_decides_and_the_order_does_not() -> None:
    sizes = {f"video{n}": 3 for n in range(20)}
    backwards = dict(reversed(sizes.items()))
    assert split_groups(sizes, SHARES, 1) == split_groups(backwards, SHARES, 1) != split_groups(sizes, SHARES, 2)


def test_shares() -> None:
    assert parse_shares("0.8,0.1,0.1") == SHARES
    assert parse_shares("0.7, 0.3") == (0.7, 0.3)
    assert parse_shares("1") == (1.0,)
    for text in ("", "a", "0.5,0.4", "1,0", "0.5,0.6,-0.1", "0.25,0.25,0.25,0.25", "nan", "inf", "0.8;0.2"):
        with pytest.raises(UsageError, match="--split"):
            parse_shares(text)
