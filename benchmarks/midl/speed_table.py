"""Markdown tables of `speed.py`'s CSV file: medians over rounds, a set of tables for each machine."""

from collections.abc import Sequence
from itertools import groupby
from statistics import median

Row = dict[str, str]
_PLACE = ("machine", "torch", "threads", "data")
_SETTING = ("detector", "backbone", "size", "batch_size")
# The column in the file, and what the tables call the stage.
_STAGES = {"labeled": "labelled", "maximize": "maximise", "minimize": "minimise"}


def tables(rows: Sequence[Row]) -> str:
    """All tables of all machines."""
    parts = []
    for place, own in grouped(rows, _PLACE):
        machine, torch, threads, data = place
        rate = median(float(row["matrix_tflops"]) for row in own)
        parts.append(f"{machine}, torch {torch}, {threads} threads; images: {data}; matrix products {rate:.3g} TFLOP/s")
        trained = [row for row in own if row["task"] == "train"]
        scored = [row for row in own if row["task"] == "score"]
        if trained:
            parts += [steps(trained), ratios(trained)]
        if scored:
            parts.append(scoring(scored))
    return "\n\n".join(parts)


def steps(rows: Sequence[Row]) -> str:
    """A step of each stage."""
    lines = []
    for (*setting, method), own in grouped(rows, (*_SETTING, "method")):
        for stage, shown in _STAGES.items():
            if not own[0][f"{stage}_ms"]:
                continue
            seconds = median(float(row[f"{stage}_ms"]) for row in own) / 1000
            images = int(own[0]["batch_size"]) * (1 if stage == "labeled" else 2)
            share = median(matrix_share(row, stage) for row in own)
            figures = (1000 * seconds, 1 / seconds, images / seconds, float(own[0][f"{stage}_gflop"]))
            cells = ["plain" if method == "plain" else shown, *(f"{figure:.3g}" for figure in figures)]
            lines.append([*setting, *cells, f"{share:.1%}", str(len(own))])
    return markdown([*_SETTING, "step", "ms", "steps/s", "images/s", "GFLOP", "of matrix rate", "rounds"], lines)


def matrix_share(row: Row, stage: str) -> float:
    """The rate of operations in a step over that of matrix products."""
    tflops = float(row[f"{stage}_gflop"]) / float(row[f"{stage}_ms"])  # 10^9 in 10^-3 s
    return tflops / float(row["matrix_tflops"])


def ratios(rows: Sequence[Row]) -> str:
    """MIDL over plain training of the same number of steps, of one round each."""
    lines = []
    for setting, own in grouped(rows, (*_SETTING, "length")):
        plain, midl = ({row["round"]: row for row in own if row["method"] == method} for method in ("plain", "midl"))
        rounds = sorted(plain.keys() & midl.keys())
        if not rounds:
            continue
        cells = []
        for name in ("cycle_s", "seconds"):
            times = [[float(ways[number][name]) for number in rounds] for ways in (plain, midl)]
            by_round = [after / before for before, after in zip(*times, strict=True)]
            shown = ", ".join(f"{ratio:.2f}" for ratio in by_round)
            cells += [*(f"{median(values):.1f}" for values in times), f"{median(by_round):.2f} ({shown})"]
        loading = "/".join(f"{median(float(row['loading']) for row in ways.values()):.0%}" for ways in (plain, midl))
        lines.append([*setting, *cells, loading])
    header = [
        "steps",
        "cycle: plain s",
        "MIDL s",
        "MIDL over plain",
        "whole: plain s",
        "MIDL s",
        "MIDL over plain",
        "loading",
    ]
    return markdown([*_SETTING, *header], lines)


def scoring(rows: Sequence[Row]) -> str:
    """Frames a second."""
    lines = []
    for setting, own in grouped(rows, _SETTING):
        rates = [median(float(row[name]) for row in own) for name in ("frames_per_s", "network_frames_per_s")]
        gflop = float(own[0]["gflop"])
        share = median(float(row["network_frames_per_s"]) * gflop / 1000 / float(row["matrix_tflops"]) for row in own)
        lines.append([*setting, *(f"{figure:.3g}" for figure in (*rates, gflop)), f"{share:.1%}", str(len(own))])
    header = ["frames/s from files", "network alone", "GFLOP a frame", "of matrix rate", "rounds"]
    return markdown([*_SETTING, *header], lines)


def grouped(rows: Sequence[Row], names: Sequence[str]) -> list[tuple[tuple[str, ...], list[Row]]]:
    """Rows of the same values, in the order of their first."""

    def key(row: Row) -> tuple[str, ...]:
        return tuple(row[name] for name in names)

    order = {found: place for place, found in enumerate(dict.fromkeys(map(key, rows)))}
    return [(found, list(own)) for found, own in groupby(sorted(rows, key=lambda row: order[key(row)]), key)]


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *lines))
