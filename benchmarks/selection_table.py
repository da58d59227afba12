"""Markdown tables of what `selection_learning.py` measured: each method, and one of them held beside the others.

  python benchmarks/selection_table.py selection_learning.csv [--method diverse]

near_AP50, far_AP50   of `test_near` (the same cameras, later) and of `test` (clips that the pool does not hold)
clips, classes        that the picks cover
gap_s                 mean time from a pick to the nearest other frame of the union in its clip
uncertainty           mean image uncertainty (Eq. 7) of the picks
both                  the mean of the two AP50s
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

FIGURES = ("near_AP50", "far_AP50", "clips", "classes", "gap_s", "uncertainty")


def main() -> None:
    parser = argparse.ArgumentParser(description="Tables of what acquisition functions' picks are worth.")
    parser.add_argument("csv", type=Path)
    parser.add_argument("--method", default="diverse", help="to be held beside the others")
    arguments = parser.parse_args()
    print(table(arguments.csv, arguments.method))


def table(path: Path, method: str) -> str:
    """Means over seeds, with the standard deviation of the AP50s, and how far `method` is ahead, seed by seed."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [f"| method | seeds, trainings | {' | '.join(FIGURES)} | both |", f"|---|---|{'---|' * (len(FIGURES) + 1)}"]
    seeds_of = {name: by_seed([row for row in rows if row["method"] == name]) for name in names(rows)}
    for name, seeds in seeds_of.items():
        cells = [name, f"{len(seeds)}, {sum(row['method'] == name for row in rows)}"]
        for figure in (*FIGURES, "both"):
            values = [seed[figure] for seed in seeds.values() if figure in seed]
            accuracy = "AP50" in figure or figure == "both"
            cells.append(spread(values) if accuracy or not values else f"{mean(values):.3g}")
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"| {method}, less | seeds | near_AP50 | far_AP50 | both | ahead in both |",
        "|---|---|---|---|---|---|",
    ]
    for name, seeds in seeds_of.items():
        common = sorted(set(seeds) & set(seeds_of.get(method, {})))
        if name == method or not common or "both" not in seeds[common[0]]:
            continue
        less = {f: [seeds_of[method][seed][f] - seeds[seed][f] for seed in common] for f in (*FIGURES[:2], "both")}
        ahead = sum(value > 0 for value in less["both"])
        lines.append(f"| {name} | {len(common)} | {' | '.join(map(spread, less.values()))} | {ahead} |")
    return "\n".join(lines)


def names(rows: Sequence[dict[str, str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row["method"] for row in rows))


def by_seed(rows: Sequence[dict[str, str]]) -> dict[str, dict[str, float]]:
    """A method's figures by seed, each the mean of its trainings; `both` is the mean of the two AP50s."""
    figures: dict[str, dict[str, float]] = {}
    for seed in dict.fromkeys(row["seed"] for row in rows):
        own = [row for row in rows if row["seed"] == seed]
        found = {name: mean(float(row[name]) for row in own) for name in FIGURES if own[0][name]}
        if "near_AP50" in found:
            found["both"] = (found["near_AP50"] + found["far_AP50"]) / 2
        figures[seed] = found
    return figures


def spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
