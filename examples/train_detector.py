"""Train a MIDL detector from an image folder and a COCO file, with `detectors` alone.

python examples/train_detector.py train.json images/ --unlabeled more_images/ --output detector --steps 2000
"""

import argparse
from pathlib import Path

from detectors.config import TrainConfig
from detectors.data import load_coco
from detectors.training import StepReport, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--unlabeled", type=Path, help="a folder of JPEG images without labels")
    parser.add_argument("--held-out", type=Path, help="a COCO file over the same folder, to measure AP")
    parser.add_argument("--output", type=Path, default=Path("detector"))
    parser.add_argument("--steps", type=int, default=TrainConfig.steps)
    arguments = parser.parse_args()

    labeled, categories = load_coco(arguments.annotations, arguments.images)
    held_out = []
    if arguments.held_out:
        held_out, _ = load_coco(arguments.held_out, arguments.images, categories=categories)
    unlabeled = sorted(arguments.unlabeled.glob("*.jpg")) if arguments.unlabeled else []

    def on_step(report: StepReport) -> None:
        if report.step % 50 == 0:
            losses = "  ".join(f"{name} {value:.3g}" for name, value in report.losses.items())
            print(f"{report.step}/{report.total_steps} {report.stage}: {losses}")

    result = train(
        TrainConfig(steps=arguments.steps),
        categories=categories,
        labeled=labeled,
        unlabeled=unlabeled,
        held_out=held_out,
        output=arguments.output,
        on_step=on_step,
    )
    print(f"{result.directory}: AP {result.ap}, AP50 {result.ap50}")


if __name__ == "__main__":
    main()
