"""Build the pool: find sources, read those that are new, sample their candidate frames into the frame cache."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from curate.errors import CurateError
from curate.labels.table import load_labels
from curate.labels.types import LabelSet
from curate.media.discover import discover, folders
from curate.media.extract import Decoders, Extracted, ExtractJob, extract
from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.types import BackendChoice, Frame, Sampling, Skipped, Source
from curate.workspace import Workspace

DEFAULT_SAMPLING = Sampling(every_s=0.5)
_SAVE_EVERY_S = 10.0


@dataclass(frozen=True)
class IndexResult:
    """What a run of `index` found and added, and what the pool holds now.

    `sources` are those that the pool has frames of, `unlabeled` its candidates: `elsewhere` of these are of other
    paths, given before, and `samplings` are other ways in which videos of candidates were sampled before. `read` is
    how many files were opened. `gone` are the paths of files that are no longer there, whose `gone_frames` candidates
    are none any more.
    """

    sources: int
    read: int
    new_frames: int
    unlabeled: int
    elsewhere: int
    samplings: tuple[str, ...]
    gone: tuple[str, ...]
    gone_frames: int
    skipped: tuple[Skipped, ...]


def index(
    workspace: Workspace,
    paths: Sequence[str],
    *,
    sampling: Sampling = DEFAULT_SAMPLING,
    workers: int | None = None,
    backend: BackendChoice = "auto",
    progress: Progress = SILENT,
) -> IndexResult:
    """Add the videos and images under `paths` to the pool. A source that was read before is not decoded again.

    Frames that have labels are labelled, also where the pool was lost and is made anew. Of a file that is gone from a
    folder among `paths`, frames without labels are no candidates until it is back.

    Raises UsageError for a path that does not exist and CurateError where not one frame could be read.
    """
    found = discover(paths)
    files = found.files
    labels = load_labels(workspace)
    with Decoders(workers=workers) as children, ThreadPoolExecutor(1) as beside:
        # They import their libraries while this process reads the pool; where there is none yet they need not wait
        # for the library of its tables, which takes as long to import as ten short clips to read.
        children.start(len(files))
        loading = beside.submit(Pool.load, workspace)
        before = loading.result() if workspace.index.exists() else None
        known = before.by_path() if before else {}
        jobs = []
        for path in files:
            source = known.get(str(path))
            if before is None or source is None or _changed(source, path) or not _was_read(source, sampling, before):
                unchanged = source if source is not None and not _changed(source, path) else None
                jobs.append(ExtractJob(path=path, sampling=sampling, frame_indices=frozenset(), known=unchanged))
        new_frames = extract_into(workspace, loading.result, jobs, children, backend=backend, progress=progress)
        pool = loading.result()
    _label_again(workspace, pool, labels, progress)
    by_path = pool.by_path()
    # A duplicate is as good, or as broken, as the source whose content it has.
    sources = {str(path): pool.sources[by_path[str(path)].source] for path in files}
    if pool.frames.num_rows == 0:
        reasons = [f"{path}: {source.error}" for path, source in sources.items() if source.error]
        raise CurateError(f"no frame could be read from {len(files)} files; the first: {reasons[0]}")
    there = {source.source for source in sources.values() if source.status != "superseded"}
    gone = _gone(pool, folders(paths), there)
    came_back = pool.move(there, "ignored", "unlabeled")
    gone_frames = pool.move((source.source for source in gone), "unlabeled", "ignored")
    if came_back or gone_frames:
        pool.save(workspace)
    candidates = Counter(pool.in_state("unlabeled")["source"].to_pylist())
    videos = [pool.sources[key] for key in candidates if pool.sources[key].kind == "video"]
    drawn = {way for video in videos for way in video.samplings.split(";")}
    # Of a damaged file not every frame that was counted is delivered.
    kept = Counter(pool.frames["source"].to_pylist())
    return IndexResult(
        sources=len(pool.not_ignored()["source"].unique()),
        read=len(jobs),
        new_frames=new_frames,
        unlabeled=candidates.total(),
        elsewhere=sum(count for key, count in candidates.items() if key not in there),
        samplings=tuple(sorted(drawn - {str(sampling), ""})),
        gone=tuple(source.path for source in gone),
        gone_frames=gone_frames,
        skipped=(
            *found.skipped,
            *(Skipped(path, s.error, kept[s.source]) for path, s in sources.items() if s.status == "broken"),
        ),
    )


def extract_into(
    workspace: Workspace,
    pool: Callable[[], Pool],
    jobs: Sequence[ExtractJob],
    children: Decoders,
    *,
    backend: BackendChoice = "auto",
    progress: Progress = SILENT,
) -> int:
    """Run extraction jobs and keep their results in the pool, saved every few seconds so that a kill costs little.

    `pool` gives the pool when there are results to keep. Returns how many frames are new in it.
    """
    if not jobs:
        return 0
    progress.start(f"Decoding {len(jobs):,} sources", None, "frames")
    new_frames = 0
    unsaved: list[Extracted] = []
    saved_at = time.monotonic()
    for extracted in extract(
        jobs,
        frames_dir=workspace.frames,
        imgsz=workspace.imgsz,
        backend=backend,
        children=children,
        on_frames=progress.advance,
    ):
        unsaved.append(extracted)
        if time.monotonic() - saved_at > _SAVE_EVERY_S:
            new_frames += _keep(workspace, pool(), unsaved)
            unsaved, saved_at = [], time.monotonic()
    new_frames += _keep(workspace, pool(), unsaved)
    progress.finish()
    return new_frames


def extract_frames(
    workspace: Workspace, pool: Pool, wanted: Mapping[str, Sequence[int]], *, progress: Progress = SILENT
) -> list[str]:
    """Add single frames, by source and frame_index, to the cache and the pool; returns those that could not be read."""
    jobs = [
        ExtractJob(
            path=Path(pool.sources[source].path),
            sampling=None,
            frame_indices=frozenset(indices),
            known=pool.sources[source],
        )
        for source, indices in wanted.items()
    ]
    extract_into(workspace, lambda: pool, jobs, Decoders(), progress=progress)
    there = set(zip(pool.frames["source"].to_pylist(), pool.frames["frame_index"].to_pylist(), strict=True))
    return [f"{source} frame {i}" for source, indices in wanted.items() for i in indices if (source, i) not in there]


def _label_again(workspace: Workspace, pool: Pool, labels: LabelSet, progress: Progress) -> None:
    """Label the frames of `labels` that a pool which was made anew has as unlabelled, or not yet."""
    labeled = set(pool.in_state("labeled")["frame_id"].to_pylist())
    lost = [frame for frame in labels.frames if frame.frame_id not in labeled]
    if not lost:
        return
    there = set(pool.frames["frame_id"].to_pylist())
    wanted: dict[str, list[int]] = defaultdict(list)
    for frame in lost:
        if frame.source in pool.sources and frame.frame_id not in there:
            wanted[frame.source].append(frame.frame_index)
    extract_frames(workspace, pool, wanted, progress=progress)
    pool.set_state((frame.frame_id for frame in lost), "labeled")
    pool.save(workspace)
    unknown = sorted({frame.source for frame in lost if frame.source not in pool.sources})
    if unknown:
        names = f"{unknown[0]}{' and others' if unknown[1:] else ''}"
        progress.say(f"Labelled, but not in the pool: {names}; give their paths too")


def _keep(workspace: Workspace, pool: Pool, results: Sequence[Extracted]) -> int:
    """Add results to the pool and save it; how many frames are new."""
    before = int(pool.frames.num_rows)
    frames: list[Frame] = [frame for result in results for frame in result.frames]
    pool.add([result.source for result in results], frames)
    pool.save(workspace)
    return int(pool.frames.num_rows) - before


def _changed(source: Source, path: Path) -> bool:
    status = path.stat()
    return (source.bytes, source.mtime_ns) != (status.st_size, status.st_mtime_ns)


def _was_read(source: Source, sampling: Sampling, pool: Pool) -> bool:
    """Whether the candidates of the source are in the pool; those of a duplicate while the other file is there."""
    if source.status == "duplicate":
        first = pool.sources[source.source]
        return first.status != "superseded" and Path(first.path).exists()
    return source.kind == "image" or str(sampling) in source.samplings.split(";")


def _gone(pool: Pool, below: Sequence[Path], there: Set[str]) -> list[Source]:
    """The sources with candidates, but for those that are `there`, whose file is gone from one of the folders."""
    keys = pool.in_state("unlabeled")["source"].unique().to_pylist()
    others = [pool.sources[key] for key in keys if key not in there]
    return [
        source
        for source in others
        if any(Path(source.path).is_relative_to(folder) for folder in below) and _is_gone(Path(source.path))
    ]


def _is_gone(path: Path) -> bool:
    """Whether there is no such file; one whose folder cannot be entered may still be there."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
