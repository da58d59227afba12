"""Plain and MIDL training at equal labelled steps, and whether the MIL head learns, for each switch (paper Fig. 9).

    python benchmarks/midl/mil_learning.py --annotations pool.json --images pool/ --test test.json --test-images test/
        [--steps 800] [--seeds 0] [--variants plain default ...] [--csv results.csv]

Trains with 20% of the pool labelled (every fifth image) and the rest unlabelled. One line goes to the CSV file at the
end of each stage:
  mass_ratio   share of p_obj on instances with IoU >= 0.5 to an object, over the share of such instances; 1 is chance
  image_AP     average precision of p_img (Eq. 8) as a classifier of images
  discrepancy  U of the unlabelled images, mean over the last twentieth of the stage's steps (in labelled stages: of the
               labelled ones)
  AP50         of the boxes on all test images, at the end only
What the file holds already is not run again. `--table` runs nothing and prints the file as a table: means over seeds.
"""

import argparse
import csv
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from detectors.checkpoint import RESUME, LoadedDetector
from detectors.config import MidlConfig, TrainConfig
from detectors.data import LabeledImage, load_coco
from detectors.evaluation import evaluate, evaluate_mil
from detectors.inference import load_detector
from detectors.midl.schedule import StageSpan, labeled_only, stage_spans
from detectors.registry import build_detector
from detectors.training import StepReport, train


@dataclass(frozen=True)
class Variant:
    """What differs from the defaults."""

    midl: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)


# Of the rate: at the start of the last labelled stage, or two thirds into it.
PAPER_DROP, LATE_DROP = 20 / 26, 24 / 26


def against_base(midl: Mapping[str, Any] | None = None, **train: Any) -> Variant:
    """One thing changed against the base: objectness tied, MIL of weight 0.1 on the features, lambda 1, early drop."""
    base = {"objectness_from_boxes": False, "mil_moves_features": True}
    return Variant({**base, **(midl or {})}, {"lambda_": 1.0, "lr_drop": PAPER_DROP, **train})


PRINTED = {"tie_objectness": False, "background_gradient": True, "mil_weight": 1.0}
FOCAL_PRIOR = {"class_bias": -4.6}
VARIANTS: dict[str, Variant] = {
    "plain": Variant(train={"method": "plain"}),
    "default": Variant(),
    "base": against_base(),
    "as printed": against_base(PRINTED),
    "as printed, focal prior": against_base({**PRINTED, **FOCAL_PRIOR}),
    "focal prior": against_base(FOCAL_PRIOR),
    "second line's gradient": against_base({"background_gradient": True}),
    "objectness untied": against_base({"tie_objectness": False}),
    "objectness from boxes": against_base({"objectness_from_boxes": True}),
    "MIL off the features": against_base({"mil_moves_features": False}),
    "MIL weight 1": against_base({"mil_weight": 1.0}),
    "no MIL on unlabelled": against_base({"mil_on_unlabeled": False}),
    "sigmoid": against_base({"class_probability": "sigmoid"}),
    "uniform": against_base({"class_probability": "uniform", "objectness": "uniform"}),
    "lambda 0.1": against_base(lambda_=0.1),
    "lambda 10": against_base(lambda_=10.0),
    "stages alone": against_base({"mil_weight": 0.0}, lambda_=0.0),
    "late drop": against_base(lr_drop=LATE_DROP),
    "default, early drop, untied": Variant({"tie_objectness": False}, {"lr_drop": PAPER_DROP}),
    "plain, early drop": Variant(train={"method": "plain", "lr_drop": PAPER_DROP}),
    "default, no MIL on unlabelled": Variant({"mil_on_unlabeled": False}),
    "default, early drop": Variant(train={"lr_drop": PAPER_DROP}),
}
COLUMNS = ("detector", "variant", "seed", "step", "stage", "mass_ratio", "image_AP", "discrepancy", "AP50")
_LABELED_EVERY = 5


def main() -> None:
    parser = argparse.ArgumentParser(description="Plain and MIDL training, and whether the MIL head learns.")
    parser.add_argument("--annotations", type=Path, help="COCO file of the pool")
    parser.add_argument("--images", type=Path, help="the folder of its images")
    parser.add_argument("--test", type=Path, help="COCO file of the test images")
    parser.add_argument("--test-images", type=Path, help="the folder of its images")
    parser.add_argument("--mil-count", type=int, default=64, help="test images for the figures of MIL")
    parser.add_argument("--detector", default=TrainConfig.detector)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--image-size", type=int, default=256, help="long side in pixels")
    parser.add_argument("--csv", type=Path, default=Path("mil_learning.csv"))
    parser.add_argument("--table", action="store_true", help="print the CSV file as a Markdown table")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(arguments.csv))
        return
    if not (arguments.annotations and arguments.images and arguments.test and arguments.test_images):
        parser.error("give --annotations, --images, --test and --test-images, or --table")

    pool, categories = load_coco(arguments.annotations, arguments.images)
    test, _ = load_coco(arguments.test, arguments.test_images, categories=categories)
    done = finished(arguments.csv, arguments.steps)
    for seed in arguments.seeds:
        for name in arguments.variants:
            if (arguments.detector, name, seed) in done:
                continue
            variant = VARIANTS[name]
            config = TrainConfig(
                detector=arguments.detector,
                steps=arguments.steps,
                image_size=arguments.image_size,
                seed=seed,
                midl=MidlConfig(**variant.midl),
                **variant.train,
            )
            rows = measure(config, pool, test, categories, mil_count=arguments.mil_count)
            write(arguments.csv, [{"detector": config.detector, "variant": name, "seed": seed, **row} for row in rows])


