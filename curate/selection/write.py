"""The selection on disk: selection.csv for people and spreadsheets, selection.jsonl with everything known."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from curate.errors import CurateError
from curate.tables import atomic_replace
from curate.types import SelectedFrame, Source

COLUMNS = ("rank", "frame_id", "source", "frame_index", "timestamp_s", "uncertainty", "utility", "reason")


@dataclass(frozen=True)
class SelectionInfo:
    """What made a selection: selection/run.json. `run` is the score run, `wanted` the budget in frames."""

    run: str
    acquisition: str
    unlabeled: int
    wanted: int
    min_gap_s: float
    seed: int


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
        row = {name: _number(value) for name, value in asdict(frame).items()}
        # A time stamp is half of a frame's identity: six digits would be 0.1 s after three hours.
        row["timestamp_s"] = round(frame.timestamp_s, 6)
        writer.writerow(row)
        source = sources[frame.source]
        provenance = {"path": source.path, "sha256": source.sha256, "time_base": source.time_base}
        lines.append(json.dumps(row | provenance | {k: _number(v) for k, v in details[frame.frame_id].items()}))
    atomic_replace(folder / "selection.jsonl", "".join(line + "\n" for line in lines).encode())
    atomic_replace(folder / "run.json", (json.dumps(asdict(info), indent=2) + "\n").encode())
    atomic_replace(folder / "selection.csv", text.getvalue().encode())


def read_info(folder: Path) -> SelectionInfo:
    """What made the selection; CurateError where there is none or its run.json is damaged."""
    path = folder / "run.json"
    try:
        return SelectionInfo(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise CurateError(f"{path}: no selection yet; run `curate score PATHS --budget 5%` first") from error
    except (TypeError, ValueError) as error:
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
    return float(f"{value:.6g}") if isinstance(value, float) else value
