import pytest

from curate.errors import CurateError, UsageError
from curate.selection.budget import Budget, parse_budget


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("5%", Budget(percent=5)),
        (" 2.5 % ", Budget(percent=2.5)),
        ("100%", Budget(percent=100)),
        ("500", Budget(count=500)),
        ("2h", Budget(seconds=7200)),
        (" 90 m", Budget(seconds=5400)),
        ("1.5min", Budget(seconds=90)),
        ("30s", Budget(seconds=30)),
    ],
)
def test_parse(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    "text", ["0%", "101%", "-5%", "abc", "", "0", "-3", "5.5", "5%%", "nan%", "١٠", "0h", "-2h", "2d", "١٠h"]
)
def test_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_budget(text)
    assert repr(text) in str(caught.value)
    assert "100%" in str(caught.value)
    assert "2h" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("budget", "unlabeled", "frames"),
    [
        (Budget(percent=5), 5040, 252),
        (Budget(percent=5), 19, 1),
        (Budget(percent=5), 59, 2),
        (Budget(percent=7), 100, 7),
        (Budget(percent=100), 3, 3),
        (Budget(count=3), 3, 3),
    ],
)
def test_frames_rounds_down_and_is_at_least_one(budget: Budget, unlabeled: int, frames: int) -> None:
    assert budget.frames(unlabeled) == frames


def test_larger_than_the_pool_says_what_the_pool_has() -> None:
    with pytest.raises(CurateError, match="4: the pool has 3 unlabelled frames"):
        Budget(count=4).frames(3)


def test_empty_pool() -> None:
    with pytest.raises(CurateError, match="no unlabelled frames"):
        Budget(percent=5).frames(0)


def test_a_labelling_time_is_no_number_of_frames() -> None:
    assert Budget(seconds=60).frames(10) is None
    with pytest.raises(CurateError, match="no unlabelled frames"):
        Budget(seconds=60).frames(0)


def test_in_words() -> None:
    assert Budget(seconds=7200).of(363) == "2 h of labelling, of 363"
    assert str(Budget(seconds=5400)) == "1.5 h"
    assert str(Budget(seconds=45)) == "45 s"
    assert Budget(percent=2.5).of(4788) == "2.5% of 4,788"
    assert Budget(count=20).of(363) == "20 of 363"
