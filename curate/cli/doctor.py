"""`curate doctor`: does this machine have what is needed."""

import typer


def doctor() -> None:
    """Check decoders, GPU, MongoDB, weights and versions, each by using it; exit code 1 if a needed one fails.

    Example:

      curate doctor
    """
    from rich.console import Console
    from rich.table import Table

    from curate.pipeline.doctor import check

    table = Table("", "part", "found")
    checks = check()
    for one in checks:
        mark = "[green]ok[/]" if one.ok else ("[red]failed[/]" if one.needed else "[yellow]missing[/]")
        table.add_row(mark, one.name, one.found)
    Console().print(table)
    if any(one.needed and not one.ok for one in checks):
        raise typer.Exit(1)
