"""`curate verify`: are the exported pictures the frames that they are said to be."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli import options as opt
from curate.errors import UsageError

if TYPE_CHECKING:
    from curate.pipeline.verify import VerifiedFrame, VerifyResult


def verify(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[EXPORT]", help="An export's folder.", show_default="the newest of the workspace"),
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Verify so many frames, drawn at random.", show_default="50")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Verify every frame.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides which frames are drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a frame.")] = False,
    workspace: opt.WorkspaceOption = opt.WORKSPACE,
) -> None:
    """Decode exported frames again from the originals, with the other decoder, and compare the pixels.

    Each original must be there unchanged (sha256). An exported picture must be nearer to its frame than to the
    frames before and after it, and within 2 levels of 255 on average once both are compressed alike; the time stamp
    must be that of the frame. Exit code 3 if a frame differs or cannot be read.

    Examples:

      curate verify

      curate verify exports-2024/coco --all --json
    """
    from curate.cli.console import console_progress
    from curate.pipeline.verify import DEFAULT_SAMPLE
    from curate.pipeline.verify import verify as run_verify
    from curate.progress import SILENT
    from curate.workspace import Workspace

    if every and sample is not None:
        raise UsageError(f"--all and --sample {sample}: give one of them")
    count = None if every else sample or DEFAULT_SAMPLE
    space = Workspace.open(workspace)
    with console_progress() as progress:
        result = run_verify(space, folder, sample=count, seed=seed, progress=SILENT if as_json else progress)
    if as_json:
        for frame in result.frames:
            typer.echo(json.dumps(_as_json(frame)))
    else:
        _print(result, seed)
    if result.wrong:
        typer.echo(f"{len(result.wrong)} of {len(result.frames)} frames differ or cannot be read", err=True)
        raise typer.Exit(3)


def _as_json(frame: "VerifiedFrame") -> dict[str, object]:
    exported, checked = frame.exported, frame.checked
    return {
        "frame_id": exported.frame_id,
        "image": str(exported.image),
        "path": frame.path,
        "sha256": exported.sha256,
        "frame_index": exported.frame_index,
        "timestamp_s": exported.timestamp_s,
        "time_base": exported.time_base,
        "verdict": checked.verdict,
        "decoder": checked.decoder,
        "shows_frame": checked.shows,
        "difference": checked.difference,
        "reason": checked.reason,
    }


def _print(result: "VerifyResult", seed: int) -> None:
    drawn = "" if len(result.frames) == result.exported else f", seed {seed}"
    typer.echo(f"Verified {len(result.frames):,} of {result.exported:,} frames of {result.folder}{drawn}")
    typer.echo(f"  {result.count('agrees'):,} agree with their originals{_decoders(result)}")
    if result.count("unconfirmed"):
        typer.echo(f"  {result.count('unconfirmed'):,} agree, but could not be compared with a second decoder:")
        for line in _unconfirmed(result):
            typer.echo(f"    {line}")
    typer.echo(f"  {result.count('differs'):,} differ")
    typer.echo(f"  {result.count('unreadable'):,} cannot be read")
    for frame in result.wrong:
        original = frame.path or frame.exported.file_name
        typer.echo(f"{frame.exported.frame_id}: {frame.checked.reason}; original {original}")


def _decoders(result: "VerifyResult") -> str:
    """With what the frames that agree were compared, as in " (40 by pyav, 8 by decord)"."""
    from collections import Counter

    used = Counter(frame.checked.decoder for frame in result.frames if frame.checked.verdict == "agrees")
    return f" ({', '.join(f'{count:,} by {name}' for name, count in used.most_common())})" if used else ""


def _unconfirmed(result: "VerifyResult") -> list[str]:
    """A line a source."""
    reasons = {frame.path: frame.checked.reason for frame in result.frames if frame.checked.verdict == "unconfirmed"}
    return [f"{path}: {reason}" for path, reason in reasons.items()]
