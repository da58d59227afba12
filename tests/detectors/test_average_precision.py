"""AP is that of pycocotools, with crowds and areas that are not the boxes'."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detector_runs import boxes_alone
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detectors.data import load_coco
from detectors.evaluation import accuracy
from detectors.inference import ImageScore
from detectors.masks import encode_mask

SIDE = 200


def rectangle(box: Sequence[float]) -> np.ndarray:
    drawn = np.zeros((SIDE, SIDE), bool)
    x, y, width, height = (int(value) for value in box)
    drawn[y : y + height, x : x + width] = True
    return drawn


def labels(folder: Path, rng: np.random.Generator, *, crowds: bool) -> dict[str, Any]:
    """Twelve images of objects of two classes, every fourth object a crowd; areas are half those of the boxes,
    so that some objects are of another size by them."""
    images, annotations = [], []
    for number in range(12):
        Image.new("RGB", (SIDE, SIDE)).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": SIDE, "height": SIDE})
        for place in range(5):
            side = int(rng.choice([40, 120, 160]))
            x, y = (int(value) for value in rng.integers(0, SIDE - side, 2))
            box, crowd = [x, y, side, side], crowds and place == 3
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(rng.integers(1, 3)),
                    "bbox": box,
                    "area": side * side / 2,
                    "iscrowd": int(crowd),
                    "segmentation": encode_mask(rectangle(box)),
                }
            )
    categories = [{"id": 1, "name": "ant"}, {"id": 2, "name": "bee"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def found_in(document: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Detections: most objects, each a few pixels off, two inside each crowd, and one box at random in each image."""
    found: list[dict[str, Any]] = []

    def add(annotation: dict[str, Any], box: list[float]) -> None:
        x, y = (float(np.clip(value, 0, SIDE - 4)) for value in box[:2])
        box = [x, y, min(box[2], SIDE - x), min(box[3], SIDE - y)]
        found.append(
            {
                "image_id": annotation["image_id"],
                "category_id": annotation["category_id"],
                "bbox": box,
                "score": float(rng.uniform(0.1, 1)),
                "segmentation": encode_mask(rectangle(box)),
            }
        )

    for number, annotation in enumerate(document["annotations"]):
        x, y, width, height = annotation["bbox"]
        if annotation["iscrowd"]:
            add(annotation, [x, y, width // 2, height // 2])
            add(annotation, [x + width // 2, y + height // 2, width // 2, height // 2])
        elif number % 6:
            dx, dy = (int(value) for value in rng.integers(-3, 4, 2))
            add(annotation, [x + dx, y + dy, width, height])
        if number % 5 == 0:
            add(annotation, [*(int(value) for value in rng.integers(0, SIDE - 40, 2)), 40, 40])
    return found


def scores_of(found: list[dict[str, Any]], images: int) -> list[ImageScore]:
    scores = []
    for number in range(images):
        of_image = [d for d in found if d["image_id"] == number]
        boxes = np.array([d["bbox"] for d in of_image], np.float32).reshape(-1, 4)
        score = boxes_alone(
            np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
            np.array([d["category_id"] - 1 for d in of_image], np.int64),
        )
        confidence = np.array([d["score"] for d in of_image], np.float32)
        scores.append(replace(score, scores=confidence, masks=tuple(d["segmentation"] for d in of_image)))
    return scores


def reference(path: Path, found: list[dict[str, Any]], kind: str) -> np.ndarray:
    truth = COCO(str(path))
    measured = COCOeval(truth, truth.loadRes(found), kind)
    measured.evaluate()
    measured.accumulate()
    measured.summarize()
    return np.asarray(measured.stats)


@pytest.mark.parametrize("crowds", [True, False])
def test_average_precision_is_that_of_pycocotools(tmp_path: Path, crowds: bool) -> None:
    rng = np.random.default_rng(5)
    document = labels(tmp_path, rng, crowds=crowds)
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(document))
    found = found_in(document, rng)
    images, categories = load_coco(path, tmp_path)
    measured = accuracy(scores_of(found, len(images)), images, categories)
    names = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
    wanted = reference(path, [{k: v for k, v in d.items() if k != "segmentation"} for d in found], "bbox")
    assert [measured[name] for name in names] == pytest.approx(wanted[:6].tolist(), abs=5e-3)
    assert 0.3 < measured["AP"] < 0.95
    masks = reference(path, found, "segm")
    assert [measured["mask_AP"], measured["mask_AP50"]] == pytest.approx(masks[:2].tolist(), abs=5e-3)
