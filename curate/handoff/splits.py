"""Training, validation and test sets by source, never by frame: neighbours in a video would give the answers away."""

import hashlib
import math
from collections.abc import Mapping, Sequence

from curate.errors import UsageError

SPLITS = ("train", "val", "test")
DEFAULT_SPLIT = "0.8,0.1,0.1"


def parse_shares(text: str) -> tuple[float, ...]:
    """Read "0.8,0.1,0.1": the shares of train, val and test, in this order; two or one will do. UsageError if not."""
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if not 1 <= len(shares) <= len(SPLITS) or not all(0 < share <= 1 for share in shares):
        raise UsageError(f"--split {text!r}: give one to three shares above 0, as in 0.8,0.1,0.1 for train, val, test")
    if not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise UsageError(f"--split {text!r}: the shares sum to {sum(shares):g}; give shares that sum to 1")
    return shares


def split_groups(sizes: Mapping[str, int], shares: Sequence[float], seed: int) -> dict[str, str]:
    """Give each group (the frames of a source) a split, so that the frames come near to `shares`.

    `sizes` is the number of frames of each group. Groups come in an order drawn from `seed` and each goes to the split
    that lacks most; every split gets a group while there are enough. Equal arguments give the same.
    """
    names = SPLITS[: len(shares)]
    total = sum(sizes.values())
    lacks = {name: share * total for name, share in zip(names, shares, strict=True)}
    empty = set(names)
    split_of: dict[str, str] = {}
    ordered = sorted(sizes, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
    for place, group in enumerate(ordered):
        last_chance = len(ordered) - place <= len(empty)
        choices = [name for name in names if name in empty] if last_chance else names
        split = max(choices, key=lambda name: lacks[name])
        split_of[group] = split
        lacks[split] -= sizes[group]
        empty.discard(split)
    return split_of
