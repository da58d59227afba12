"""`curate diff`: two selections beside each other."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from curate.pipeline.diff import SelectionDiff


def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="A folder with selection.csv, or a CSV file.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The selection to compare with it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, frames included.")] = False,
) -> None:
    """Compare two selections: common frames, those of one alone, order, uncertainty, videos and classes.

    Example:

      curate diff curate-workspace/selection before/selection.csv
    """
    import json
    from dataclasses import asdict

    from curate.pipeline.diff import diff as run_diff

    found = run_diff(a, b)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        _print(found)


def _print(found: "SelectionDiff") -> None:
    from rich.console import Console
    from rich.table import Table

    sides = found.a, found.b
    correlation = "-" if found.rank_correlation is None else f"{found.rank_correlation:.3f}"
    typer.echo(f"A: {found.a.path}\nB: {found.b.path}")
    typer.echo(
        f"{len(found.common):,} frames in both, {len(found.only_a):,} only in A, {len(found.only_b):,} only in B; "
        f"overlap {found.overlap:.1%}, rank correlation {correlation}"
    )
    table = Table("", "A", "B", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("frames", *(f"{side.frames:,}" for side in sides))
    table.add_row("mean uncertainty", *(_number(side.mean_uncertainty) for side in sides))
    only = found.mean_uncertainty_only_a, found.mean_uncertainty_only_b
    table.add_row("  of those only here", *(_number(value) for value in only))
    table.add_row("videos and images", *(f"{len(side.videos):,}" for side in sides))
    _add_counts(table, "frames of a class", found.a.classes, found.b.classes)
    _add_counts(table, "frames of a video", found.a.videos, found.b.videos)
    Console(soft_wrap=True).print(table)


def _add_counts(table: "Table", title: str, first: Mapping[str, int] | None, second: Mapping[str, int] | None) -> None:
    """A row for each name that either side has; nothing where neither knows."""
    from rich.markup import escape

    if first is None and second is None:
        return
    table.add_row(title)
    for name in sorted({*(first or ()), *(second or ())}):
        counts = ("-" if side is None else f"{side.get(name, 0):,}" for side in (first, second))
        table.add_row(f"  {escape(name)}", *counts)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
