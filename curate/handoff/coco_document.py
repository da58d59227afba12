"""The one COCO document that all COCO receivers get.

It is stricter than COCO, so that CVAT, Datumaro, Label Studio, Roboflow and pycocotools all take it: all five keys,
a licence, integer ids from 1, contiguous categories with a supercategory, `iscrowd`, `segmentation` and a positive
`area` on every annotation.
"""

import math
from pathlib import PurePath
from typing import Any

from curate import __version__
from curate.handoff.types import Handoff, HandoffImage, Prediction

# Boxes are rounded to 1/128 px: x + width is then exact in binary, so no box passes the edge of its image by a rounding
# error, and no side moves by more than 0.004 px.
_GRID = 128


def coco_document(handoff: Handoff) -> dict[str, Any]:
    """The hand-off as a COCO object, ready for JSON. Images are in order of rank; the same hand-off gives the same.

    Predictions that are outside their image, or thinner than the rounding, are left out.
    """
    category_ids = {name: n for n, name in enumerate(handoff.categories, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(handoff.images, start=1):
        images.append(_image(image_id, image))
        for prediction in sorted(image.predictions, key=_best_first):
            annotation = _annotation(len(annotations) + 1, image_id, image, prediction, category_ids)
            if annotation is not None:
                annotations.append(annotation)
    return {
        "info": {
            "description": "Frames selected for labelling by curate",
            "version": __version__,
            "run_id": handoff.run_id,
            "year": "",
            "contributor": "",
            "url": "",
            "date_created": "",
        },
        "licenses": [{"id": 1, "name": "not stated", "url": ""}],
        "categories": [{"id": n, "name": name, "supercategory": "object"} for name, n in category_ids.items()],
        "images": images,
        "annotations": annotations,
    }


def _image(image_id: int, image: HandoffImage) -> dict[str, Any]:
    is_video = image.source.kind == "video"
    return {
        "id": image_id,
        "file_name": image.name,
        "width": image.width,
        "height": image.height,
        "license": 1,
        # Where the frame comes from. Readers of COCO pass over image keys that they do not know.
        "video": PurePath(image.source.path).name if is_video else None,
        "video_sha256": image.source.sha256 if is_video else None,
        "source_sha256": image.source.sha256,
        "frame_index": image.frame.frame_index,
        "timestamp_s": _finite(image.frame.timestamp_s),
        "time_base": image.source.time_base or None,
        "rank": image.frame.rank,
        "uncertainty": _finite(image.frame.uncertainty),
        "reason": image.frame.reason,
    }


def _annotation(
    annotation_id: int, image_id: int, image: HandoffImage, prediction: Prediction, category_ids: dict[str, int]
) -> dict[str, Any] | None:
    (x1, y1, x2, y2), category, score = prediction
    x1, x2 = _to_grid(x1, image.width), _to_grid(x2, image.width)
    y1, y2 = _to_grid(y1, image.height), _to_grid(y2, image.height)
    if x2 <= x1 or y2 <= y1:
        return None
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": category_ids[category],
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
        # An empty list, as CVAT writes it: a receiver that finds a polygon would pass over the bbox.
        "segmentation": [],
        "iscrowd": 0,
        "score": round(score, 6),
    }


def _best_first(prediction: Prediction) -> tuple[float, str, tuple[float, ...]]:
    box, category, score = prediction
    return -score, category, box


def _to_grid(value: float, limit: int) -> float:
    return round(min(max(value, 0.0), float(limit)) * _GRID) / _GRID


def _finite(value: float | None) -> float | None:
    # JSON has no NaN; a receiver that meets one refuses the file.
    return value if value is not None and math.isfinite(value) else None
