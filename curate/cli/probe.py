"""`curate probe`: what is in these files, and how they would be decoded."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer


def probe(
    paths: Annotated[list[str], typer.Argument(metavar="PATHS...", help="Videos, images, folders, or @list.txt.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a file.")] = False,
) -> None:
    """Show codec, size, rate, frames and decoder of each file; exit code 3 if some cannot be read.

    Examples:

      curate probe videos/

      curate probe clip.mp4 --json
    """
    from dataclasses import asdict

    from curate.media.discover import discover
    from curate.media.probe import probe as probe_file

    files = discover(paths)
    broken = 0
    rows = []
    for path in files:
        found = probe_file(path)
        broken += bool(found.error)
        if as_json:
            typer.echo(json.dumps({"path": str(path)} | asdict(found)))
        else:
            rows.append(
                (
                    path.name,
                    found.codec,
                    f"{found.width}x{found.height}" if found.width else "",
                    str(found.rotation or ""),
                    f"{found.fps:.3g}" if found.fps else "",
                    str(found.header_frames or ""),
                    f"{found.duration_s:.2f}" if found.duration_s else "",
                    found.backend,
                    found.error or found.backend_reason,
                )
            )
    if not as_json:
        _print_table(rows)
    if broken:
        typer.echo(f"{broken} of {len(files)} files cannot be read", err=True)
        raise typer.Exit(3)


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("file", overflow="fold", min_width=12)
    for name in ("codec", "size", "turn", "fps", "frames", "seconds", "decoder"):
        table.add_column(name, no_wrap=True)
    table.add_column("note", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # not markup: file names may have brackets
    console = Console()
    # A file or a pipe has no width: nothing need be folded.
    (console if console.is_terminal else Console(width=200)).print(table)
