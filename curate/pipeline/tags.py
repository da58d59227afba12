"""The selection as a person changed it in the FiftyOne App: frames taken out, frames added."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from curate.browse.tags import current_tags
from curate.errors import CurateError
from curate.media.reread import write_all_full_size
from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.scoring.run import ScoreRun
from curate.types import SelectedFrame, export_stem
from curate.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

ADDED_REASON = "tagged selected in the App"


@dataclass(frozen=True)
class TaggedSelection:
    """The frames to hand over, the picked ones first, and how many a person took out and added.

    `labeled` of the frames that a person tagged `selected` have labels already and are not handed over again.
    """

    frames: tuple[SelectedFrame, ...]
    removed: int
    added: int
    labeled: int

    def __str__(self) -> str:
        parts = [f"{self.removed:,} frames taken out and {self.added:,} added"]
        if self.labeled:
            parts.append(f"{self.labeled:,} with the tag selected are labelled already")
        return "Tags of the App: " + ", ".join(parts)


def tagged_selection(
    workspace: Workspace,
    pool: Pool,
    run: ScoreRun,
    selection: Sequence[SelectedFrame],
    *,
    progress: Progress = SILENT,
) -> TaggedSelection:
    """The selection without the frames that a person refused, and with those that a person added.

    Added frames come after the picked ones, the most uncertain first, and their pictures are written at full size to
    `selection/images/`. Frames that left the pool, or are ignored in it, are passed over.

    Raises CurateError where no frame is left, and where the original of an added frame cannot be read again.
    """
    tags = current_tags(workspace, progress=progress)
    refused = tags.refused(frame.frame_id for frame in selection)
    kept = [frame for frame in selection if frame.frame_id not in refused]
    wanted = tags.selected - refused - {frame.frame_id for frame in selection}
    added, labeled = _added(pool, run, wanted, first_rank=max((frame.rank for frame in selection), default=0) + 1)
    if not kept and not added and selection:
        raise CurateError(
            f"all {len(selection)} selected frames are rejected in the App; take the tag rejected off some, "
            "or run `curate select` again"
        )
    _write_images(workspace, pool, added, progress)
    result = TaggedSelection((*kept, *added), len(selection) - len(kept), len(added), labeled)
    if result.removed or result.added or result.labeled:
        progress.say(str(result))
    return result


def _added(pool: Pool, run: ScoreRun, wanted: frozenset[str], *, first_rank: int) -> tuple[list[SelectedFrame], int]:
    """The frames that a person added, in their order, and how many more have labels."""
    if not wanted:
        return [], 0
    rows = _with_ids(pool.frames, wanted).to_pylist()
    unlabeled = [row for row in rows if row["state"] == "unlabeled"]
    uncertainty = _uncertainties(run, wanted)
    unlabeled.sort(key=lambda row: (-uncertainty.get(row["frame_id"], float("-inf")), row["frame_id"]))
    frames = [
        SelectedFrame(
            rank=rank,
            frame_id=row["frame_id"],
            source=row["source"],
            frame_index=row["frame_index"],
            timestamp_s=row["timestamp_s"],
            uncertainty=uncertainty.get(row["frame_id"]),
            utility=uncertainty.get(row["frame_id"], 0.0),
            reason=ADDED_REASON,
        )
        for rank, row in enumerate(unlabeled, start=first_rank)
    ]
    return frames, sum(row["state"] == "labeled" for row in rows)


def _uncertainties(run: ScoreRun, wanted: frozenset[str]) -> dict[str, float]:
    """The finite uncertainties of frames that a detector has scored, as selection.csv would have them."""
    if run.info.kind != "detector":
        return {}
    rows = _with_ids(run.read(["frame_id", "uncertainty"]), wanted).to_pylist()
    return {
        row["frame_id"]: float(f"{row['uncertainty']:.6g}")
        for row in rows
        if row["uncertainty"] is not None and math.isfinite(row["uncertainty"])
    }


def _with_ids(table: "pa.Table", frame_ids: frozenset[str]) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.compute as pc

    return table.filter(pc.is_in(table["frame_id"], value_set=pa.array(sorted(frame_ids), pa.string())))


def _write_images(workspace: Workspace, pool: Pool, frames: Sequence[SelectedFrame], progress: Progress) -> None:
    """Write the pictures of added frames at full size where they are not there yet."""
    by_source: dict[str, dict[int, Path]] = {}
    for frame in frames:
        path = workspace.selection / "images" / f"{export_stem(frame.frame_id)}.jpg"
        if not path.exists():
            by_source.setdefault(frame.source, {})[frame.frame_index] = path
    if not by_source:
        return
    progress.start("Reading added frames at full size", sum(map(len, by_source.values())), "frames")
    wanted = [(pool.sources[source], paths) for source, paths in sorted(by_source.items())]
    for written in write_all_full_size(wanted):
        if written.reason:
            raise CurateError(f"{written.reason} (a frame of it is tagged selected in the App: take the tag off)")
        progress.advance(len(by_source[written.source.source]))
    progress.finish()
