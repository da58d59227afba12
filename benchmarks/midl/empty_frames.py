"""Whether image scores follow the true error where part of the pool is empty, as most pools of video are.

    python benchmarks/midl/empty_frames.py midl-runs/NAME ... --annotations pool.json --images pool/ \\
        --test test.json test/ [--empty 0 0.2 0.4] [--csv empty_frames.csv]

NAME is the folder of a MIDL training that `trainings.py --keep` left; `--annotations` and `--images` are what it was
given. To the unlabelled images of its pool come frames without objects, in the shares `--empty` of all: from each test
image a window of half its width and height that no object reaches into, where there is one, at the scale at which the
detector sees the images. Their error is 0, or 1 where anything is found in them. A line a training and share, with
Spearman's rank correlation of every score with the error of the image (1 - F1 at IoU 0.5), and the mean place of the
empty frames among the others, 0 where all others have higher scores and 1 where none has.
"""

import argparse
import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measure import SCORES, correlations
from pictures import unlabeled
from PIL import Image
from variants import variants

from detectors.data import LabeledImage, load_coco
from detectors.inference import ImageScore, Scorer

_TRIALS = 50
_SHOWN = (
    "uncertainty",
    "printed_uncertainty",
    "mean_uncertainty",
    "max_uncertainty",
    "entropy",
    "doubt",
    "given_shown",
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Rank correlation of image scores with the true error, empty frames.")
    parser.add_argument("detectors", type=Path, nargs="+", help="folders of trainings that were kept")
    parser.add_argument("--annotations", type=Path, required=True, help="COCO file of the pool")
    parser.add_argument("--images", type=Path, required=True, help="the folder of its images")
    parser.add_argument("--test", type=Path, nargs=2, required=True, metavar=("COCO", "IMAGES"))
    parser.add_argument("--empty", type=float, nargs="+", default=[0.0, 0.2, 0.4], help="shares of empty frames")
    parser.add_argument("--scored", type=int, default=250, help="unlabelled images to score, at most")
    parser.add_argument("--csv", type=Path, default=Path("empty_frames.csv"))
    arguments = parser.parse_args()
    pool, categories = load_coco(arguments.annotations, arguments.images)
    test, _ = load_coco(*arguments.test, categories=categories)
    rows: list[dict[str, Any]] = []
    for folder in arguments.detectors:
        scorer = Scorer(folder)
        others = unlabeled(pool, folder)
        order = np.random.default_rng(0).permutation(len(others))[: arguments.scored]
        with tempfile.TemporaryDirectory() as made:
            empty = windows(test, Path(made), scorer.image_size)
            rows += measure(scorer, folder.name, [others[i] for i in order], empty, arguments.empty)
        for row in rows[-len(arguments.empty) :]:
            print("  ".join(f"{name} {row[name]}" for name in ("detector", "empty", *(f"rank_{s}" for s in _SHOWN))))
    with arguments.csv.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def windows(images: Sequence[LabeledImage], folder: Path, image_size: int | None) -> list[LabeledImage]:
    """Cut a window without objects from each image that has room for one, and write it to `folder`."""
    rng = np.random.default_rng(0)
    found = []
    for image in images:
        with Image.open(image.path) as opened:
            picture = opened.convert("RGB")
        side = np.array(picture.size) // 2  # width, height
        for _ in range(_TRIALS):
            start = rng.integers(0, np.array(picture.size) - side + 1)
            boxes = image.boxes_xyxy
            if ((boxes[:, :2] < start + side) & (boxes[:, 2:] > start)).all(axis=1).any():
                continue
            factor = min(1.0, image_size / max(picture.size)) if image_size else 1.0
            width, height = (max(1, round(float(length) * factor)) for length in side)
            path = folder / f"{Path(image.name).stem}.png"
            picture.crop((*start, *(start + side))).resize((width, height), Image.Resampling.BILINEAR).save(path)
            found.append(LabeledImage(path, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), path.name))
            break
    return found


def measure(
    scorer: Scorer, name: str, images: Sequence[LabeledImage], empty: Sequence[LabeledImage], shares: Sequence[float]
) -> list[dict[str, Any]]:
    """The lines of one detector. Where the empty frames are too few for a share, images are left out instead."""
    scored, scored_empty = ([*zip(some, *all_scores(scorer, some), strict=True)] for some in (images, empty))
    rows = []
    for share in shares:
        count = min(len(empty), round(share / (1 - share) * len(images)))
        kept = scored[: round(count * (1 - share) / share)] if count == len(empty) else scored
        truth, scores, others = zip(*kept, *scored_empty[:count], strict=True)
        columns = {variant: [other[variant] for other in others] for variant in others[0]}
        found = correlations(scores, truth, columns)
        places = {f"place_{score}": place(scores[: len(kept)], scores[len(kept) :], score) for score in SCORES}
        figures = {key: round(value, 3) for key, value in (found | places).items() if value is not None}
        rows.append({"detector": name, "empty": share, "images": len(kept), "empty_frames": count, **figures})
    columns_of_all = dict.fromkeys(key for row in rows for key in row)
    return [{key: row.get(key, "") for key in columns_of_all} for row in rows]


def all_scores(scorer: Scorer, images: Sequence[LabeledImage]) -> tuple[list[ImageScore], list[dict[str, float]]]:
    """The scores of each image, and those of `variants.py`."""
    paths = [image.path for image in images]
    others = variants(scorer, paths)
    return scorer.score(paths), [
        dict(zip(others, values, strict=True)) for values in zip(*others.values(), strict=True)
    ]


def place(others: Sequence[ImageScore], empty: Sequence[ImageScore], score: str) -> float | None:
    """The mean share of the others that have a lower score than an empty frame; None without empty frames."""
    values = np.array([getattr(one, score) for one in others])
    return float(np.mean([(values < getattr(one, score)).mean() for one in empty])) if empty else None


if __name__ == "__main__":
    main()
