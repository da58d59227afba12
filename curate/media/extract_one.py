"""Read one source into the frame cache. Runs in a child process (`curate.media.child`)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from curate.media.decode import DecodedFrame, DecodeError, decode, scaled_size
from curate.media.files import CACHE_QUALITY, remove_leftovers, sha256_of, write_jpeg
from curate.media.probe import Probe, kind_of, probe
from curate.media.sampling import FramePicker, add_sampling
from curate.types import Sampling, Source, cache_path, source_key

if TYPE_CHECKING:
    from PIL import Image

_FRAMES_A_MESSAGE = 32
_BEAT_EVERY = 64


@dataclass(frozen=True)
class CachedFrames:
    """Frames that are now in the cache: rows of (frame_index, timestamp_s, width, height)."""

    rows: tuple[tuple[int, float, int, int], ...]


@dataclass(frozen=True)
class Started:
    """The source is named, and decoding starts, or starts again: frames reported before are void."""

    source: Source


@dataclass(frozen=True)
class ExtractOne:
    """A request: the wanted frames of one source into the cache.

    `backend` is "" for the probe's choice. Reports Started and CachedFrames; returns the source, with `error` set
    if it could not be read to its end.
    """

    path: Path
    sampling: Sampling | None
    frame_indices: frozenset[int]
    known: Source | None
    frames_dir: Path
    imgsz: int
    threads: int
    backend: str = ""

    def run(self, report: Callable[[object], None]) -> Source:
        """See the class."""
        source, known = self._identify(report)
        remove_leftovers(self.frames_dir / source.source)
        if source.error:
            return source
        if source.kind == "image":
            return self._image(source, known, report)
        return self._video(source, known, report)

    def _identify(self, report: Callable[[object], None]) -> tuple[Source, bool]:
        """The source with all that a probe can say, and whether it is the one that was read before."""
        try:
            stat = self.path.stat()
            known = self.known is not None and (self.known.bytes, self.known.mtime_ns) == (
                stat.st_size,
                stat.st_mtime_ns,
            )
            if known and self.known is not None and self.known.sha256:
                sha256 = self.known.sha256
            else:
                sha256 = sha256_of(self.path, lambda: report(None))
                known = self.known is not None and self.known.sha256 == sha256
        except OSError as error:
            return broken(unnamed(self.path), f"cannot be read ({error.strerror or error})"), False
        found = probe(self.path)
        source = Source(
            source=source_key(self.path, sha256),
            path=str(self.path),
            sha256=sha256,
            bytes=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            kind=found.kind,
            samplings=add_sampling(self.known.samplings if known and self.known is not None else "", self.sampling),
        )
        return _with_probe(source, found), known

    def _image(self, source: Source, known: bool, report: Callable[[object], None]) -> Source:
        from curate.media.images import load

        report(Started(source))
        path = cache_path(self.frames_dir, source.source, 0)
        size_wh = scaled_size(source.width, source.height, self.imgsz)
        if not (known and path.exists()):
            try:
                picture = load(self.path, self.imgsz)
            except (OSError, ValueError, SyntaxError, MemoryError) as error:
                return broken(source, f"not a readable image ({error})")
            write_jpeg(path, picture, CACHE_QUALITY)
            size_wh = picture.size
        report(CachedFrames(((0, 0.0, *size_wh),)))
        return replace(source, frames=1)

    def _video(self, source: Source, known: bool, report: Callable[[object], None]) -> Source:
        if self.backend:
            reason = source.backend_reason if source.backend == self.backend else "decord was lost in this file"
            source = replace(source, backend=self.backend, backend_reason=reason)
        try:
            return self._decode(source, known, report)
        except DecodeError as error:
            if source.backend == "pyav":
                raise
            source = replace(source, backend="pyav", backend_reason=str(error))
            return self._decode(source, known, report)

    def _decode(self, source: Source, known: bool, report: Callable[[object], None]) -> Source:
        """Decode with `source.backend`. DecodeError only from decord: PyAV's is the source's `error`."""
        report(Started(source))
        picker = FramePicker(self.sampling, self.frame_indices)
        writer = _Writer(self, source, known, report)
        frames = decode(
            self.path,
            picker,
            backend=source.backend,
            size_wh=scaled_size(source.width, source.height, self.imgsz),
            threads=self.threads,
            beat=_Sparse(report),
        )
        first_s = last_s = 0.0
        count = 0
        error = ""
        try:
            for frame in frames:
                count = frame.frame_index + 1
                last_s = frame.timestamp_s
                first_s = frame.timestamp_s if count == 1 else first_s
                writer.take(frame)
                if known and picker.last_index is not None and count > picker.last_index:
                    # Counted when it was first read; only some more frames are wanted.
                    break
        except DecodeError as problem:
            if source.backend != "pyav":
                raise
            error = f"{problem}; {count} frames read" if count else str(problem)
        finally:
            frames.close()
        writer.flush()
        if known and self.known is not None and not error and count < self.known.frames:
            return replace(source, frames=self.known.frames, duration_s=self.known.duration_s)
        return _counted(source, count, last_s - first_s, error)


class _Writer:
    """Puts wanted frames into the cache and reports them, some at a time."""

    def __init__(self, job: ExtractOne, source: Source, known: bool, report: Callable[[object], None]) -> None:
        self._job, self._source, self._known, self._report = job, source, known, report
        self._rows: list[tuple[int, float, int, int]] = []

    def take(self, frame: DecodedFrame) -> None:
        if frame.rgb is None:
            return
        path = cache_path(self._job.frames_dir, self._source.source, frame.frame_index)
        # Only frames of a source that was read before can be complete and of this size.
        if not (self._known and path.exists()):
            write_jpeg(path, _picture(frame), CACHE_QUALITY)
        height, width = frame.rgb.shape[:2]
        self._rows.append((frame.frame_index, frame.timestamp_s, width, height))
        if len(self._rows) == _FRAMES_A_MESSAGE:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._report(CachedFrames(tuple(self._rows)))
            self._rows.clear()


class _Sparse:
    """Says that there is progress, but not at every packet."""

    def __init__(self, report: Callable[[object], None]) -> None:
        self._report, self._calls = report, 0

    def __call__(self) -> None:
        self._calls += 1
        if self._calls % _BEAT_EVERY == 1:
            self._report(None)


def unnamed(path: Path) -> Source:
    """A source that could not be hashed, named by its path."""
    from hashlib import sha256

    return Source(source_key(path, sha256(str(path).encode()).hexdigest()), str(path), "", 0, 0, kind_of(path))


def broken(source: Source, reason: str) -> Source:
    """`source`, with what went wrong."""
    return replace(source, error=reason, status="broken")


def _with_probe(source: Source, found: Probe) -> Source:
    source = replace(
        source,
        width=found.width,
        height=found.height,
        rotation=found.rotation,
        codec=found.codec,
        fps=found.fps,
        duration_s=found.duration_s,
        backend=found.backend,
        backend_reason=found.backend_reason,
    )
    return broken(source, found.error) if found.error else source


def _counted(source: Source, count: int, span_s: float, error: str) -> Source:
    """With what was counted while decoding in place of what the header claims."""
    fps = source.fps or ((count - 1) / span_s if count > 1 and span_s > 0 else 0.0)
    duration_s = max(span_s, 0.0) + (1 / fps if fps and count else 0.0)
    source = replace(source, frames=count, fps=fps, duration_s=duration_s)
    if not count and not error:
        error = "no frame of the video could be decoded"
    return broken(source, error) if error else source


def _picture(frame: DecodedFrame) -> "Image.Image":
    from PIL import Image

    assert frame.rgb is not None
    return Image.fromarray(frame.rgb)
