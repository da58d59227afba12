"""What a cached frame looks like in 576 bytes: nearly the same for the picture compressed, resized or lit otherwise.

A hash of a bit a cell (aHash, dHash, pHash) does not do: on a plain runway its bits are noise, and a small object that
moves turns fewer of them than compressing the picture again does. So each cell keeps its grey level, and two pictures
are as far apart as their most different cells.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from curate.errors import CurateError
from curate.media.children import cores

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SIDE = 24
HASH_BYTES = SIDE * SIDE
_BATCH = 256


def hash_all(paths: Sequence[Path]) -> "Iterator[npt.NDArray[np.uint8]]":
    """The hashes of JPEG files in order, as arrays (n, HASH_BYTES), on all cores.

    Raises CurateError, naming the file, where one is missing or cannot be decoded.
    """
    import numpy as np

    batches = [paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)]
    # Threads do: nearly all of the time is in libjpeg, outside of Python's lock.
    with ThreadPoolExecutor(cores()) as pool:
        for hashes in pool.map(lambda batch: [perceptual_hash(path) for path in batch], batches):
            yield np.stack(hashes)


def perceptual_hash(path: Path) -> "npt.NDArray[np.uint8]":
    """(HASH_BYTES,): the luma of SIDE x SIDE cells, less its mean, plus 128, clipped. Errors as `hash_all`."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as image:
            # The decoder shrinks by 2, 4 or 8, at most to twice the cells; the box leaves out what it pads on the
            # right and at the bottom, half a cell's width otherwise.
            drafted = image.draft("L", (2 * SIDE, 2 * SIDE))
            box = drafted[1] if drafted is not None else None
            grey = image.convert("L").convert("F").resize((SIDE, SIDE), Image.Resampling.HAMMING, box=box)
    except OSError as error:
        raise CurateError(f"{path}: not a readable JPEG ({error}); run `curate score` in a new workspace") from error
    cells = np.asarray(grey, dtype=np.float32).ravel()
    return np.asarray(np.clip(np.rint(cells - cells.mean() + 128), 0, 255), dtype=np.uint8)
