"""The Typer app: its commands and `--version`."""

from typing import Annotated

import typer

from curate import __version__
from curate.cli import (
    browse,
    demo,
    diff,
    doctor,
    evaluate,
    explain,
    export,
    label,
    lint,
    probe,
    score,
    select,
    train,
    verify,
)

app = typer.Typer(
    name="curate",
    help="Choose the frames of your videos that are most worth labelling.\n\n"
    "Start with:  curate score videos/ --budget 5%",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"curate {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


app.command("score")(score.score)
app.command("train")(train.train)
app.command("select")(select.select)
app.command("explain")(explain.explain)
app.command("diff")(diff.diff)
app.command("browse")(browse.browse)
app.command("export")(export.export)
app.command("lint")(lint.lint)
app.command("label")(label.label)
app.command("verify")(verify.verify)
app.command("evaluate")(evaluate.evaluate)
app.command("probe")(probe.probe)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
