"""Read one range of a long video into the frame cache. Runs in a child process (`curate.media.child`)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from time import monotonic

from curate.media.cache_writer import CachedFrame, CachedFrames, CacheWriter, RangeRecord
from curate.media.decode import DecodeError, Span, decode, scaled_size
from curate.media.packets import PacketScan
from curate.media.sampling import FramePicker
from curate.types import Source

# About a minute at 25 frames/s: short enough that a kill costs little, and that a video of a few minutes occupies
# several cores; long enough that opening and seeking cost nothing beside.
RANGE_FRAMES = 1500


@dataclass(frozen=True)
class Range:
    """Frames of one span of a video, and which of them are wanted."""

    span: Span
    wanted: frozenset[int]


@dataclass(frozen=True)
class Ranges:
    """A long video is to be read in these ranges; together they hold every wanted frame."""

    source: Source
    known: bool
    ranges: tuple[Range, ...]


def plan_ranges(scan: PacketScan, picker: FramePicker, range_frames: int = RANGE_FRAMES) -> list[Range]:
    """Ranges of at least `range_frames` frames, cut at key frames that no frame reaches across; the last may be short.

    `picker` decides for the whole video which frames are wanted. One range where there is nothing to cut at.
    """
    wanted = [index for index, time_s in enumerate(scan.timestamps_s) if picker(index, time_s)]
    edges = list(_edges(scan, range_frames))
    ranges = []
    position = 0
    for start, end in pairwise(edges):
        first = position
        while position < len(wanted) and wanted[position] < end:
            position += 1
        ranges.append(Range(Span(start, scan.part(start, end)), frozenset(wanted[first:position])))
    return ranges


def _edges(scan: PacketScan, range_frames: int) -> Iterator[int]:
    yield 0
    last = 0
    for cut in scan.cuts:
        if cut - last >= range_frames:
            last = cut
            yield cut
    yield len(scan.pts)


@dataclass(frozen=True)
class ExtractRange:
    """A request: the wanted frames of one range into the cache. Reports CachedFrames; returns "" or why it failed."""

    source: Source
    range: Range
    known: bool
    frames_dir: Path
    imgsz: int
    threads: int

    def run(self, report: Callable[[object], None]) -> str:
        """See the class."""
        span, wanted = self.range.span, self.range.wanted
        record = RangeRecord(self.frames_dir, self.source.source, span.start, span.end, self._key())
        rows = record.read(wanted)
        if rows is not None:
            report(CachedFrames(rows))
            return ""
        written: list[CachedFrame] = []

        def hear(message: object) -> None:
            if isinstance(message, CachedFrames):
                written.extend(message.rows)
            report(message)

        try:
            self._read(hear)
        except DecodeError as error:
            return str(error)
        record.write(written)
        return ""

    def _read(self, report: Callable[[object], None]) -> None:
        frames = decode(
            Path(self.source.path),
            lambda index, _: index in self.range.wanted,
            backend=self.source.backend,
            size_wh=scaled_size(self.source.width, self.source.height, self.imgsz),
            threads=self.threads,
            beat=Sparse(report),
            span=self.range.span,
        )
        with CacheWriter(self.frames_dir, self.source.source, report, keep=self.known, threads=self.threads) as writer:
            try:
                for frame in frames:
                    writer.take(frame)
            finally:
                frames.close()

    def _key(self) -> str:
        """Names what the cached frames depend on: the decoder, their size, and which are wanted."""
        settings = f"{self.source.backend} {self.imgsz} {sorted(self.range.wanted)}"
        return sha256(settings.encode()).hexdigest()[:8]


class Sparse:
    """Says that there is progress, but not at every packet."""

    _EVERY_S = 0.25

    def __init__(self, report: Callable[[object], None]) -> None:
        self._report, self._said_s = report, monotonic()

    def __call__(self) -> None:
        """There is progress."""
        now = monotonic()
        if now - self._said_s > self._EVERY_S:
            self._said_s = now
            self._report(None)
