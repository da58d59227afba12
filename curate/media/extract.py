"""Fill the frame cache from many sources: child processes decode, a file that breaks one costs that file alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from curate.errors import CurateError
from curate.media.cache_writer import CachedFrames, forget_ranges
from curate.media.children import Children, Event, cores, default_workers
from curate.media.extract_one import ExtractOne, Started, broken, unnamed, warm_up
from curate.media.extract_range import ExtractRange, Ranges
from curate.types import BackendChoice, Frame, Sampling, Source, frame_id


@dataclass(frozen=True)
class ExtractJob:
    """A source to read: the frames that `sampling` takes and those of `frame_indices`.

    With `sampling` None, only `frame_indices`. `known` is the row of index.parquet where the file was read before:
    its samplings are extended, and its cached frames are not written again (unless the file has changed since).
    """

    path: Path
    sampling: Sampling | None
    frame_indices: frozenset[int] = frozenset()
    known: Source | None = None


@dataclass(frozen=True)
class Extracted:
    """What came of a job. `reason` is empty, or says why the source could not be read to its end.

    `frames` are in the cache, ordered by index, also those read before an error. An index of `frame_indices` that
    the video does not have is not among them.
    """

    source: Source
    frames: list[Frame]
    reason: str


@dataclass
class _Run:
    """What is known so far of a job, and of the ranges that it is read in."""

    request: ExtractOne
    source: Source
    frames: list[Frame] = field(default_factory=list)
    ranges_left: int = 0
    failed: str = ""


class Decoders(Children[ExtractOne | ExtractRange]):
    """The processes that `extract` uses; `start` may be called before, to have them ready when the jobs are known.

    `workers` processes decode (default: one a core, at most 8). One that says nothing for `stall_timeout_s` seconds, or
    holds more than `memory_limit_bytes` (see `Children`), is killed.
    """

    def __init__(
        self, *, workers: int | None = None, stall_timeout_s: float = 60, memory_limit_bytes: int | None = None
    ) -> None:
        super().__init__(
            workers or default_workers(), stall_timeout_s, memory_limit_bytes=memory_limit_bytes, warm_up=warm_up
        )


def extract(
    jobs: Sequence[ExtractJob],
    *,
    frames_dir: Path,
    imgsz: int,
    backend: BackendChoice = "auto",
    on_frames: Callable[[int], None] = lambda count: None,
    children: Decoders | None = None,
) -> Iterator[Extracted]:
    """Read every job's frames into `frames_dir`, long side at most `imgsz` pixels; yields jobs as they complete.

    A long video is read in ranges, by several processes. A file that costs its process is tried once more with PyAV,
    then given up. `backend` other than "auto" is the only one that is tried. `on_frames` is called with the number of
    frames that were just added (negative: taken back, because a file is read again with PyAV). `children` are
    those with other settings, or that run already; they end with the extraction.

    Raises:
        CurateError: the cache cannot be written.
    """
    if not jobs:
        return
    fixed = backend != "auto"
    with children or Decoders() as processes:
        threads = max(1, cores() // min(processes.workers, len(jobs)))
        runs: dict[int, _Run] = {}

        def submit(request: ExtractOne) -> None:
            runs[id(request)] = _Run(request, unnamed(request.path))
            processes.submit(request)

        # The largest first, so that no process is left with much when the others are done.
        for job in sorted(jobs, key=_size, reverse=True):
            submit(
                ExtractOne(
                    path=job.path,
                    sampling=job.sampling,
                    frame_indices=job.frame_indices,
                    known=job.known,
                    frames_dir=frames_dir,
                    imgsz=imgsz,
                    threads=threads,
                    backend=backend if fixed else "",
                    backend_reason=f"asked for by --backend {backend}" if fixed else "",
                    fixed=fixed,
                )
            )
        for event in processes.events():
            run = runs[id(event.request)]
            if event.kind == "report":
                on_frames(_hear(run, event.value))
                continue
            del runs[id(event.request)]
            if event.kind == "refused":
                raise CurateError(event.value)
            if isinstance(event.value, Ranges):
                run.source, run.ranges_left = event.value.source, len(event.value.ranges)
                for request in _range_requests(run, event.value, processes.workers):
                    runs[id(request)] = run
                    processes.submit(request)
            elif isinstance(event.request, ExtractRange):
                run.ranges_left -= 1
                run.failed = run.failed or event.value
            if run.ranges_left:
                continue
            again = _again(run, event)
            if again is not None:
                on_frames(-len(run.frames))
                submit(again)
            else:
                yield _finished(event, run)


def _size(job: ExtractJob) -> int:
    """In bytes; of a file that is gone, which is found out when it is read, 0."""
    try:
        return job.path.stat().st_size
    except OSError:
        return 0


def _range_requests(run: _Run, ranges: Ranges, workers: int) -> list[ExtractRange]:
    threads = max(1, cores() // min(workers, max(1, len(ranges.ranges))))
    frames_dir, imgsz = run.request.frames_dir, run.request.imgsz
    return [ExtractRange(ranges.source, one, ranges.known, frames_dir, imgsz, threads) for one in ranges.ranges]


def _hear(run: _Run, message: object) -> int:
    """Take in a report; the change in the number of frames."""
    if isinstance(message, Started):
        run.source, dropped = message.source, len(run.frames)
        run.frames = []
        return -dropped
    assert isinstance(message, CachedFrames)
    source = run.source
    run.frames.extend(
        Frame(frame_id(source.source, source.kind, index), source.source, index, timestamp_s, width, height)
        for index, timestamp_s, width, height in message.rows
    )
    return len(message.rows)


def _again(run: _Run, event: Event[ExtractOne | ExtractRange]) -> ExtractOne | None:
    """What to try for a source that was lost: PyAV after decord, and the file as a whole after its ranges."""
    request, backend = run.request, run.source.backend
    if run.failed:
        if backend == "pyav" or request.fixed:
            return replace(request, backend=backend, backend_reason=run.source.backend_reason, ranges=False)
        return replace(request, backend="pyav", backend_reason=run.failed)
    if event.kind == "lost" and request.backend != "pyav" and not request.fixed and run.source.kind == "video":
        lost = "decord was lost in this file" if backend != "pyav" else run.source.backend_reason
        return replace(request, backend="pyav", backend_reason=lost)
    return None


def _finished(event: Event[ExtractOne | ExtractRange], run: _Run) -> Extracted:
    if isinstance(event.value, Source):
        source = event.value
    elif isinstance(event.value, Ranges) or isinstance(event.request, ExtractRange):
        source = run.source
    else:
        # Nothing says where the file would have ended; its samplings stay as they were, so that it is tried again.
        source = broken(run.source, f"{event.value}; {len(run.frames)} frames kept" if run.frames else event.value)
        last = run.frames[-1].frame_index + 1 if run.frames else 0
        known = run.request.known
        source = replace(source, frames=last, samplings=known.samplings if known else "")
    forget_ranges(run.request.frames_dir / source.source)
    return Extracted(source, sorted(run.frames, key=lambda frame: frame.frame_index), source.error)
