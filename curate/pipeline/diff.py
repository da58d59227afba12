"""Compare two selections: what they share, what each has alone, where, of which classes, and in what order."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from curate.errors import CurateError, UsageError
from curate.selection.details import read_details


@dataclass(frozen=True)
class Side:
    """One selection. mean_uncertainty: None where no frame has one. classes: None where they are not known, else in how
    many frames each class is predicted among the boxes that drove the pick."""

    path: str
    frames: int
    mean_uncertainty: float | None
    videos: Mapping[str, int]
    classes: Mapping[str, int] | None


@dataclass(frozen=True)
class SelectionDiff:
    """Two selections compared; frames by frame_id, each list in the order of its own selection.

    overlap: common frames over those in either (Jaccard), 1 for two empty ones. rank_correlation: Spearman's over the
    common frames, -1..1, None for fewer than two. mean_uncertainty_only_a, _b: of the frames that the other lacks.
    """

    a: Side
    b: Side
    common: tuple[str, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    overlap: float
    rank_correlation: float | None
    mean_uncertainty_only_a: float | None
    mean_uncertainty_only_b: float | None


@dataclass(frozen=True)
class _Row:
    source: str
    uncertainty: float | None


def diff(a: Path, b: Path) -> SelectionDiff:
    """Compare the selections at two paths: folders with selection.csv, or CSV files with a column frame_id.

    The order is that of the column rank, or of the rows where there is none. Raises UsageError for a path that is
    missing, and CurateError for a file that is no such list.
    """
    rows_a, rows_b = _read(a), _read(b)
    common = tuple(frame_id for frame_id in rows_a if frame_id in rows_b)
    only_a = tuple(frame_id for frame_id in rows_a if frame_id not in rows_b)
    only_b = tuple(frame_id for frame_id in rows_b if frame_id not in rows_a)
    either = len(rows_a) + len(only_b)
    return SelectionDiff(
        a=_side(a, rows_a),
        b=_side(b, rows_b),
        common=common,
        only_a=only_a,
        only_b=only_b,
        overlap=len(common) / either if either else 1.0,
        rank_correlation=_spearman(common, [frame_id for frame_id in rows_b if frame_id in rows_a]),
        mean_uncertainty_only_a=_mean(rows_a[frame_id].uncertainty for frame_id in only_a),
        mean_uncertainty_only_b=_mean(rows_b[frame_id].uncertainty for frame_id in only_b),
    )


def _file(path: Path) -> Path:
    """The CSV that a path means: itself, or selection.csv in it, also in the folder `selection` of a workspace."""
    for file in (path, path / "selection.csv", path / "selection" / "selection.csv"):
        if file.is_file():
            return file
    raise UsageError(f"{path}: no selection there; give a folder with selection.csv, or a CSV file with frame_id")


def _read(path: Path) -> dict[str, _Row]:
    """The frames by frame_id, best first."""
    file = _file(path)
    try:
        with file.open(newline="", encoding="utf-8") as text:
            lines = list(csv.DictReader(text))
        if lines and "rank" in lines[0]:
            lines.sort(key=lambda line: int(line["rank"]))
        rows = {}
        for line in lines:
            uncertainty = line.get("uncertainty")
            source = line.get("source") or line["frame_id"].partition(":")[0]
            rows[line["frame_id"]] = _Row(source, float(uncertainty) if uncertainty else None)
    except KeyError as error:
        raise CurateError(f"{file}: no column frame_id; give the selection.csv of a selection") from error
    except (TypeError, ValueError, csv.Error) as error:
        raise CurateError(f"{file}: not a selection ({error}); give the selection.csv of a selection") from error
    if len(rows) < len(lines):
        raise CurateError(f"{file}: {len(lines) - len(rows)} frames are listed twice; give each once")
    return rows


def _side(path: Path, rows: Mapping[str, _Row]) -> Side:
    videos = Counter(row.source for row in rows.values())
    return Side(
        path=str(path),
        frames=len(rows),
        mean_uncertainty=_mean(row.uncertainty for row in rows.values()),
        videos=dict(sorted(videos.items())),
        classes=_classes(read_details(_file(path).parent), rows),
    )


def _classes(details: Mapping[str, Mapping[str, Any]], rows: Mapping[str, _Row]) -> dict[str, int] | None:
    """In how many frames each class is predicted; None where selection.jsonl is missing, of other frames, or older."""
    lines = [details.get(frame_id) for frame_id in rows]
    known = [line["boxes"] for line in lines if line is not None and "boxes" in line]
    if not known or len(known) < len(rows):
        return None
    return dict(sorted(Counter(name for boxes in known for name in {box["category"] for box in boxes}).items()))


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _spearman(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Of two orders of the same things, without ties: 1 - 6 sum d^2 / (n^3 - n)."""
    n = len(first)
    if n < 2:
        return None
    place = {name: i for i, name in enumerate(second)}
    return 1 - 6 * sum((i - place[name]) ** 2 for i, name in enumerate(first)) / (n**3 - n)