def measure(
    config: TrainConfig, pool: list[LabeledImage], test: list[LabeledImage], categories: list[str], *, mil_count: int
) -> list[dict[str, Any]]:
    """Train, and measure at the end of each stage."""
    spans = stage_spans(config.steps) if config.method == "midl" else labeled_only(config.steps)
    of_step = {span.stop: span for span in spans}
    some = test[:: max(1, len(test) // mil_count)][:mil_count]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def on_step(report: StepReport) -> None:
            if report.step in of_step and report.step < config.steps:
                rows.append(row(of_step[report.step], resumed(folder, config, categories)))

        def row(span: StageSpan, loaded: LoadedDetector) -> dict[str, Any]:
            figures = evaluate_mil(loaded, some) if config.method == "midl" else {}
            shown = (
                {
                    "mass_ratio": f"{figures['objectness_mass_ratio'] or 0:.1f}",
                    "image_AP": f"{figures['image_AP'] or 0:.3f}",
                }
                if figures
                else {}
            )
            return {"step": span.stop, "stage": span.stage.value, **shown}

        result = train(
            config,
            categories=categories,
            labeled=pool[::_LABELED_EVERY],
            unlabeled=[image.path for place, image in enumerate(pool) if place % _LABELED_EVERY],
            held_out=[],
            output=folder,
            on_step=on_step,
        )
        loaded = load_detector(folder)
        accuracy = {"AP50": f"{evaluate(loaded, test, categories)['AP50']:.3f}"}
        rows.append({**row(spans[-1], loaded), **accuracy})
    for measured, stage in zip(rows, result.metrics["stages"], strict=True):
        measured["discrepancy"] = f"{stage['discrepancy_last']:.2e}"
    return rows


def resumed(folder: Path, config: TrainConfig, categories: list[str]) -> LoadedDetector:
    """The detector as it stands in the resume file."""
    state = torch.load(folder / RESUME, weights_only=True)
    # With its first weights once more, for the normalization that belongs to them.
    detector = build_detector(
        config.detector,
        num_classes=len(categories),
        backbone=config.backbone,
        weights=config.weights,
        midl=config.midl,
    )
    detector.load_state_dict(state["detector"])
    return LoadedDetector(detector.eval(), tuple(categories), config.image_size, "")


def finished(path: Path, steps: int) -> set[tuple[str, str, int]]:
    """The detectors, variants and seeds that were measured to the last step."""
    if not path.exists():
        return set()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {(row["detector"], row["variant"], int(row["seed"])) for row in rows if int(row["step"]) == steps}


def table(path: Path) -> str:
    """The results as Markdown: means over seeds, the two figures of MIL and the discrepancy in the order of stages."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [
        "| detector | variant | seeds | AP50 | mass ratio | image AP | discrepancy |",
        "|---|---|---|---|---|---|---|",
    ]
    for detector, variant in dict.fromkeys((row["detector"], row["variant"]) for row in rows):
        runs = [row for row in rows if (row["detector"], row["variant"]) == (detector, variant)]
        accuracies = [float(row["AP50"]) for row in runs if row["AP50"]]
        spread = f" ± {stdev(accuracies):.3f}" if len(accuracies) > 1 else ""
        cells = (
            detector,
            variant,
            str(len(accuracies)),
            f"{mean(accuracies):.3f}{spread}",
            over_steps(runs, "mass_ratio", ".0f", ("labeled",)),
            over_steps(runs, "image_AP", ".2f", ("labeled",)),
            over_steps(runs, "discrepancy", ".1e", ("maximize", "minimize")),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def over_steps(runs: list[dict[str, str]], column: str, form: str, stages: tuple[str, ...]) -> str:
    """Means of a column at the ends of the stages, in order."""
    at: dict[int, list[float]] = defaultdict(list)
    for row in runs:
        if row["stage"] in stages and row[column]:
            at[int(row["step"])].append(float(row[column]))
    return " / ".join(format(mean(at[step]), form) for step in sorted(at)) or "-"


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        if new:
            writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print("  ".join(f"{name} {row[name]}" for name in COLUMNS if name in row), flush=True)


if __name__ == "__main__":
    main()
