"""selection.jsonl read back: everything known of each pick, with keys that an older selection may lack."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curate.errors import CurateError


def read_details(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The lines of selection.jsonl by frame_id, in order of rank; empty where there is no such file.

    Raises CurateError where it is damaged.
    """
    path = folder / "selection.jsonl"
    if not path.exists():
        return {}
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {row["frame_id"]: row for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise CurateError(f"{path}: damaged ({error!r}); run `curate select` to write it anew") from error
