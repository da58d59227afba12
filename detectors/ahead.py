"""Work done ahead by threads: files are read while the network is at work on those before."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from detectors.cpu import one_core_a_thread

# Decoding and resizing let go of the interpreter lock; more threads than this wait for the disk.
_MAX_THREADS = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(work: Callable[[Item], Result], items: Iterable[Item], *, depth: int) -> Iterator[Result]:
    """Yield work(item) for each item, in order; threads are up to `depth` items ahead.

    An error of `work` is raised at its item's turn. `depth` is at least 1.
    """
    left = iter(items)
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1), initializer=one_core_a_thread) as pool:
        waiting: deque[Future[Result]] = deque(pool.submit(work, item) for item in islice(left, depth))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(work, item) for item in islice(left, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()
