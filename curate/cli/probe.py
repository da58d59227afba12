"""`curate probe`: what is in these files, and how they would be decoded."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from curate.media.inspection import Inspection

_COLUMNS = ("format", "size", "turn", "fps", "frames", "seconds", "time base", "decoder")
# On a narrower terminal a table has no room for the notes, which say what is wrong.
_TABLE_WIDTH = 130


def probe(
    paths: Annotated[list[str], typer.Argument(metavar="PATHS...", help="Videos, images, folders, or @list.txt.")],
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every packet of large videos too, and decode images: slow, no guess.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a file.")] = False,
) -> None:
    """Show format, size, rate, frames, time base and decoder of each file, why that decoder, and what is wrong.

    Videos up to 16 MiB are looked at packet by packet, larger ones by header, index and first 16 MiB unless --deep
    is given. Exit code 3 if some files have problems, or inputs had to be skipped.

    Examples:

      curate probe videos/

      curate probe clip.mp4 --deep --json
    """
    from curate.media.discover import discover
    from curate.media.inspection import inspect

    found = discover(paths)
    by_path = {Path(one.probe.path): one for one in inspect(found.files, deep=deep)}
    inspections = [by_path[path] for path in found.files]
    if as_json:
        for one in inspections:
            typer.echo(json.dumps(_as_json(one)))
    else:
        _print(inspections)
    bad = sum(bool(one.problems) for one in inspections)
    if bad:
        typer.echo(f"{bad} of {len(inspections)} files have problems", err=True)
    for skipped in found.skipped:
        typer.echo(f"Skipped: {skipped.path}: {skipped.reason}", err=True)
    if bad or found.skipped:
        raise typer.Exit(3)


def _as_json(one: "Inspection") -> dict[str, object]:
    """The probe's values and those of the inspection, side by side."""
    from dataclasses import asdict

    values = asdict(one)
    probed: dict[str, object] = values.pop("probe")
    return probed | values


def _cells(one: "Inspection") -> tuple[str, ...]:
    """The values of _COLUMNS."""
    from curate.media.inspection import container_name

    found = one.probe
    frames = one.packets or found.header_frames
    return (
        " ".join(part for part in (container_name(found), found.codec, found.pixel_format) if part),
        f"{found.width}x{found.height}" if found.width else "",
        str(found.rotation or ""),
        f"{found.fps:.4g}" if found.fps else "",
        str(frames or ""),
        f"{found.duration_s:.2f}" if found.duration_s else "",
        found.time_base,
        found.backend,
    )


def _notes(one: "Inspection") -> list[str]:
    """What is wrong with the file, or why its decoder was chosen; then what is unusual."""
    return [note for note in (*(one.problems or (one.probe.backend_reason,)), *one.remarks) if note]


def _print(inspections: "Sequence[Inspection]") -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a file or a pipe has no width: nothing need be folded
    if console.width < _TABLE_WIDTH:
        _print_lines(inspections, console)
    else:
        _print_table(inspections, console)


def _print_lines(inspections: "Sequence[Inspection]", console: "Console") -> None:
    from rich.padding import Padding
    from rich.text import Text

    for one in inspections:
        named = ", ".join(f"{name} {cell}" for name, cell in zip(_COLUMNS, _cells(one), strict=True) if cell)
        console.print(Text(Path(one.probe.path).name, overflow="fold"))
        for line in filter(None, (named, *_notes(one))):
            console.print(Padding(Text(line, overflow="fold"), (0, 0, 0, 2)))


def _print_table(inspections: "Sequence[Inspection]", console: "Console") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("file", overflow="fold", min_width=12)
    for name in _COLUMNS:
        table.add_column(name, no_wrap=name != "format")
    table.add_column("notes", overflow="fold", min_width=12)
    for one in inspections:
        row = (Path(one.probe.path).name, *_cells(one), "; ".join(_notes(one)))
        table.add_row(*map(Text, row))  # not markup: file names may have brackets
    console.print(table)
