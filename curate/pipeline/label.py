"""Take labels: read label files against the pool, add their frames to the cache, merge them into labels.parquet."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.errors import CurateError, UsageError
from curate.labels.coco import read_coco
from curate.labels.dataset import read_dataset
from curate.labels.history import Version, find_version, keep_version, set_damaged_aside
from curate.labels.table import MergeReport, load_labels, load_labels_file, merge, save_labels
from curate.labels.types import LabeledFrame, LabelSet
from curate.pipeline.index import extract_frames
from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.types import Source
from curate.workspace import Workspace


@dataclass(frozen=True)
class LabelResult:
    """What a label file brought, and what labels there are now."""

    added: int
    replaced: int
    kept: int
    frames: int
    boxes: int
    categories: tuple[str, ...]


def label(
    workspace: Workspace, path: Path, *, dataset_format: str | None = None, progress: Progress = SILENT
) -> LabelResult:
    """Merge the COCO or CocoVID file at `path` into the labelled set, with whatever classes it has.

    Of a folder, a data set of one of the formats of `curate/labels/datasets/`, the labels of the pool's pictures are
    taken; `dataset_format` names the format where it is not to be found out.
    """
    pool = Pool.load(workspace)
    if path.is_dir():
        found = read_dataset(path, labelable(pool), format=dataset_format)
        progress.say(
            f"Data set: {found.format} labels of {len(found.labels.frames):,} pictures of the pool, "
            f"{found.not_in_pool:,} further pictures are not in it"
        )
        new = found.labels
    elif dataset_format is not None:
        raise UsageError(f"--labels-format {dataset_format}: is for folders, and {path} is none; leave it out")
    else:
        new = read_coco(path, labelable(pool))
    merged, counts = merge(load_labels(workspace), new)
    keep_labels(workspace, pool, merged, new=new.frames, progress=progress)
    return result_of(merged, counts)


def labelable(pool: Pool) -> Sequence[Source]:
    """The sources whose frames can get labels: a file that another one took the place of has none any more."""
    return [source for source in pool.sources.values() if source.status != "superseded"]


def result_of(labels: LabelSet, counts: MergeReport) -> LabelResult:
    """Count what was merged and what is there."""
    return LabelResult(
        added=counts.added,
        replaced=counts.replaced,
        kept=counts.kept,
        frames=len(labels.frames),
        boxes=sum(len(frame.boxes_xyxy) for frame in labels.frames),
        categories=labels.categories,
    )


def keep_labels(
    workspace: Workspace,
    pool: Pool,
    labels: LabelSet,
    *,
    new: Sequence[LabeledFrame] = (),
    progress: Progress = SILENT,
) -> Version | None:
    """Make `labels` the labelled set; returns the version that holds the set before, None where nothing changed.

    Frames among `new` that are no candidates yet are read from their videos first. The version and the pool are
    written before labels.parquet: a kill between them leaves frames that are labelled but have no labels yet, and
    running the same command again mends that; no label is ever lost. The new set is kept as a version too, for the
    day on which labels.parquet is damaged.
    """
    wanted: dict[str, list[int]] = defaultdict(list)
    for frame in frames_to_read(pool, new):
        wanted[frame.source].append(frame.frame_index)
    missing = extract_frames(workspace, pool, wanted, progress=progress)
    if missing:
        file = next(frame.label_file for frame in new if f"{frame.source} frame {frame.frame_index}" == missing[0])
        raise CurateError(
            f"{file}: {len(missing)} labelled frames could not be read from their videos, the first: {missing[0]}; "
            "check frame_index (it counts from 0), or take them out of the file"
        )
    changed = not workspace.labels.exists() or labels != load_labels(workspace)
    version = keep_version(workspace) if changed else None
    pool.set_state((frame.frame_id for frame in labels.frames), "labeled")
    pool.save(workspace)
    if changed:
        save_labels(workspace, labels)
        keep_version(workspace)
    return version


def frames_to_read(pool: Pool, frames: Sequence[LabeledFrame]) -> list[LabeledFrame]:
    """The labelled frames that are not in the pool, because no sampling drew them."""
    there = set(pool.frames["frame_id"].to_pylist())
    return [frame for frame in frames if frame.frame_id not in there]


@dataclass(frozen=True)
class RestoreResult:
    """Which version is the labelled set again, and which one holds the set before.

    `damaged` is where a labels.parquet lies now that could not be read; `before` is the newest version then.
    """

    restored: Version
    before: Version
    damaged: Path | None
    frames: int
    boxes: int


def restore(workspace: Workspace, number: int) -> RestoreResult:
    """Make an earlier version the labelled set again. The present one is kept as a version too.

    Frames that lose their labels are unlabelled candidates again.
    """
    version = find_version(workspace, number)
    labels = load_labels_file(version.path)
    pool = Pool.load(workspace)
    damaged = set_damaged_aside(workspace)
    before = keep_version(workspace)
    kept = {frame.frame_id for frame in labels.frames}
    freed = [row for row in pool.in_state("labeled").to_pylist() if row["frame_id"] not in kept]
    gone = {source.source for source in pool.sources.values() if source.status == "superseded"}
    pool.set_state((row["frame_id"] for row in freed if row["source"] not in gone), "unlabeled")
    pool.set_state((row["frame_id"] for row in freed if row["source"] in gone), "ignored")
    keep_labels(workspace, pool, labels)
    boxes = sum(len(frame.boxes_xyxy) for frame in labels.frames)
    return RestoreResult(version, before, damaged, len(labels.frames), boxes)
