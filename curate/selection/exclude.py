"""Frames that must not be picked: the frame ids of an earlier selection, a list of names, or any CSV with frame_id."""

import csv
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from curate.errors import UsageError
from curate.types import parse_export_stem


def read_excluded(paths: Iterable[Path]) -> set[str]:
    """The frame ids that these files name.

    A file whose first line has a column `frame_id` is read as CSV; any other has a frame id or an exported name
    (`<source>_f<frame_index>.jpg`, with or without folders) a line. UsageError where a file cannot be read or is empty.
    """
    found: set[str] = set()
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            raise UsageError(
                f"--exclude {path}: not readable as text ({error}); give a CSV or a list of frames"
            ) from error
        header = next(csv.reader(lines[:1]), [])
        if "frame_id" in header:
            # A row that is too short has None there.
            names = [row["frame_id"] or "" for row in csv.DictReader(lines)]
        elif any(line.strip() for line in lines):
            names = [_frame_id(line.strip()) for line in lines]
        else:
            raise UsageError(f"--exclude {path}: empty; give a CSV with the column frame_id, or a frame id a line")
        found.update(name.strip() for name in names if name.strip())
    return found


def _frame_id(line: str) -> str:
    """The frame that a line names; a line that is no exported name is taken for a frame id."""
    name = PurePosixPath(line)
    stem = name.stem if name.suffix.lower() in {".jpg", ".jpeg", ".png"} else name.name
    return line if ":" in line else parse_export_stem(stem) or line
