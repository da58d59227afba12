"""What the image's class probabilities (Eq. 8) are worth for the scores of its boxes.

    python benchmarks/midl/image_classes.py midl-runs/NAME ... --annotations pool.json --images pool/ \\
        --test test test.json test/ [--exponents 0 0.1 0.15 0.2 0.3] [--csv image_classes.csv]

NAME is the folder of a MIDL training that `trainings.py --keep` left; `--annotations` and `--images` are what it was
given. AP and AP50 by `MidlConfig.image_class_exponent`, on unlabelled images of the pool, by which the default was
chosen, and on the test images. The control is what the classifiers themselves say of the image: in the place of the
probability of a class stands the score of its best box, as it is, or over that of the best box of all. A line a
detector, source and exponent.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pictures import unlabeled
from trainings import write

from detectors.data import LabeledImage, load_coco
from detectors.evaluation import accuracy
from detectors.inference import ImageScore, Scorer


def main() -> None:
    parser = argparse.ArgumentParser(description="Accuracy of boxes weighed by the classes of their image.")
    parser.add_argument("detectors", type=Path, nargs="+", help="folders of trainings that were kept")
    parser.add_argument("--annotations", type=Path, required=True, help="COCO file of the pool")
    parser.add_argument("--images", type=Path, required=True, help="the folder of its images")
    parser.add_argument("--test", nargs=3, action="append", required=True, metavar=("NAME", "COCO", "IMAGES"))
    parser.add_argument("--exponents", type=float, nargs="+", default=[0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5])
    parser.add_argument("--scored", type=int, default=200, help="unlabelled images, at most")
    parser.add_argument("--csv", type=Path, default=Path("image_classes.csv"))
    arguments = parser.parse_args()
    pool, categories = load_coco(arguments.annotations, arguments.images)
    tests = {name: load_coco(Path(f), Path(d), categories=categories)[0] for name, f, d in arguments.test}
    for folder in arguments.detectors:
        scorer = Scorer(folder)
        scorer.midl = replace(scorer.midl, image_class_exponent=0.0)
        others = unlabeled(pool, folder)
        order = np.random.default_rng(0).permutation(len(others))[: arguments.scored]
        sets = {"unlabelled": [others[i] for i in order]} | tests
        scored = {name: scorer.score([image.path for image in images]) for name, images in sets.items()}
        for source, probabilities in SOURCES.items():
            for exponent in arguments.exponents:
                row = {"detector": folder.name, "source": source, "exponent": f"{exponent:g}"}
                for name, images in sets.items():
                    row |= figures(name, scored[name], images, categories, probabilities, exponent)
                write(arguments.csv, row)


def learned(score: ImageScore) -> np.ndarray:
    """Eq. 8."""
    return score.class_probabilities


def best_boxes(score: ImageScore) -> np.ndarray:
    """The score of the best box of each class, 0 without one."""
    best = np.zeros_like(score.class_probabilities)
    np.maximum.at(best, score.labels, score.scores)
    return best


def best_boxes_relative(score: ImageScore) -> np.ndarray:
    """The same, over that of the best box of all."""
    best = best_boxes(score)
    return best / max(float(best.max(initial=0)), np.finfo(np.float32).tiny)


SOURCES: dict[str, Callable[[ImageScore], np.ndarray]] = {
    "MIL": learned,
    "best boxes": best_boxes,
    "best boxes, relative": best_boxes_relative,
}


def figures(
    name: str,
    scores: Sequence[ImageScore],
    images: Sequence[LabeledImage],
    categories: Sequence[str],
    probabilities: Callable[[ImageScore], np.ndarray],
    exponent: float,
) -> dict[str, float]:
    """AP and AP50 with scores weighed by the probabilities of their classes."""
    weighed = [replace(s, scores=s.scores * probabilities(s)[s.labels] ** exponent) for s in scores]
    measured = accuracy(weighed, images, categories)
    return {f"{name}_{figure}": measured[figure] for figure in ("AP", "AP50")}


if __name__ == "__main__":
    main()
