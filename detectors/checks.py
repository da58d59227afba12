"""Checks of settings: each raises ValueError with the name, the value and what is allowed."""

from __future__ import annotations


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def check_positive(name: str, value: float, *, zero: bool = False) -> None:
    """Raise ValueError unless `value` is a finite number above zero (or zero, where `zero` allows it)."""
    if not (0 <= value < float("inf")) or (value == 0 and not zero):
        raise ValueError(f"{name} must be {'zero or more' if zero else 'above zero'}, got {value!r}")


def check_whole(name: str, value: object, *, zero: bool = False) -> None:
    """Raise ValueError unless `value` is a whole number above zero (or zero, where `zero` allows it); no bool is."""
    if type(value) is not int:
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    check_positive(name, value, zero=zero)
