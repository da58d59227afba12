"""Whether a detector learns at all: AP on the few images that it is trained on.

    python benchmarks/overfit.py --annotations pool.json --images pool/ [--detector ssd300] [--steps 300] [--count 8]

Plain training without augmentation on images spread over the file, among those that have boxes.
"""

import argparse
import tempfile
import time
from pathlib import Path

from detectors.config import TrainConfig
from detectors.data import load_coco
from detectors.training import StepReport, train


def main() -> None:
    parser = argparse.ArgumentParser(description="AP on the images that a detector is trained on.")
    parser.add_argument("--annotations", type=Path, required=True, help="COCO file")
    parser.add_argument("--images", type=Path, required=True, help="the folder of its images")
    parser.add_argument("--detector", default=TrainConfig.detector)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--count", type=int, default=8, help="images")
    parser.add_argument("--image-size", type=int, default=300, help="long side in pixels")
    arguments = parser.parse_args()

    images, categories = load_coco(arguments.annotations, arguments.images)
    candidates = [image for image in images if len(image.labels)]
    chosen = candidates[:: max(1, len(candidates) // arguments.count)][: arguments.count]
    config = TrainConfig(
        detector=arguments.detector,
        method="plain",
        steps=arguments.steps,
        image_size=arguments.image_size,
        augment=False,
    )

    def on_step(report: StepReport) -> None:
        if report.step % 50 == 0:
            losses = ", ".join(f"{name} {value:.4f}" for name, value in report.losses.items())
            print(f"step {report.step}: {losses}", flush=True)

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            config,
            categories=categories,
            labeled=chosen,
            unlabeled=[],
            held_out=chosen,
            output=Path(folder),
            on_step=on_step,
        )
    masks = result.metrics["mask_AP50"]
    boxes = sum(len(image.labels) for image in chosen)
    print(
        f"{config.detector}, {len(chosen)} images with {boxes} boxes, {config.steps} steps in "
        f"{time.perf_counter() - started:.0f} s: AP {result.ap:.3f}, AP50 {result.ap50:.3f}"
        + ("" if masks is None else f", masks AP {result.metrics['mask_AP']:.3f}, AP50 {masks:.3f}")
    )


if __name__ == "__main__":
    main()
