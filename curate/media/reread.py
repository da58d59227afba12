"""Frames at full size, read once more from the originals: what goes to the labelling vendor."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from curate.errors import CurateError
from curate.media.children import Children, default_workers
from curate.media.decode import DecodeError, decode
from curate.media.files import FULL_SIZE_QUALITY, copy_file, sha256_of, write_jpeg
from curate.media.sampling import FramePicker
from curate.types import Source


class LostOriginalError(CurateError):
    """The original of a source is gone, has changed, or cannot be read again."""


@dataclass(frozen=True)
class FullSize:
    """What came of one source: (width, height) in pixels by frame index, and "" or why not all were written."""

    source: Source
    sizes_wh: dict[int, tuple[int, int]]
    reason: str


def write_full_size(
    source: Source, frames: Mapping[int, Path], *, stall_timeout_s: float = 60
) -> dict[int, tuple[int, int]]:
    """Write frames of one source as JPEG at full size, upright, each to its path; (width, height) by frame index.

    Raises:
        CurateError: the original is gone or has changed, a frame cannot be read again, or a JPEG cannot be written.
    """
    (written,) = write_all_full_size([(source, frames)], stall_timeout_s=stall_timeout_s)
    if written.reason:
        raise CurateError(written.reason)
    return written.sizes_wh


def write_all_full_size(
    wanted: Sequence[tuple[Source, Mapping[int, Path]]], *, workers: int | None = None, stall_timeout_s: float = 60
) -> Iterator[FullSize]:
    """As `write_full_size` for many sources, in child processes; yields each as it completes.

    CurateError where a JPEG cannot be written: a full disk is not to be taken for bad videos.
    """
    if not wanted:
        return
    with Children[RereadOne](workers or default_workers(len(wanted)), stall_timeout_s) as children:
        for source, frames in wanted:
            children.submit(RereadOne(source, tuple(sorted(frames.items()))))
        for event in children.events():
            request = event.request
            if event.kind == "result" and isinstance(event.value, str):
                yield FullSize(request.source, {}, event.value)
            elif event.kind == "result":
                yield FullSize(request.source, event.value, "")
            elif event.kind == "lost" and request.source.backend == "decord":
                children.submit(replace(request, source=replace(request.source, backend="pyav")))
            elif event.kind == "refused":
                raise CurateError(event.value)
            elif event.kind != "report":
                yield FullSize(request.source, {}, f"{request.source.path}: {event.value}")


@dataclass(frozen=True)
class RereadOne:
    """A request: frames (index, path) of one source at full size.

    Returns (width, height) by index, or why the original cannot be read again.
    """

    source: Source
    frames: tuple[tuple[int, Path], ...]

    def run(self, report: Callable[[object], None]) -> dict[int, tuple[int, int]] | str:
        """See the class."""
        try:
            return self._read(report)
        except LostOriginalError as error:
            return str(error)

    def _read(self, report: Callable[[object], None]) -> dict[int, tuple[int, int]]:
        check_unchanged(self.source, lambda: report(None))
        if self.source.kind == "image":
            return self._image()
        try:
            return self._video(self.source.backend, report)
        except DecodeError as error:
            if self.source.backend == "pyav":
                raise LostOriginalError(f"{self.source.path}: cannot be read again ({error})") from error
        try:
            return self._video("pyav", report)
        except DecodeError as error:
            raise LostOriginalError(f"{self.source.path}: cannot be read again ({error})") from error

    def _image(self) -> dict[int, tuple[int, int]]:
        from curate.media.images import is_upright_jpeg, load

        path = Path(self.source.path)
        sizes_wh = {}
        for index, target in self.frames:
            try:
                if is_upright_jpeg(path):
                    copy_file(path, target)
                else:
                    write_jpeg(target, load(path), FULL_SIZE_QUALITY)
            except (OSError, ValueError, SyntaxError) as error:
                raise LostOriginalError(f"{path}: cannot be read again ({error})") from error
            sizes_wh[index] = (self.source.width, self.source.height)
        return sizes_wh

    def _video(self, backend: str, report: Callable[[object], None]) -> dict[int, tuple[int, int]]:
        targets = dict(self.frames)
        picker = FramePicker(None, targets.keys())
        sizes_wh: dict[int, tuple[int, int]] = {}
        size_wh = (self.source.width, self.source.height)
        frames = decode(Path(self.source.path), picker, backend=backend, size_wh=size_wh, beat=lambda: report(None))
        with closing(frames):
            for frame in frames:
                if frame.picture is not None:
                    write_jpeg(targets[frame.frame_index], frame.picture, FULL_SIZE_QUALITY)
                    sizes_wh[frame.frame_index] = size_wh
                if len(sizes_wh) == len(targets):
                    break
        missing = sorted(set(targets) - set(sizes_wh))
        if missing:
            raise DecodeError(f"frame {missing[0]} is not in it")
        return sizes_wh


def check_unchanged(source: Source, beat: Callable[[], None] = lambda: None) -> None:
    """LostOriginalError unless the original of `source` is the file that was read into the pool."""
    path = Path(source.path)
    advice = "put the file back, or run `curate score` on its folder, which goes by what is there now"
    try:
        stat = path.stat()
        if (stat.st_size, stat.st_mtime_ns) == (source.bytes, source.mtime_ns):
            return
        same = stat.st_size == source.bytes and sha256_of(path, beat) == source.sha256
    except OSError as error:
        raise LostOriginalError(f"{path}: the original cannot be read ({error.strerror or error}); {advice}") from error
    if not same:
        raise LostOriginalError(f"{path}: the original has changed since it was read into the pool; {advice}")
