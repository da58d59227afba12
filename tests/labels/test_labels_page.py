"""docs/labels.md lists every kind of problem with its advice, every format and every kind of suspect."""

import re
from pathlib import Path
from typing import get_args

from curate.labels.compare import SuspectKind
from curate.labels.problems import ADVICE
from curate.labels.registry import FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "labels.md").read_text()


def table(heading: str) -> dict[str, str]:
    """The rows of the table whose first column has this heading: name to second column."""
    lines = PAGE.split(f"| {heading} |", 1)[1].splitlines()[2:]
    matches = [re.fullmatch(r"\| `(\S+)` \| (.+?) \|(.*)", line) for line in lines]
    rows = []
    for match in matches:
        if match is None:
            break
        rows.append(match)
    return {row[1]: row[2] for row in rows}


def test_every_kind_of_problem_is_listed_with_its_advice() -> None:
    assert table("name") == dict(ADVICE)


def test_every_format_and_suspect_is_listed() -> None:
    assert set(table("format")) == set(FORMATS.names())
    assert set(table("suspect")) == set(get_args(SuspectKind))
