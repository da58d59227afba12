"""Groups of near-duplicates among hashed frames, by representatives.

In the order given, a frame joins the nearest representative within the threshold, and becomes one itself where there
is none. Every member is thus near its representative. Joining neighbours to neighbours would put a slow pan over a
whole scene into one group.

The search is exact. Where no cell of two hashes differs by more than the threshold, no mean over a block of cells does;
so representatives lie in buckets of a coarse grid over block means, and a frame looks into its own bucket and those
that the threshold reaches.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

from curate.media.perceptual_hash import HASH_BYTES, SIDE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MAX_DIFFERENCE = 8
"""Grey levels, in the most different cell, up to which two pictures are near-duplicates (docs/explain.md)."""

_BLOCK = 6
_BLOCKS = SIDE // _BLOCK
# Every second block, as on a chessboard: neighbours resemble each other. The first few exclude most of a bucket.
_KEY_BLOCKS = (0, 2, 5, 7, 8, 10, 13, 15)
# In thresholds. Wide buckets hold more representatives, narrow ones make a frame look into more of them.
_BUCKET_WIDTH = 4
_CHUNK = 16_384


def group(
    hashes: "npt.NDArray[np.uint8]",
    max_difference: int = MAX_DIFFERENCE,
    *,
    on_frames: Callable[[int], None] = lambda _: None,
) -> "npt.NDArray[np.int64]":
    """The group of each frame, (N,): -1 where it is like no other, else numbered from 0 in order of representatives.

    hashes: (N, HASH_BYTES). max_difference: 0-255. on_frames: told now and then how many more are done. Memory beside
    the hashes is about 250 bytes a frame.
    """
    import numpy as np

    if hashes.ndim != 2 or hashes.shape[1] != HASH_BYTES:
        raise ValueError(f"hashes must be (N, {HASH_BYTES}), got {hashes.shape}")
    representatives = np.arange(len(hashes))
    blocks = np.zeros((len(hashes), _BLOCKS**2), dtype=np.float32)
    buckets: dict[int, array[int]] = defaultdict(lambda: array("q"))
    for start in range(0, len(hashes), _CHUNK):
        chunk = slice(start, min(start + _CHUNK, len(hashes)))
        blocks[chunk] = _block_means(hashes[chunk])
        homes, reached = _buckets(blocks[chunk], max_difference)
        for i, home, keys in zip(range(chunk.start, chunk.stop), homes, reached, strict=True):
            found = [np.frombuffer(buckets[key], dtype=np.int64) for key in keys if key in buckets]
            near = _nearest(i, found, hashes, blocks, max_difference)
            if near is None:
                found.clear()  # an array cannot grow while numpy looks at it
                buckets[home].append(i)
            else:
                representatives[i] = near
        on_frames(chunk.stop - chunk.start)
    return _numbered(representatives)


def difference(first: "npt.NDArray[np.uint8]", second: "npt.NDArray[np.uint8]") -> int:
    """How far two hashes are apart: grey levels between their most different cells."""
    import numpy as np

    return int(np.abs(first.astype(np.int16) - second).max())


def _nearest(
    i: int,
    found: "list[npt.NDArray[np.int64]]",
    hashes: "npt.NDArray[np.uint8]",
    blocks: "npt.NDArray[np.float32]",
    max_difference: int,
) -> int | None:
    """The representative nearest to frame i, the first of those equally near; None where none is near enough."""
    import numpy as np

    if not found:
        return None
    candidates = np.concatenate(found)
    candidates = candidates[(np.abs(blocks[candidates] - blocks[i]) <= max_difference).all(axis=1)]
    if not len(candidates):
        return None
    apart = np.abs(hashes[candidates].astype(np.int16) - hashes[i]).max(axis=1)
    best = apart.min()
    return int(candidates[apart == best].min()) if best <= max_difference else None


def _block_means(hashes: "npt.NDArray[np.uint8]") -> "npt.NDArray[np.float32]":
    """(N, blocks). Sums of integers, so that they are the same everywhere."""
    import numpy as np

    cells = hashes.reshape(-1, _BLOCKS, _BLOCK, _BLOCKS, _BLOCK)
    sums = cells.sum(axis=(2, 4), dtype=np.int32).reshape(len(hashes), -1)
    return np.asarray(sums / _BLOCK**2, dtype=np.float32)


def _buckets(blocks: "npt.NDArray[np.float32]", max_difference: int) -> tuple[list[int], list[list[int]]]:
    """Each frame's own bucket, and all that may hold a representative within reach."""
    import numpy as np

    width = _BUCKET_WIDTH * max(max_difference, 1)
    keyed = blocks[:, _KEY_BLOCKS]
    base = 256 // width + 2
    # One bucket of margin below, so that no place is negative. A rounding error may cost a look, never a hit.
    low, own, high = ((np.floor((keyed + d) / width) + 1).astype(np.int64) for d in (
        -max_difference - 0.01, 0.0, max_difference + 0.01,
    ))  # fmt: skip
    place = base ** np.arange(len(_KEY_BLOCKS), dtype=np.int64)
    homes, lowest, steps = own @ place, low @ place, (high - low) * place
    reached = []
    for key, step in zip(lowest.tolist(), steps.tolist(), strict=True):
        keys = [key]
        for one in step:
            if one:
                keys += [other + one for other in keys]
        reached.append(keys)
    return homes.tolist(), reached


def _numbered(representatives: "npt.NDArray[np.int64]") -> "npt.NDArray[np.int64]":
    """Group numbers from each frame's representative; a representative alone is in no group."""
    import numpy as np

    members = np.bincount(representatives, minlength=len(representatives))
    numbers = np.where(members > 1, np.cumsum(members > 1) - 1, -1)
    return np.asarray(numbers[representatives], dtype=np.int64)
