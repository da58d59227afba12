"""Take labels: read a label file against the pool, add its frames to the cache, merge it into labels.parquet."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from curate.errors import CurateError
from curate.labels.coco import read_coco
from curate.labels.table import load_labels, merge, save_labels
from curate.pipeline.index import extract_frames
from curate.pool import Pool
from curate.progress import SILENT, Progress
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


def label(workspace: Workspace, path: Path, *, progress: Progress = SILENT) -> LabelResult:
    """Merge the COCO or CocoVID file at `path` into the labelled set.

    The pool is written before labels.parquet: a kill between the two leaves frames that are labelled but have no
    labels yet, and running the same command again mends that; no label is ever lost.
    """
    pool = Pool.load(workspace)
    new = read_coco(path, [source for source in pool.sources.values() if source.status != "superseded"])
    merged, counts = merge(load_labels(workspace), new)
    there = set(pool.frames["frame_id"].to_pylist())
    wanted: dict[str, list[int]] = defaultdict(list)
    for frame in new.frames:
        if frame.frame_id not in there:
            wanted[frame.source].append(frame.frame_index)
    missing = extract_frames(workspace, pool, wanted, progress=progress)
    if missing:
        raise CurateError(
            f"{path}: {len(missing)} labelled frames could not be read from their videos, the first: {missing[0]}; "
            "check frame_index (it counts from 0), or take them out of the file"
        )
    pool.set_state((frame.frame_id for frame in merged.frames), "labeled")
    pool.save(workspace)
    save_labels(workspace, merged)
    return LabelResult(
        added=counts.added,
        replaced=counts.replaced,
        kept=counts.kept,
        frames=len(merged.frames),
        boxes=sum(len(frame.boxes_xyxy) for frame in merged.frames),
        categories=merged.categories,
    )
