"""Time of a MIDL training over a plain one (the paper's Table 7).

    python benchmarks/training.py --annotations pool.json --images pool/ [--detector NAME] [--steps 156] [--rounds 3]

Table 7 gives the hours of a cycle by random choice with plain training, and of MIDL: 0.77 and 1.06 at 5 % labelled
(1.38 times), 2.78 and 3.21 at 20 % (1.15 times). Both train for 26 epochs of the labelled set. Here both train for the
same number of steps, so on as many labelled batches; MIDL's maximise and minimise steps, 8 of 26, add an unlabelled
batch. The paper's hours may hold more than training, such as scoring the pool. A step costs the same however many
images are labelled, so there is one ratio here for all of Table 7's columns.

Plain and MIDL trainings alternate, in an order that changes by round, and the first step of each is not counted, so
that other work on the machine falls on both. Steps are whole: loading, forward, backward and update.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from statistics import median

from detectors.config import Method, TrainConfig
from detectors.data import LabeledImage, load_coco
from detectors.training import StepReport, train

_LABELED_SHARE = 0.2
_PAPER = "the paper has 1.38 at 5 % labelled and 1.15 at 20 %"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of a MIDL training over a plain one.")
    parser.add_argument("--annotations", type=Path, required=True, help="COCO file")
    parser.add_argument("--images", type=Path, required=True, help="the folder of its images")
    parser.add_argument("--detector", default=TrainConfig.detector)
    parser.add_argument("--steps", type=int, default=156, help="a multiple of 26 gives each stage its exact share")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=TrainConfig.batch_size)
    parser.add_argument("--image-size", type=int, default=300, help="long side in pixels")
    arguments = parser.parse_args()
    if arguments.steps < 26 or arguments.rounds < 1:
        parser.error("--steps must be at least 26 and --rounds at least 1")

    images, categories = load_coco(arguments.annotations, arguments.images)
    labeled = max(1, round(_LABELED_SHARE * len(images)))
    ratios = []
    methods: list[Method] = ["plain", "midl"]
    for number in range(arguments.rounds):
        seconds: dict[Method, float] = {}
        for method in methods if number % 2 == 0 else reversed(methods):
            config = TrainConfig(
                detector=arguments.detector,
                method=method,
                steps=arguments.steps,
                batch_size=arguments.batch_size,
                image_size=arguments.image_size,
            )
            seconds[method] = timed(config, categories, images[:labeled], [image.path for image in images[labeled:]])
        ratios.append(seconds["midl"] / seconds["plain"])
        print(
            f"round {number + 1}: plain {seconds['plain']:.1f} s, MIDL {seconds['midl']:.1f} s, {ratios[-1]:.2f} times"
        )
    print(f"{arguments.detector}: MIDL takes {median(ratios):.2f} times as long as plain training; {_PAPER}")


def timed(config: TrainConfig, categories: list[str], labeled: list[LabeledImage], unlabeled: list[Path]) -> float:
    """Seconds of all steps but the first; prints how long a step of each stage takes."""
    moments: list[tuple[str, float]] = []

    def on_step(report: StepReport) -> None:
        moments.append((report.stage, time.perf_counter()))

    with tempfile.TemporaryDirectory() as folder:
        train(
            config,
            categories=categories,
            labeled=labeled,
            unlabeled=unlabeled,
            held_out=[],
            output=Path(folder),
            on_step=on_step,
        )
    by_stage: dict[str, list[float]] = defaultdict(list)
    for (_, before), (stage, after) in pairwise(moments):
        by_stage[stage].append(after - before)
    stages = ", ".join(f"{stage} {1000 * median(values):.0f} ms" for stage, values in by_stage.items())
    print(f"  {config.method:<5} {stages} a step", flush=True)
    return moments[-1][1] - moments[0][1]


if __name__ == "__main__":
    main()
