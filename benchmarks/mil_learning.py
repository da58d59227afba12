"""Whether the MIL head learns, over the steps of training, for each of its switches (the paper's Fig. 9).

    python benchmarks/mil_learning.py --annotations pool.json --images pool/ --test test.json --test-images test/
        [--steps 600] [--every 200] [--seeds 0] [--variants default ...] [--csv results.csv]

Trains with 20% of the labelled images and no unlabelled ones, so in labelled steps alone, and measures at every resume
file, on test images:
  mass ratio  share of p_obj on instances with IoU >= 0.5 to an object, over the share of such instances; 1 is chance
  image AP    average precision of p_img (Eq. 8) as a classifier of images
  AP50        of the boxes, at the end only
One line a measurement goes to the CSV file; what it holds already is not run again.
"""

import argparse
import csv
import tempfile
from pathlib import Path
from typing import Any

import torch

from detectors.checkpoint import RESUME, LoadedDetector
from detectors.config import MidlConfig, TrainConfig
from detectors.data import LabeledImage, load_coco
from detectors.evaluation import evaluate, evaluate_mil
from detectors.inference import load_detector
from detectors.registry import build_detector
from detectors.training import StepReport, train

FOCAL_PRIOR = -4.6
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {
        "tie_objectness": False,
        "class_bias": FOCAL_PRIOR,
        "background_gradient": True,
        "mil_weight": 1.0,
    },
    "focal prior": {"class_bias": FOCAL_PRIOR},
    "second line's gradient": {"background_gradient": True},
    "objectness untied": {"tie_objectness": False},
    "sigmoid": {"class_probability": "sigmoid"},
    "MIL weight 1": {"mil_weight": 1.0},
}
COLUMNS = ("variant", "seed", "step", "mass_ratio", "image_AP", "AP50")
_LABELED_EVERY = 5


def main() -> None:
    parser = argparse.ArgumentParser(description="Whether the MIL head learns.")
    parser.add_argument("--annotations", type=Path, required=True, help="COCO file of the training images")
    parser.add_argument("--images", type=Path, required=True, help="the folder of its images")
    parser.add_argument("--test", type=Path, required=True, help="COCO file of the test images")
    parser.add_argument("--test-images", type=Path, required=True, help="the folder of its images")
    parser.add_argument("--test-count", type=int, default=100, help="test images that are used")
    parser.add_argument("--detector", default=TrainConfig.detector)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--every", type=int, default=200, help="steps between measurements")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--image-size", type=int, default=256, help="long side in pixels")
    parser.add_argument("--csv", type=Path, default=Path("mil_learning.csv"))
    arguments = parser.parse_args()

    images, categories = load_coco(arguments.annotations, arguments.images)
    test, _ = load_coco(arguments.test, arguments.test_images, categories=categories)
    test = test[:: max(1, len(test) // arguments.test_count)][: arguments.test_count]
    done = set(finished(arguments.csv, arguments.steps))
    for seed in arguments.seeds:
        for variant in arguments.variants:
            if (variant, seed) in done:
                continue
            config = TrainConfig(
                detector=arguments.detector,
                steps=arguments.steps,
                image_size=arguments.image_size,
                checkpoint_every=arguments.every,
                seed=seed,
                midl=MidlConfig(**VARIANTS[variant]),
            )
            rows = measure(config, images[::_LABELED_EVERY], test, categories)
            write(arguments.csv, [{"variant": variant, "seed": seed, **row} for row in rows])


def measure(
    config: TrainConfig, labeled: list[LabeledImage], test: list[LabeledImage], categories: list[str]
) -> list[dict[str, Any]]:
    """Train, and measure at each resume file and at the end."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def on_step(report: StepReport) -> None:
            if report.step % config.checkpoint_every == 0 and report.step < config.steps:  # type: ignore[operator]
                rows.append({"step": report.step, **mil_figures(resumed(folder, config, categories), test)})

        train(config, categories=categories, labeled=labeled, unlabeled=[], held_out=[], output=folder, on_step=on_step)
        loaded = load_detector(folder)
        accuracy = {"AP50": round(evaluate(loaded, test, categories)["AP50"], 3)}
        rows.append({"step": config.steps, **mil_figures(loaded, test), **accuracy})
    return rows


def mil_figures(loaded: LoadedDetector, test: list[LabeledImage]) -> dict[str, Any]:
    figures = evaluate_mil(loaded, test)
    return {
        "mass_ratio": f"{figures['objectness_mass_ratio'] or 0:.1f}",
        "image_AP": f"{figures['image_AP'] or 0:.3f}",
    }


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


def finished(path: Path, steps: int) -> list[tuple[str, int]]:
    """The variants and seeds that were measured to the last step."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [(row["variant"], int(row["seed"])) for row in csv.DictReader(file) if int(row["step"]) == steps]


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
