"""The one COCO document that all COCO receivers get.

It is stricter than COCO, so that CVAT, Datumaro, Label Studio, Roboflow and pycocotools all take it: all five keys,
a licence, integer ids from 1, contiguous categories with a supercategory, `iscrowd`, `segmentation` and a positive
`area` on every annotation.
"""

import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from curate import __version__
from curate.handoff.boxes import pre_annotations
from curate.handoff.types import Handoff, HandoffImage
from curate.types import Source


def coco_document(handoff: Handoff) -> dict[str, Any]:
    """The hand-off as a COCO object, ready for JSON. Images are in order of rank; the same hand-off gives the same.

    Predictions that are outside their image, or thinner than the rounding, are left out.
    """
    category_ids = {name: n for n, name in enumerate(handoff.categories, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(handoff.images, start=1):
        images.append(_image(image_id, image))
        for box in pre_annotations(image):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category_ids[box.category],
                    "bbox": [box.x1, box.y1, box.width, box.height],
                    "area": box.width * box.height,
                    # An empty list, as CVAT writes it: a receiver that finds a polygon would pass over the bbox.
                    "segmentation": [],
                    "iscrowd": 0,
                    "score": box.score,
                }
            )
    return coco_object(
        "Frames selected for labelling by curate", handoff.run_id, handoff.categories, images, annotations
    )


def coco_object(
    description: str,
    run_id: str,
    categories: Sequence[str],
    images: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
) -> dict[str, Any]:
    """A COCO object of these images and annotations, with the keys that receivers insist on."""
    return {
        "info": {
            "description": description,
            "version": __version__,
            "run_id": run_id,
            "year": "",
            "contributor": "",
            "url": "",
            "date_created": "",
        },
        "licenses": [{"id": 1, "name": "not stated", "url": ""}],
        "categories": [
            {"id": n, "name": name, "supercategory": "object"} for n, name in enumerate(categories, start=1)
        ],
        "images": images,
        "annotations": annotations,
    }


def coco_image(
    image_id: int, name: str, size_wh: tuple[int, int], source: Source, frame_index: int, timestamp_s: float | None
) -> dict[str, Any]:
    """An entry of `images` with where the frame comes from. Readers of COCO pass over keys that they do not know."""
    is_video = source.kind == "video"
    return {
        "id": image_id,
        "file_name": name,
        "width": size_wh[0],
        "height": size_wh[1],
        "license": 1,
        "video": PurePath(source.path).name if is_video else None,
        "video_sha256": source.sha256 if is_video else None,
        "source_sha256": source.sha256,
        "frame_index": frame_index,
        "timestamp_s": _finite(timestamp_s),
        "time_base": source.time_base or None,
    }


def _image(image_id: int, image: HandoffImage) -> dict[str, Any]:
    frame, size_wh = image.frame, (image.width, image.height)
    return coco_image(image_id, image.name, size_wh, image.source, frame.frame_index, frame.timestamp_s) | {
        "rank": frame.rank,
        "uncertainty": _finite(frame.uncertainty),
        "reason": frame.reason,
    }


def _finite(value: float | None) -> float | None:
    # JSON has no NaN; a receiver that meets one refuses the file.
    return value if value is not None and math.isfinite(value) else None
