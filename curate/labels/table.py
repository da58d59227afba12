"""labels.parquet: the labelled set of a workspace, and how new labels join it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from curate.errors import CurateError
from curate.labels.types import EMPTY, LabeledFrame, LabelSet
from curate.tables import read_table, write_table
from curate.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

_CATEGORIES = b"curate.categories"
_RESTORE = (
    "`curate label --restore NUMBER` brings back a version of labels-history/, of which the highest is the newest "
    "and 1 the empty set"
)


@dataclass(frozen=True)
class MergeReport:
    """How many frames `merge` added, how many got a new label in place of their old one, and how many it left."""

    added: int
    replaced: int
    kept: int


def load_labels(workspace: Workspace) -> LabelSet:
    """The labelled set; an empty one where nothing was labelled yet. CurateError where the table is damaged or gone."""
    if workspace.labels.exists():
        return load_labels_file(workspace.labels)
    if any(workspace.labels_history.glob("*.parquet")):
        # To go on without labels would be to lose them.
        raise CurateError(f"{workspace.labels}: no such file, but there were labels; {_RESTORE}")
    return EMPTY


def load_labels_file(path: Path) -> LabelSet:
    """The label set in a Parquet file; CurateError where it is none."""
    table = read_table(path, remedy=_RESTORE)
    metadata = table.schema.metadata or {}
    if not table.schema.equals(_schema()) or _CATEGORIES not in metadata:
        raise CurateError(f"{path}: not a table of labels of this version of curate; {_RESTORE}")
    # Column by column and frame by frame: a row of dicts a frame would need several times the memory.
    columns = [table[name].to_pylist() for name in table.schema.names]
    frames = (
        LabeledFrame(
            frame_id=row[0],
            source=row[1],
            frame_index=row[2],
            width=row[3],
            height=row[4],
            boxes_xyxy=tuple((x1, y1, x2, y2) for x1, y1, x2, y2 in row[5]),
            categories=tuple(row[6]),
            iscrowd=tuple(row[7]),
            segmentations=tuple(row[8]),
            label_file=row[9],
            label_file_sha256=row[10],
        )
        for row in zip(*columns, strict=True)
    )
    return LabelSet(tuple(json.loads(metadata[_CATEGORIES])), tuple(frames))


def save_labels(workspace: Workspace, labels: LabelSet) -> None:
    """Write labels.parquet, whole or not at all, one row a frame in the order of frame ids."""
    import pyarrow as pa

    schema = _schema()
    frames = sorted(labels.frames, key=lambda frame: frame.frame_id)
    columns = {name: [getattr(frame, name) for frame in frames] for name in schema.names}
    metadata = {_CATEGORIES: json.dumps(labels.categories)}
    write_table(workspace.labels, pa.table(columns, schema=schema.with_metadata(metadata)))


def merge(old: LabelSet, new: LabelSet) -> tuple[LabelSet, MergeReport]:
    """Join two label sets. A frame that is in both has its label from `new`; no frame is lost.

    Categories keep their order, those of `old` before those that only `new` has, so a class index stays what it was.
    """
    frames = {frame.frame_id: frame for frame in old.frames}
    replaced = sum(frame.frame_id in frames for frame in new.frames)
    frames.update((frame.frame_id, frame) for frame in new.frames)
    categories = tuple(dict.fromkeys((*old.categories, *new.categories)))
    report = MergeReport(added=len(new.frames) - replaced, replaced=replaced, kept=len(old.frames) - replaced)
    return LabelSet(categories, tuple(frames[id_] for id_ in sorted(frames))), report


def labels_sha256(labels: LabelSet) -> str:
    """A hash of what a detector would learn: categories in order, frames, sizes, boxes, classes, crowds and masks.

    The order of frames, and of the objects in a frame, does not count, nor does the file that a label came from.
    """
    digest = hashlib.sha256(json.dumps(labels.categories).encode())
    for frame in sorted(labels.frames, key=lambda frame: frame.frame_id):
        objects = sorted(zip(frame.boxes_xyxy, frame.categories, frame.iscrowd, frame.segmentations, strict=True))
        line = json.dumps([frame.frame_id, frame.width, frame.height, objects])
        digest.update(b"\n" + line.encode())
    return digest.hexdigest()


def _schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(
        [
            ("frame_id", pa.string()),
            ("source", pa.string()),
            ("frame_index", pa.int64()),
            ("width", pa.int64()),
            ("height", pa.int64()),
            ("boxes_xyxy", pa.list_(pa.list_(pa.float64()))),
            ("categories", pa.list_(pa.string())),
            ("iscrowd", pa.list_(pa.bool_())),
            ("segmentations", pa.list_(pa.string())),
            ("label_file", pa.string()),
            ("label_file_sha256", pa.string()),
        ]
    )
