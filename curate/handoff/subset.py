"""A labelled set to train on: COCO files of train, val and test split, with images, manifest and checksums."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from curate.handoff.coco_document import coco_image, coco_object
from curate.handoff.folder import write_checksums, write_json, write_text, write_zip
from curate.handoff.manifest import ManifestImage, write_manifest
from curate.handoff.masks import Segmentation
from curate.types import Source, export_stem

Task = Literal["instance-segmentation", "detection"]

_README = """\
{count} labelled images of {sources} videos or pictures, to train {task} on ({run_id})

  images/<split>/                     the images, upright, at full size
  annotations/instances_<split>.json  COCO, a file a split: {splits}
  objects.csv                         objects that were mended, and those whose image is left out, each with the reason
  manifest.json                       where the images come from, how many objects of each class a split has
  SHA256SUMS                          to check the folder: sha256sum -c SHA256SUMS

All frames of a video are in one split. Class ids are 1 to {classes}, as torchvision wants them (0 is background).
Read it with
  pycocotools.coco.COCO("annotations/instances_train.json")
  torchvision.datasets.CocoDetection("images/train", "annotations/instances_train.json")
  fiftyone.Dataset.from_dir(dataset_type=fiftyone.types.COCODetectionDataset,
      data_path="images/train", labels_path="annotations/instances_train.json", label_types="segmentations")
"""


@dataclass(frozen=True)
class SubsetObject:
    """A labelled object: `bbox` is [x, y, width, height] in pixels, `area` in square pixels.

    `segmentation` is empty where the task is detection. `predicted` is whether a detector drew the mask in the box.
    """

    category: str
    bbox: tuple[float, float, float, float]
    area: float
    segmentation: Segmentation
    iscrowd: bool
    predicted: bool = False


@dataclass(frozen=True)
class SubsetImage:
    """A labelled frame with all its objects. The size is that of the JPEG, in pixels; the label came from that file."""

    frame_id: str
    source: Source
    frame_index: int
    timestamp_s: float
    width: int
    height: int
    split: str
    objects: tuple[SubsetObject, ...]
    label_file_sha256: str


@dataclass(frozen=True)
class Remark:
    """What happened to an object, in words; `number` counts the objects of the frame's label from 0."""

    frame_id: str
    number: int
    category: str
    what: Literal["mended", "left out", "predicted"]
    reason: str


@dataclass(frozen=True)
class Subset:
    """Everything that goes into the folder; `made_by` is written down in the manifest."""

    task: Task
    run_id: str
    splits: tuple[str, ...]
    categories: tuple[str, ...]
    images: tuple[SubsetImage, ...]
    remarks: tuple[Remark, ...]
    made_by: Mapping[str, Any]


def image_path(frame_id: str, split: str) -> str:
    """Where the image of a frame lies, relative to the folder."""
    return f"images/{split}/{export_stem(frame_id)}.jpg"


def write_subset(folder: Path, subset: Subset, *, zipped: bool = False) -> None:
    """Write everything but the images, which lie at `image_path` in `folder` already. Equal subsets, equal bytes."""
    counts = {}
    for split in subset.splits:
        images = sorted((one for one in subset.images if one.split == split), key=lambda one: one.frame_id)
        write_json(folder, f"annotations/instances_{split}.json", _document(subset, split, images))
        objects = Counter(found.category for one in images for found in one.objects)
        counts[split] = {
            "images": len(images),
            "sources": len({one.source.source for one in images}),
            "objects": {name: objects[name] for name in subset.categories},
            "predicted_masks": sum(found.predicted for one in images for found in one.objects),
        }
    write_text(folder, "objects.csv", _remarks(subset.remarks))
    if zipped:
        write_zip(folder, f"{subset.task}.zip")
    head = {"run_id": subset.run_id, **subset.made_by, "categories": list(subset.categories), "splits": counts}
    listed = [
        ManifestImage(image_path(one.frame_id, one.split), one.frame_id, one.source, one.frame_index, one.timestamp_s)
        for one in sorted(subset.images, key=lambda one: one.frame_id)
    ]
    write_manifest(folder, head, listed)
    text = _README.format(
        count=len(subset.images),
        sources=len({one.source.source for one in subset.images}),
        task=subset.task,
        run_id=subset.run_id,
        splits=", ".join(f"{split} {counts[split]['images']}" for split in subset.splits),
        classes=len(subset.categories),
    )
    write_text(folder, "README.txt", text)
    write_checksums(folder)


def _document(subset: Subset, split: str, images: Sequence[SubsetImage]) -> dict[str, Any]:
    category_ids = {name: n for n, name in enumerate(subset.categories, start=1)}
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, one in enumerate(images, start=1):
        name = f"{export_stem(one.frame_id)}.jpg"
        entry = coco_image(image_id, name, (one.width, one.height), one.source, one.frame_index, one.timestamp_s)
        entries.append(entry | {"label_file_sha256": one.label_file_sha256})
        for found in one.objects:
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": category_ids[found.category],
                "bbox": list(found.bbox),
                "area": found.area,
                "segmentation": found.segmentation,
                "iscrowd": int(found.iscrowd),
            }
            annotations.append(annotation | ({"predicted": True} if found.predicted else {}))
    description = f"Frames labelled for {subset.task}, {split} split, by curate"
    return coco_object(description, subset.run_id, subset.categories, entries, annotations)


def _remarks(remarks: Sequence[Remark]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("frame_id", "object", "category", "what", "reason"))
    for one in sorted(remarks, key=lambda one: (one.frame_id, one.number, one.what, one.reason)):
        writer.writerow((one.frame_id, one.number, one.category, one.what, one.reason))
    return text.getvalue()
