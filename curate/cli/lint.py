"""`curate lint`: will a receiver take this COCO file, and what of it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.errors import UsageError
from curate.handoff.lint.types import RECEIVERS

if TYPE_CHECKING:
    from curate.handoff.lint.check import LintResult
    from curate.handoff.lint.types import Finding
    from curate.pipeline.lint import FixResult


def lint(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A COCO JSON file.")],
    receiver: Annotated[str, typer.Option("--for", help=f"Receiver: {', '.join(RECEIVERS)}.")] = "coco",
    fix: Annotated[
        bool, typer.Option("--fix", help="Write a mended copy: what is safe to mend, nothing else.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Where --fix writes.", show_default="FILE with .fixed.json for .json")
    ] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Let --fix replace FILE; the original is kept as FILE.orig.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object with all findings.")] = False,
) -> None:
    """Check a COCO file before a labelling tool does: ids, names, sizes, boxes, polygons, layout, pictures.

    Errors are what the receiver refuses or loses; warnings are what curate's own exports keep to. Each finding names
    its rule, the entries and how to mend them (docs/lint.md has all rules). Exit code 1 if there are errors.

    Examples:

      curate lint annotations.json --for cvat

      curate lint annotations.json --for label-studio --fix --out mended.json
    """
    from curate.pipeline.lint import lint as run_lint
    from curate.pipeline.lint import lint_and_fix

    if (out is not None or in_place) and not fix:
        raise UsageError(f"{'--in-place' if in_place else f'--out {out}'}: give --fix as well")
    if out is not None and in_place:
        raise UsageError(f"--out {out} and --in-place: give one of them")
    fixed = lint_and_fix(file, receiver, out=out, in_place=in_place) if fix else None
    result = fixed.after if fixed is not None else run_lint(file, receiver)
    if as_json:
        typer.echo(json.dumps(_as_json(result, fixed), indent=1))
    else:
        _print(result, file, fixed)
    if result.count("error"):
        raise typer.Exit(1)


def _as_json(result: "LintResult", fixed: "FixResult | None") -> dict[str, object]:
    values: dict[str, object] = {
        "file": str(result.path),
        "for": result.receiver,
        "errors": result.count("error"),
        "warnings": result.count("warning"),
        "findings": [
            {
                "rule": finding.rule.id,
                "severity": finding.severity,
                "count": finding.count,
                "mend": finding.rule.mend,
                "fixable": finding.rule.fixable,
                "entries": [{"entry": hit.entry, "detail": hit.detail} for hit in finding.hits],
            }
            for finding in result.findings
        ],
    }
    if fixed is not None:
        values |= {"mended": fixed.mended, "written": str(fixed.written), "original": str(fixed.original)}
    return values


def _print(result: "LintResult", file: Path, fixed: "FixResult | None") -> None:
    if fixed is not None:
        what = ", ".join(f"{id_} ({count:,})" for id_, count in fixed.mended.items()) or "nothing"
        typer.echo(f"Mended: {what}; written to {fixed.written}, the original is {fixed.original}")
    width = max((len(finding.rule.id) for finding in result.findings), default=0)
    for finding in result.findings:
        typer.echo(f"{finding.severity:8}{finding.rule.id:{width}}  {_entries(finding)}")
        typer.echo(f"{'':8}{'':{width}}  {finding.rule.mend}" + (" (--fix does)" if finding.rule.fixable else ""))
    errors, warnings = result.count("error"), result.count("warning")
    name = file if fixed is None else fixed.written
    typer.echo(f"{name} for {result.receiver}: {errors:,} errors, {warnings:,} warnings")


def _entries(finding: "Finding") -> str:
    first = finding.hits[0]
    text = f"{first.entry}: {first.detail}" if first.entry else first.detail
    if finding.count == 1:
        return text
    others = ", ".join(dict.fromkeys(hit.entry for hit in finding.hits[1:4]))
    return f"{text} ({finding.count:,} in all: also {others}{', ...' if finding.count > 4 else ''})"
