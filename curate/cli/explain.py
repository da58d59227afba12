"""`curate explain`: why a frame was picked, or was not."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.cli import options as opt

if TYPE_CHECKING:
    from curate.pipeline.explain import FrameExplanation

_SCORES = (
    "printed_uncertainty",
    "mean_uncertainty",
    "max_uncertainty",
    "top_k_uncertainty",
    "entropy",
    "margin",
    "least_confidence",
)


def explain(
    frame_id: Annotated[
        str, typer.Argument(metavar="FRAME_ID", help="A frame_id, the name of an exported file, or a rank (1).")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The picture, a .png.", show_default="explain/<frame>.png in the workspace")
    ] = None,
    picture: Annotated[bool, typer.Option("--picture/--no-picture", help="Run the detector and draw.")] = True,
    detector: Annotated[
        str | None,
        typer.Option("--detector", "-d", help="Where the detector is that scored, if it is not in the workspace."),
    ] = None,
    workspace: opt.WorkspaceOption = opt.WORKSPACE,
) -> None:
    """Say why a frame was picked, or was not, and draw where in it the uncertainty lies.

    The picture shows the frame with its most uncertain boxes, and heat maps of instance uncertainty, of objectness and
    of their product, which adds up to the image uncertainty.

    Examples:

      curate explain 1

      curate explain clip-1a2b3c4d:00000042 --out why.png
    """
    from curate.pipeline.explain import explain as run_explain
    from curate.workspace import Workspace

    explained = run_explain(Workspace.open(workspace), frame_id, out=out, picture=picture, detector=detector)
    for line in describe(explained):
        typer.echo(line)
    if explained.picture is not None:
        typer.echo(f"Picture: {out or workspace / explained.picture.relative_to(workspace.absolute())}")
    elif picture:
        typer.echo(f"No picture: {explained.no_picture}")


def describe(explained: "FrameExplanation") -> Iterator[str]:
    """The lines of text."""
    from curate.pipeline.explain import BOXES_SHOWN

    frame, source = explained.frame, explained.source
    place = f", frame {frame.frame_index:,} at {frame.timestamp_s:.3f} s" if source.kind == "video" else ""
    yield f"{frame.frame_id}: {Path(source.path).name}{place}"
    yield from _verdict(explained)
    if explained.pick is not None:
        yield from _parts(explained.pick)
    if "uncertainty" in explained.scores:
        rank = explained.uncertainty_rank
        where = f", place {rank:,} of {explained.candidates:,} unlabelled frames" if rank is not None else ""
        value = explained.scores["uncertainty"]
        yield f"Image uncertainty (Eq. 7) {value:.4g}{where}; scored by {explained.run.detector}"
        yield "  " + ", ".join(f"{name} {explained.scores[name]:.4g}" for name in _SCORES if name in explained.scores)
    if explained.duplicates:
        picked = [f"{frame_id} (rank {rank})" for frame_id, rank in explained.duplicates if rank is not None]
        yield (
            f"Near-duplicate group {explained.duplicate_group}: {len(explained.duplicates):,} more frames look the same"
            + (f", of them picked: {', '.join(picked)}" if picked else "")
        )
    if explained.boxes:
        shown = explained.boxes[:BOXES_SHOWN]
        yield f"Boxes, most uncertain first ({len(shown)} of {len(explained.boxes)}):"
        for box in shown:
            corners = ", ".join(f"{value:.0f}" for value in box.box_xyxy)
            yield f"  {box.category}  score {box.score:.2f}  uncertainty {box.uncertainty:.3g}  at {corners}"


def _verdict(explained: "FrameExplanation") -> Iterator[str]:
    state, pick = explained.frame.state, explained.pick
    if pick is not None:
        yield (
            f"Picked: rank {pick['rank']} of {explained.picks:,} by {explained.acquisition}, "
            f"utility {pick['utility']:.4g} ({pick['reason']})"
        )
        if state == "labeled":
            yield "It has been labelled since."
    elif state != "unlabeled":
        yield {
            "labeled": "Not picked: it is labelled",
            "ignored": "Not picked: its file is gone or was replaced",
        }[state]
    elif not explained.picks:
        yield "Not picked: there is no selection yet"
    else:
        yield f"Not picked among the {explained.picks:,} frames of {explained.acquisition}"
        for one in explained.kept_out_by:
            yield f"  kept out by rank {one.rank}, {one.frame_id}: {one.why}"


def _parts(pick: "Any") -> Iterator[str]:
    """What selection.jsonl knows of a pick; each part may be missing."""
    parts = {name: value for name, value in (pick.get("utility_parts") or {}).items() if value is not None}
    if parts:
        yield "  parts of the utility: " + ", ".join(f"{name} {value:.4g}" for name, value in parts.items())
    if pick.get("cluster_size") is not None:
        yield f"  nearest pick or labelled frame of {pick['cluster_size']:,} candidates"
    suppressed = pick.get("suppressed") or {}
    if suppressed.get("count"):
        yield f"  kept out {suppressed['count']:,} candidates, the most uncertain of them:"
        for other in suppressed.get("frames", ()):
            yield f"    {other['frame_id']}  {_uncertainty(other)}{other['why']}"
    if pick.get("left_out"):
        other = pick["left_out"]
        yield f"  left out although more uncertain and near: {other['frame_id']}  {_uncertainty(other)}{other['why']}"


def _uncertainty(other: "Any") -> str:
    return f"uncertainty {other['uncertainty']:.4g}  " if other.get("uncertainty") is not None else ""
