"""The selection on disk: selection.csv for people and spreadsheets, selection.jsonl with everything known."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from curate.errors import CurateError
from curate.tables import atomic_replace
from curate.types import SelectedFrame, Source

COLUMNS = ("rank", "frame_id", "source", "frame_index", "timestamp_s", "uncertainty", "utility", "reason")


@dataclass(frozen=True)
class SelectionInfo:
    """What made a selection: selection/run.json.

    run: the score run. unlabeled: how many candidates the pool had. wanted: the budget in frames, None for a labelling
    time. min_gap_s: in seconds, of no effect where min_gap_frames is set. labeling_s: what labelling the selection is
    expected to take, where the budget was a time. excluded: candidates that were excluded by name. unmet: what was
    asked for and could not be had, in words.
    """

    run: str
    acquisition: str
    unlabeled: int
    wanted: int | None
    min_gap_s: float
    seed: int
    min_gap_frames: int | None = None
    budget: str = ""
    balance: float = 0.0
    per_video_min: str | None = None
    per_video_max: str | None = None
    duplicates: str = "drop"
    excluded: int = 0
    labeling_s: float | None = None
    unmet: tuple[str, ...] = ()


def write_selection(
    folder: Path,
    selection: Sequence[SelectedFrame],
    sources: Mapping[str, Source],
    details: Mapping[str, Mapping[str, Any]],
    info: SelectionInfo,
) -> None:
    """Write selection.csv, selection.jsonl and run.json.

    `details` are further values of a frame, by frame_id, for selection.jsonl.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    lines = []
    for frame in selection:
        row = {name: _number(value) for name, value in vars(frame).items()}
        # A time stamp is half of a frame's identity: six digits would be 0.1 s after three hours.
        row["timestamp_s"] = round(frame.timestamp_s, 6)
        writer.writerow(row)
        source = sources[frame.source]
        provenance = {"path": source.path, "sha256": source.sha256, "time_base": source.time_base}
        lines.append(json.dumps(row | provenance | _number(dict(details[frame.frame_id]))))
    atomic_replace(folder / "selection.jsonl", "".join(line + "\n" for line in lines).encode())
    atomic_replace(folder / "run.json", (json.dumps(asdict(info), indent=2) + "\n").encode())
    atomic_replace(folder / "selection.csv", text.getvalue().encode())


def read_info(folder: Path) -> SelectionInfo:
    """What made the selection; CurateError where there is none or its run.json is damaged."""
    path = folder / "run.json"
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        return SelectionInfo(**(info | {"unmet": tuple(info.get("unmet", ()))}))
    except FileNotFoundError as error:
        raise CurateError(f"{path}: no selection yet; run `curate score PATHS --budget 5%` first") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise CurateError(f"{path}: damaged ({error}); run `curate select` to write it anew") from error


def read_selection(folder: Path) -> list[SelectedFrame]:
    """Read selection.csv back; CurateError where there is none or it was damaged."""
    path = folder / "selection.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                SelectedFrame(
                    rank=int(row["rank"]),
                    frame_id=row["frame_id"],
                    source=row["source"],
                    frame_index=int(row["frame_index"]),
                    timestamp_s=float(row["timestamp_s"]),
                    uncertainty=float(row["uncertainty"]) if row["uncertainty"] else None,
                    utility=float(row["utility"]),
                    reason=row["reason"],
                )
                for row in csv.DictReader(file)
            ]
    except FileNotFoundError as error:
        raise CurateError(f"{path}: no selection yet; run `curate score PATHS --budget 5%` first") from error
    except (KeyError, ValueError) as error:
        raise CurateError(f"{path}: not a selection ({error!r}); run `curate select` to write it anew") from error


def _number(value: Any) -> Any:
    """Six significant digits are more than any ranking is worth, and keep the files readable."""
    if isinstance(value, float):
        # NaN is not JSON.
        return float(f"{value:.6g}") if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _number(one) for key, one in value.items()}
    return [_number(one) for one in value] if isinstance(value, list) else value
