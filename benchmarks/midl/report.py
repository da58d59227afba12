"""Tables and plots of `trainings.py`'s CSV file: mean and standard deviation over seeds, straight from the lines.

    python benchmarks/midl/report.py midl.csv [--variants plain midl] [--plots FOLDER]

Plots, as PNG, are AP50 and AP by labelled share and by steps, and by steps also the loss on the labelled images at the
end of the training; of shares and steps, what is not the axis has lines of its own.
"""

import argparse
import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev

Row = dict[str, str]
_SETTINGS = ("data", "detector", "backbone", "share", "steps", "image_size")
_FIGURES = ("AP", "AP50", "mask_AP", "mask_AP50")
_PLOTS_WIDE = 3


def main() -> None:
    parser = argparse.ArgumentParser(description="Tables and plots of a CSV file of trainings.")
    parser.add_argument("csv", type=Path)
    parser.add_argument("--variants", nargs="+", help="of these variants alone (all)")
    parser.add_argument("--plots", type=Path, help="write plots to this folder")
    arguments = parser.parse_args()
    with arguments.csv.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows.sort(key=lambda row: ([number_or_name(row[name]) for name in _SETTINGS], row["variant"] != "plain"))
    if arguments.variants is not None:
        rows = [row for row in rows if row["variant"] in arguments.variants]
    if not rows:
        parser.error(f"{arguments.csv} has no line of {', '.join(arguments.variants or ['any training'])}")
    for own in groups(rows, ("data", "detector", "backbone")).values():
        print(table(own, [*accuracy_columns(own), *(["loss"] if "loss" in own[0] else [])]))
        print()
    print(differences(rows))
    print()
    print(table(rows, ["objectness_mass_ratio", "image_AP"], having="image_AP", digits=2))
    print()
    print(table(rows, [name for name in rows[0] if name.startswith("rank_")], having="rank_uncertainty", digits=2))
    if arguments.plots:
        arguments.plots.mkdir(parents=True, exist_ok=True)
        for key, own in groups(rows, ("data", "detector", "backbone", "image_size")).items():
            for axis in ("share", "steps"):
                plot(own, axis, arguments.plots / f"{'-'.join(key)}px-{axis}.png")


def accuracy_columns(rows: Sequence[Row]) -> list[str]:
    """The columns of accuracy that hold anything, in the file's order."""
    return [
        name for name in rows[0] if name.endswith(_FIGURES) and name not in ("image_AP",) and any(r[name] for r in rows)
    ]


def groups(rows: Iterable[Row], names: Sequence[str]) -> dict[tuple[str, ...], list[Row]]:
    found: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[tuple(row[name] for name in names)].append(row)
    return found


def table(rows: Sequence[Row], columns: Sequence[str], *, having: str = "", digits: int = 3) -> str:
    """One line for each setting and variant."""
    lines = [
        f"| {' | '.join((*_SETTINGS, 'variant', 'seeds', *columns))} |",
        f"|{'---|' * (len(_SETTINGS) + 2 + len(columns))}",
    ]
    for key, own in groups(rows, (*_SETTINGS, "variant")).items():
        if having and not any(row.get(having) for row in own):
            continue
        cells = [spread(numbers(own, name), digits) for name in columns]
        lines.append(f"| {' | '.join((*key, str(len(own)), *cells))} |")
    return "\n".join(lines)


def differences(rows: Sequence[Row]) -> str:
    """Each variant less plain training of the same seed, setting by setting: seeds are paired."""
    lines = [
        f"| {' | '.join((*_SETTINGS, 'variant less plain', 'seeds', 'AP50'))} |",
        f"|{'---|' * (len(_SETTINGS) + 3)}",
    ]
    columns = [name for name in accuracy_columns(rows) if name.endswith("AP50")]
    for key, own in groups(rows, _SETTINGS).items():
        plain = {row["seed"]: row for row in own if row["variant"] == "plain"}
        for variant in dict.fromkeys(row["variant"] for row in own if row["variant"] != "plain"):
            pairs = [(row, plain[row["seed"]]) for row in own if row["variant"] == variant and row["seed"] in plain]
            if not pairs:
                continue
            shown = [
                f"{name} {spread([float(a[name]) - float(b[name]) for a, b in pairs if a[name] and b[name]], 3)}"
                for name in columns
                if any(a[name] for a, _ in pairs)
            ]
            lines.append(f"| {' | '.join((*key, variant, str(len(pairs)), ', '.join(shown)))} |")
    return "\n".join(lines)


def number_or_name(value: str) -> tuple[float, str]:
    """A key that sorts 0.05 before 0.1 and 600 before 1000, and names by the alphabet."""
    try:
        return float(value), ""
    except ValueError:
        return math.inf, value


def spread(values: Sequence[float], digits: int) -> str:
    """Mean and standard deviation; the deviation of one value is not known."""
    if not values:
        return "-"
    deviation = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{deviation}"


def numbers(rows: Iterable[Row], column: str) -> list[float]:
    """The values of a column that are there."""
    return [float(row[column]) for row in rows if row.get(column) not in (None, "", "nan")]


def named(setting: str, value: str) -> str:
    """A share as per cent, steps as a whole number."""
    return f"{float(value):.0%}" if setting == "share" else f"{float(value):.0f}"


def plot(rows: Sequence[Row], axis: str, path: Path) -> None:
    """Accuracy of each variant over the labelled share, or accuracy and loss over the steps; nothing where that was not
    varied.
    """
    from matplotlib.figure import Figure

    if len({row[axis] for row in rows}) < 2:
        return
    other = "steps" if axis == "share" else "share"
    unit = "steps" if other == "steps" else "labelled"
    several = len({row[other] for row in rows}) > 1
    columns = [name for name in accuracy_columns(rows) if "_alone_" not in name]
    columns.sort(key=lambda name: not name.endswith("_AP50"))
    columns += ["loss"] if axis == "steps" and numbers(rows, "loss") else []
    high = math.ceil(len(columns) / _PLOTS_WIDE)
    wide = math.ceil(len(columns) / high)
    figure = Figure(figsize=(4.5 * wide, 3.5 * high), layout="constrained")
    panels = iter(figure.subplots(high, wide, squeeze=False).flat)
    for column, axes in zip(columns, panels, strict=False):  # the last row may have room left
        for (variant, value), own in groups(rows, ("variant", other)).items():
            by_place = {float(place): numbers(group, column) for (place,), group in groups(own, (axis,)).items()}
            points = sorted((place, values) for place, values in by_place.items() if values)
            axes.errorbar(
                [place for place, _ in points],
                [mean(values) for _, values in points],
                [stdev(values) if len(values) > 1 else 0 for _, values in points],
                label=f"{variant}, {named(other, value)} {unit}" if several else variant,
                capsize=3,
                marker="o",
            )
        places = sorted({float(row[axis]) for row in rows})
        axes.set_xscale("log")
        axes.set_xticks(places, [named(axis, str(place)) for place in places])
        axes.minorticks_off()
        axes.set_xlabel("labelled share of the pool" if axis == "share" else "steps")
        axes.set_title(f"{rows[0]['detector']} on {rows[0]['backbone']}, {rows[0]['data']}: {column}", fontsize=9)
        axes.legend(fontsize=8)
    for axes in panels:
        axes.set_axis_off()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
