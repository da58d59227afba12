"""Fill the frame cache from many sources: child processes decode, a file that breaks one costs that file alone."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from curate.errors import CurateError
from curate.media.children import Children, Event, default_workers
from curate.media.extract_one import CachedFrames, ExtractOne, Started, broken, unnamed
from curate.types import Frame, Sampling, Source, frame_id


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
    """What is known of a job so far."""

    source: Source
    frames: list[Frame] = field(default_factory=list)


def extract(
    jobs: Sequence[ExtractJob],
    *,
    frames_dir: Path,
    imgsz: int,
    workers: int | None = None,
    stall_timeout_s: float = 60,
    on_frames: Callable[[int], None] = lambda count: None,
) -> Iterator[Extracted]:
    """Read every job's frames into `frames_dir`, long side at most `imgsz` pixels; yields jobs as they complete.

    `workers` processes decode (default: one a core, at most 8). One that says nothing for `stall_timeout_s` seconds
    is killed. A file that costs its process is tried once more with PyAV, then given up. `on_frames` is called with
    the number of frames that were just added (negative: taken back, because a file is read again with PyAV).

    Raises:
        CurateError: the cache cannot be written.
    """
    if not jobs:
        return
    workers = workers or default_workers(len(jobs))
    threads = max(1, len(os.sched_getaffinity(0)) // workers) if hasattr(os, "sched_getaffinity") else 1
    with Children[ExtractOne](workers, stall_timeout_s) as children:
        for job in jobs:
            children.submit(
                ExtractOne(job.path, job.sampling, job.frame_indices, job.known, frames_dir, imgsz, threads)
            )
        runs: dict[int, _Run] = {}
        for event in children.events():
            run = runs.setdefault(id(event.request), _Run(unnamed(event.request.path)))
            if event.kind == "report":
                on_frames(_hear(run, event.value))
            elif event.kind == "lost" and _worth_a_retry(event.request, run):
                on_frames(-len(runs.pop(id(event.request)).frames))
                children.submit(replace(event.request, backend="pyav"))
            else:
                del runs[id(event.request)]
                yield _finished(event, run)


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


def _worth_a_retry(request: ExtractOne, run: _Run) -> bool:
    return request.backend != "pyav" and run.source.kind == "video"


def _finished(event: Event[ExtractOne], run: _Run) -> Extracted:
    if event.kind == "refused":
        raise CurateError(event.value)
    if event.kind == "result":
        source: Source = event.value
    else:
        # Nothing says where the file would have ended; its samplings stay as they were, so that it is tried again.
        source = broken(run.source, f"{event.value}; {len(run.frames)} frames kept" if run.frames else event.value)
        last = run.frames[-1].frame_index + 1 if run.frames else 0
        source = replace(source, frames=last, samplings=event.request.known.samplings if event.request.known else "")
    return Extracted(source, run.frames, source.error)
