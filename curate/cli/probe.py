"""`curate probe`: what is in these files, and how they would be decoded."""

import json
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

    from rich.console import Console
    from rich.table import Table

    from curate.media.discover import discover
    from curate.media.probe import probe as probe_file

    files = discover(paths)
    broken = 0
    table = Table("file", "kind", "codec", "size", "rotation", "fps", "frames", "seconds", "decoder", "problem")
    for path in files:
        found = probe_file(path)
        broken += bool(found.error)
        if as_json:
            typer.echo(json.dumps({"path": str(path)} | asdict(found)))
        else:
            table.add_row(
                path.name,
                found.kind,
                found.codec,
                f"{found.width}x{found.height}",
                str(found.rotation),
                f"{found.fps:.3g}",
                str(found.header_frames),
                f"{found.duration_s:.2f}",
                found.backend,
                found.error or found.backend_reason,
            )
    if not as_json:
        Console().print(table)
    if broken:
        typer.echo(f"{broken} of {len(files)} files cannot be read", err=True)
        raise typer.Exit(3)
