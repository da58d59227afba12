"""Read one source into the frame cache. Runs in a child process (`curate.media.child`)."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from curate.media import decord_trust
from curate.media.cache_writer import CachedFrame, CachedFrames, CacheWriter
from curate.media.decode import DecodeError, Span, decode, scaled_size
from curate.media.extract_range import RANGE_FRAMES, Ranges, Sparse, plan_ranges
from curate.media.files import CACHE_QUALITY, remove_leftovers, sha256_of, write_jpeg
from curate.media.packets import scan_packets
from curate.media.probe import Examined, Probe, examine, kind_of
from curate.media.sampling import FramePicker, add_sampling
from curate.types import Sampling, Source, cache_path, source_key


@dataclass(frozen=True)
class Started:
    """The source is named, and decoding starts, or starts again: frames reported before are void."""

    source: Source


@dataclass(frozen=True)
class ExtractOne:
    """A request: the wanted frames of one source into the cache.

    `backend` is "" for the probe's choice, else `backend_reason` says why; with `fixed`, no other is tried.
    `ranges`: a long video may be read in ranges. Reports Started and CachedFrames; returns the source, with `error`
    set if it could not be read to its end, or the Ranges to read instead.
    """

    path: Path
    sampling: Sampling | None
    frame_indices: frozenset[int]
    known: Source | None
    frames_dir: Path
    imgsz: int
    threads: int
    backend: str = ""
    backend_reason: str = ""
    fixed: bool = False
    ranges: bool = True

    def run(self, report: Callable[[object], None]) -> Source | Ranges:
        """See the class."""
        source, found, known = self._identify(report)
        with closing(found):
            return self._read(source, found, known, report)

    def _read(self, source: Source, found: Examined, known: bool, report: Callable[[object], None]) -> Source | Ranges:
        remove_leftovers(self.frames_dir / source.source)
        if source.error:
            return source
        if source.kind == "image":
            return self._image(source, known, report)
        if self.backend:
            source = replace(source, backend=self.backend, backend_reason=self.backend_reason)
        elif known and self.known is not None and self.known.status == "ok":
            # More frames of a video come from the decoder that gave the first.
            source = replace(source, backend=self.known.backend, backend_reason=self.known.backend_reason)
        return self._ranges(source, found, known, report) or self._video(source, found, known, report)

    def _identify(self, report: Callable[[object], None]) -> tuple[Source, Examined, bool]:
        """The source with all that its packets can say, those, and whether it is the one that was read before."""
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
            source = broken(unnamed(self.path), f"cannot be read ({error.strerror or error})")
            return source, Examined(Probe(str(self.path), source.kind)), False
        found = examine(self.path, Sparse(report))
        source = Source(
            source=source_key(self.path, sha256),
            path=str(self.path),
            sha256=sha256,
            bytes=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            kind=found.probe.kind,
            samplings=add_sampling(self.known.samplings if known and self.known is not None else "", self.sampling),
        )
        return _with_probe(source, found.probe), found, known

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
        report(CachedFrames((CachedFrame(0, 0.0, *size_wh),)))
        return replace(source, frames=1)

    def _ranges(self, source: Source, found: Examined, known: bool, report: Callable[[object], None]) -> Ranges | None:
        """The ranges to read a long video in; None for one that is short, or that cannot be cut."""
        in_order = any(name in decord_trust.CONTAINERS for name in found.probe.container.split(","))
        if not self.ranges or not in_order or source.fps * source.duration_s < 2 * RANGE_FRAMES:
            return None
        # A video that decord may not read can be cut all the same.
        scan = found.scan or scan_packets(self.path, Sparse(report))
        if scan.irregular:
            return None
        ranges = plan_ranges(scan, FramePicker(self.sampling, self.frame_indices))
        if len(ranges) < 2:
            return None
        source = _counted(source, len(scan.pts), scan.timestamps_s[-1] - scan.timestamps_s[0], "")
        if known:
            # Its frames were all seen when it was first read.
            ranges = [one for one in ranges if one.wanted]
        return Ranges(source, known, tuple(ranges))

    def _video(self, source: Source, found: Examined, known: bool, report: Callable[[object], None]) -> Source:
        span = None
        # decord is told what is not regular, and refuses it.
        if found.scan and (source.backend == "decord" or not found.scan.irregular):
            span = Span(0, found.scan, whole=True, reading=found.reading)
        try:
            return self._decode(source, span, known, report)
        except DecodeError as error:
            if source.backend != "pyav":
                source = replace(source, backend="pyav", backend_reason=str(error))
            return self._decode(source, None, known, report)

    def _decode(self, source: Source, span: Span | None, known: bool, report: Callable[[object], None]) -> Source:
        """Decode with `source.backend`. DecodeError where PyAV, or PyAV without `span`, is still to be tried.

        The last one's is the `error`.
        """
        report(Started(source))
        picker = FramePicker(self.sampling, self.frame_indices)
        frames = decode(
            self.path,
            picker,
            backend=source.backend,
            size_wh=scaled_size(source.width, source.height, self.imgsz),
            threads=self.threads,
            beat=Sparse(report),
            span=span,
        )
        first_s = last_s = 0.0
        count = 0
        error = ""
        with CacheWriter(self.frames_dir, source.source, report, keep=known, threads=self.threads) as writer:
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
                if span if source.backend == "pyav" else not self.fixed:
                    raise
                error = f"{problem}; {count} frames read" if count else str(problem)
            finally:
                frames.close()
        if known and self.known is not None and not error and count < self.known.frames:
            return replace(source, frames=self.known.frames, duration_s=self.known.duration_s)
        return _counted(source, count, last_s - first_s, error)


def warm_up() -> None:
    """Import what the first video will need: not decord, which reads long ones alone, and numpy, which decord needs."""
    import av.video.reformatter  # noqa: F401
    from PIL import Image

    Image.preinit()


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
        time_base=found.time_base,
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
