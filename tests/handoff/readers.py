"""What other programs read from an export: boxes (x1, y1, x2, y2) with their class, by the image's stem."""

import json
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pycocotools.coco import COCO

Boxes = dict[str, list[tuple[str, tuple[float, ...]]]]


def by_pycocotools(annotations: Path) -> Boxes:
    coco = COCO(str(annotations))
    found: Boxes = {Path(image["file_name"]).stem: [] for image in coco.imgs.values()}
    for one in coco.anns.values():
        x, y, width, height = one["bbox"]
        stem = Path(coco.imgs[one["image_id"]]["file_name"]).stem
        found[stem].append((coco.cats[one["category_id"]]["name"], (x, y, x + width, y + height)))
    return found


def by_datumaro(path: Path, format_name: str = "coco_instances", **options: Any) -> Boxes:
    """As CVAT does: `Dataset.import_from(folder or file, "coco_instances")` in a plain environment."""
    import datumaro
    from datumaro.components.environment import Environment

    dataset = datumaro.Dataset.import_from(str(path), format_name, env=Environment(), **options)
    labels = dataset.categories()[datumaro.AnnotationType.label]
    found: Boxes = {}
    for item in dataset:
        boxes = (one for one in item.annotations if one.type == datumaro.AnnotationType.bbox)
        corners = [(labels[one.label].name, (one.x, one.y, one.x + one.w, one.y + one.h)) for one in boxes]
        found[Path(item.id).stem] = corners
    return found


def by_supervision(dataset: Any) -> Boxes:
    found: Boxes = {}
    for path, _, detections in dataset:
        ids = detections.class_id if detections.class_id is not None else []
        pairs = zip(ids, detections.xyxy, strict=True)
        found[Path(path).stem] = [(dataset.classes[id_], tuple(map(float, box))) for id_, box in pairs]
    return found


def by_fiftyone(dataset_type: str, **arguments: Any) -> Boxes:
    """Needs the database."""
    import fiftyone

    dataset = fiftyone.Dataset.from_dir(dataset_type=getattr(fiftyone.types, dataset_type), **arguments)
    dataset.compute_metadata()
    found: Boxes = {}
    for sample in dataset:
        width, height = sample.metadata.width, sample.metadata.height
        names = [name for name in ("ground_truth", "detections") if name in dataset.get_field_schema()]
        labels = sample[names[0]].detections if names and sample[names[0]] is not None else []
        found[Path(sample.filepath).stem] = [
            (one.label, (x * width, y * height, (x + w) * width, (y + h) * height))
            for one in labels
            for x, y, w, h in (one.bounding_box,)
        ]
    dataset.delete()
    return found


def by_label_studio_converter(annotations: Path, scratch: Path) -> Boxes:
    """`label-studio-converter import coco`: tasks with rectangles in per cent."""
    from label_studio_sdk.converter.imports.coco import convert_coco_to_ls

    convert_coco_to_ls(str(annotations), str(scratch / "tasks.json"), out_type="predictions")
    return of_tasks(json.loads((scratch / "tasks.json").read_text()))


def of_tasks(tasks: list[dict[str, Any]]) -> Boxes:
    """The rectangles of Label Studio's tasks, from per cent to pixels."""
    found: Boxes = defaultdict(list)
    for task in tasks:
        boxes = found[Path(task["data"]["image"]).stem]
        for one in (result for prediction in task.get("predictions", []) for result in prediction["result"]):
            value, width, height = one["value"], one["original_width"], one["original_height"]
            x1, y1 = value["x"] * width / 100, value["y"] * height / 100
            x2, y2 = x1 + value["width"] * width / 100, y1 + value["height"] * height / 100
            (name,) = value["rectanglelabels"]
            boxes.append((name, (x1, y1, x2, y2)))
    return dict(found)


def of_voc(folder: Path) -> Boxes:
    """The XML files of Pascal VOC, their corners as they stand."""
    found: Boxes = {}
    for path in folder.glob("*.xml"):
        root = ElementTree.parse(path).getroot()
        sides = [
            (one.findtext("name"), {side: float(one.findtext(f"bndbox/{side}")) for side in _SIDES})
            for one in root.findall("object")
        ]
        found[path.stem] = [(name, tuple(s.values())) for name, s in sides]
    return found


_SIDES = ("xmin", "ymin", "xmax", "ymax")


def unzipped(archive: Path, into: Path) -> Path:
    with zipfile.ZipFile(archive) as packed:
        assert packed.testzip() is None
        packed.extractall(into)
    return into


def furthest(found: Boxes, wanted: Boxes) -> float:
    """The largest distance between sides of boxes in pixels; frames, classes and numbers must be the same."""
    assert set(found) == set(wanted)
    distance = 0.0
    for stem, boxes in wanted.items():
        assert sorted(name for name, _ in found[stem]) == sorted(name for name, _ in boxes), stem
        for (_, one), (_, other) in zip(sorted(found[stem]), sorted(boxes), strict=True):
            distance = max(distance, *(abs(a - b) for a, b in zip(one, other, strict=True)))
    return distance
