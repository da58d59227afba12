"""What MIDL makes of the instances of unlabelled images, as heat maps (paper's Figs. 7 to 9).

    python benchmarks/midl/pictures.py midl-runs/NAME --annotations pool.json --images pool/ [--out pictures.png] \
        [--csv pictures.csv]

NAME is the folder of a MIDL training that `trainings.py --keep` left; `--annotations` and `--images` are what it was
given. Which images it had labels for follows from its seed, so that the pictures are of others. Trainings of one seed
and share get the same images, for comparisons such as Fig. 7's.

A row an image: the surest boxes; then for one class c, that with the largest part in the image's uncertainty, the
instance uncertainty u of Eq. 5, in the form that the detector scores by, the class probability p_cls of Eq. 10, the
objectness p_obj of Eq. 11, which has no class, and their product, whose sum over the instances is the part of c in Eq.
7. An instance stands on the feature cell of its anchor, or on its proposal. For p_obj and the product, which add up
over an image, a pixel shows the sum over the instances that stand there, as in the paper; for u and p_cls their mean.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import split
from PIL import Image, ImageDraw, ImageFont
from trainings import write

from curate.media.heat_map import DrawnBox, heat, panels
from detectors.checkpoint import CONFIG, METRICS
from detectors.data import LabeledImage, load_coco, load_sample
from detectors.inference import ImageScore, Scorer
from detectors.midl.bags import bag_weights, on_objects, uncertainty_given_object
from detectors.midl.probabilities import instance_uncertainty

_BOXES = 8
_CAPTION = 24


@dataclass(frozen=True)
class Maps:
    """The instances of one image, and what is said of them for one class.

    share: of the class in the image's uncertainty. on_objects: p_obj of instances on an object (IoU 0.5).
    """

    score: ImageScore
    category: str
    share: float
    footprints_xyxy: np.ndarray  # (N, 4) pixels of the file
    uncertainties: np.ndarray  # (N,) u[:, c]
    class_probabilities: np.ndarray  # (N,) p_cls[:, c]
    objectness: np.ndarray  # (N,)
    on_objects: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Heat maps of a trained MIDL detector over unlabelled images.")
    parser.add_argument("detector", type=Path, help="folder of a training that was kept")
    parser.add_argument("--annotations", type=Path, required=True, help="COCO file of the pool")
    parser.add_argument("--images", type=Path, required=True, help="the folder of its images")
    parser.add_argument("--count", type=int, default=8, help="images to show")
    parser.add_argument("--draw", type=int, default=0, help="seed of which images are shown")
    parser.add_argument("--out", type=Path, default=Path("pictures.png"))
    parser.add_argument("--csv", type=Path, help="add a line an image to this file")
    arguments = parser.parse_args()
    method = json.loads((arguments.detector / CONFIG).read_text())["train"]["method"]
    if method != "midl":
        raise SystemExit(f"{arguments.detector} is a {method} training: its MIL head and classifiers learned no maps")
    others = unlabeled(load_coco(arguments.annotations, arguments.images)[0], arguments.detector)
    chosen = np.random.default_rng(arguments.draw).permutation(len(others))[: arguments.count]
    scorer = Scorer(arguments.detector)
    rows = []
    for image in (others[place] for place in chosen):
        maps = maps_of(scorer, image)
        line = {"detector": arguments.detector.name, **in_numbers(maps, image, scorer.categories)}
        if arguments.csv:
            write(arguments.csv, line)
        else:
            print("  ".join(f"{name} {value}" for name, value in line.items()), flush=True)
        rows.append(drawn(maps, image, scorer.categories))
    stacked(rows).save(arguments.out)


def unlabeled(pool: Sequence[LabeledImage], detector: Path) -> list[LabeledImage]:
    """The images of the pool that a training of `trainings.py` had no labels for."""
    seed = json.loads((detector / CONFIG).read_text())["train"]["seed"]
    count = json.loads((detector / METRICS).read_text())["images"]["labeled"]
    by_name = sorted(pool, key=lambda image: image.name)  # as `trainings.py` has them
    others = split(by_name, share=count / len(by_name), seed=seed)[1]
    if not others:
        raise SystemExit(f"{detector} was trained on all of the pool: no image is unlabelled")
    return others


@torch.inference_mode()
def maps_of(scorer: Scorer, image: LabeledImage) -> Maps:
    """Run the detector over one image and take its uncertainty apart."""
    explained = scorer.explain(image.path)
    sample = load_sample(image, image_size=scorer.image_size)
    assert sample.target is not None
    instances = scorer.run([sample]).instances
    if scorer.midl.given_object:
        u = uncertainty_given_object(instances)
    else:
        u = instance_uncertainty(instances.cls_logits_1, instances.cls_logits_2, instances.activation)
    p_cls = bag_weights(instances, scorer.midl).p_cls
    if scorer.midl.class_probability == "uniform":
        p_cls = torch.full_like(p_cls, 1 / p_cls.shape[-1])
    valid = instances.valid[0]
    covered = on_objects(instances, [sample.target.boxes.to(instances.priors.device)])[0][valid].cpu().numpy()
    uncertainties, probabilities = (values[0][valid].cpu().numpy() for values in (u, p_cls))  # (N, C) each
    parts = (uncertainties * probabilities * explained.objectness[:, None]).sum(axis=0)  # (C,)
    c = int(parts.argmax())
    return Maps(
        score=explained.score,
        category=scorer.categories[c],
        share=float(parts[c] / max(parts.sum(), np.finfo(np.float32).tiny)),
        footprints_xyxy=explained.footprints_xyxy,
        uncertainties=uncertainties[:, c],
        class_probabilities=probabilities[:, c],
        objectness=explained.objectness,
        on_objects=float(explained.objectness[covered].sum()),
    )


def in_numbers(maps: Maps, image: LabeledImage, categories: Sequence[str]) -> dict[str, Any]:
    """What a row shows."""
    score = maps.score
    return {
        "image": image.name,
        "shows": ", ".join(sorted({categories[label] for label in image.labels})),
        "uncertainty": score.uncertainty,
        "most_of_it": maps.category,
        "share": maps.share,
        "p_obj_on_objects": maps.on_objects,
        "surest_box": categories[score.labels[0]] if len(score.labels) else "",
        "its_score": float(score.scores.max(initial=0)),
    }


def drawn(maps: Maps, image: LabeledImage, categories: Sequence[str]) -> Image.Image:
    """The row of one image, under a caption."""
    score = maps.score
    boxes = [
        DrawnBox(tuple(box), f"{categories[label]} {value:.2f}")
        for box, label, value in zip(score.boxes_xyxy.tolist(), score.labels, score.scores, strict=True)
    ][:_BOXES]
    product = maps.uncertainties * maps.class_probabilities * maps.objectness
    with Image.open(image.path) as opened:
        where, size = maps.footprints_xyxy, opened.size
        standing = np.maximum(heat(where, np.ones_like(maps.objectness), size), 1)
        heats = [
            (f"u, {maps.category}: mean", heat(where, maps.uncertainties, size) / standing),
            (f"p_cls, {maps.category}: mean", heat(where, maps.class_probabilities, size) / standing),
            ("p_obj: sum", heat(where, maps.objectness, size)),
            (f"u * p_cls * p_obj: sum, {product.sum():.3g} in all", heat(where, product, size)),
        ]
        row = panels(opened, boxes, heats)
    present = sorted({categories[label] for label in image.labels})
    caption = (
        f"{image.name}: uncertainty (Eq. 7) {score.uncertainty:.3g}, {maps.share:.0%} of it {maps.category}; "
        f"in the image: {', '.join(present) or 'no object'}"
    )
    sheet = Image.new("RGB", (row.width, row.height + _CAPTION), "white")
    sheet.paste(row, (0, _CAPTION))
    ImageDraw.Draw(sheet).text((12, 5), caption, fill="black", font=ImageFont.load_default(15))
    return sheet


def stacked(rows: Sequence[Image.Image]) -> Image.Image:
    """Rows of one width under each other."""
    sheet = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


if __name__ == "__main__":
    main()
