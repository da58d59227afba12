"""Puts frames into the frame cache, in order; with more threads than one beside the decoder, a few at a time."""

import json
import os
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from curate.media.decode import DecodedFrame
from curate.media.files import CACHE_QUALITY, write_jpeg
from curate.types import cache_path

_FRAMES_A_MESSAGE = 32
# Pictures that wait to be encoded, for each thread: the decoder waits when it is further ahead.
_WAITING = 4


class CachedFrame(NamedTuple):
    """A frame that is in the cache; width and height are those of its JPEG."""

    frame_index: int
    timestamp_s: float
    width: int
    height: int


@dataclass(frozen=True)
class CachedFrames:
    """Frames that are now in the cache."""

    rows: tuple[CachedFrame, ...]


class CacheWriter:
    """Writes the frames that have a picture and reports them as CachedFrames. Use as a context manager.

    `keep`: a JPEG that is there already is kept, as it may only be where the source was read before. With one of the
    `threads`, `take` writes by itself: there is a process for each core then, and more threads only get in the way.
    """

    def __init__(
        self, frames_dir: Path, source: str, report: Callable[[object], None], *, keep: bool, threads: int
    ) -> None:
        self._frames_dir, self._source, self._report, self._keep = frames_dir, source, report, keep
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._limit = _WAITING * threads
        self._pending: deque[tuple[Future[None] | None, CachedFrame]] = deque()
        self._rows: list[CachedFrame] = []

    def __enter__(self) -> "CacheWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # What was decoded before an error is good.
            self.flush()
        finally:
            if self._pool:
                self._pool.shutdown(cancel_futures=True)

    def take(self, frame: DecodedFrame) -> None:
        """Write the frame if it has a picture; CurateError where one cannot be written, this or an earlier one."""
        picture = frame.picture
        if picture is None:
            return
        path = cache_path(self._frames_dir, self._source, frame.frame_index)
        done = None
        if not (self._keep and path.exists()):
            if self._pool:
                done = self._pool.submit(write_jpeg, path, picture, CACHE_QUALITY)
            else:
                write_jpeg(path, picture, CACHE_QUALITY)
        self._pending.append((done, CachedFrame(frame.frame_index, frame.timestamp_s, *picture.size)))
        while len(self._pending) > self._limit:
            self._finish_first()

    def flush(self) -> None:
        """Wait until all is written and reported."""
        while self._pending:
            self._finish_first()
        self._send()

    def _finish_first(self) -> None:
        done, row = self._pending.popleft()
        if done is not None:
            done.result()
        self._rows.append(row)
        if len(self._rows) == _FRAMES_A_MESSAGE:
            self._send()

    def _send(self) -> None:
        if self._rows:
            self._report(CachedFrames(tuple(self._rows)))
            self._rows.clear()


class RangeRecord:
    """Remembers that a range of a video is in the cache, so that a killed run goes on behind it.

    `key` names all that the frames depend on but the video itself; another key is another record.
    """

    def __init__(self, frames_dir: Path, source: str, start: int, end: int, key: str) -> None:
        self._frames_dir, self._source = frames_dir, source
        self._path = frames_dir / source / f".range-{start:08d}-{end:08d}-{key}.json"

    def read(self, wanted: Collection[int]) -> tuple[CachedFrame, ...] | None:
        """The frames of the range, None where they are not all there."""
        try:
            rows = tuple(CachedFrame(*row) for row in json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        there = all(cache_path(self._frames_dir, self._source, row.frame_index).exists() for row in rows)
        return rows if there and {row.frame_index for row in rows} == set(wanted) else None

    def write(self, rows: Collection[CachedFrame]) -> None:
        """Remember the frames. Whether that can be written decides nothing: the range is then read again."""
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(list(rows)))
            os.replace(temporary, self._path)
        except OSError:
            temporary.unlink(missing_ok=True)


def forget_ranges(folder: Path) -> None:
    """Delete the records of a source that is complete."""
    for record in folder.glob(".range-*.json"):
        record.unlink(missing_ok=True)
