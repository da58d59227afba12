"""Labels against what a detector predicted: what was moved, renamed, added and removed, and what looks wrong."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal

from curate.labels.types import BoxXyxy, LabeledFrame

if TYPE_CHECKING:
    import numpy as np

# A box in pixels of the full-size frame, its class, and the detector's score in [0, 1].
Predicted = tuple[BoxXyxy, str, float]

MATCH_IOU = 0.3
"""From which IoU on a label and a prediction are one object. Below the usual 0.5: a sloppy box that a person has put
right is a moved one, not one removed and another added."""
ROUNDING_PX = 0.01
"""What tools may add to a coordinate by rounding, without anybody having moved it."""
CONFIDENT, MISSED_SCORE = 0.5, 0.7
SAME_OBJECT_IOU, DOUBLE_IOU, NEAR_IOU = 0.7, 0.9, 0.1
ODD_RATIO, TINY_PX = 16.0, 3.0
_ENOUGH_OF_A_CLASS = 5

SuspectKind = Literal["class", "missed", "unseen", "double"]


@dataclass(frozen=True)
class FrameChange:
    """A frame's labels against its predictions. `flips` are (predicted, labelled) classes of matched boxes."""

    frame_id: str
    ious: tuple[float, ...]
    flips: tuple[tuple[str, str], ...]
    added: int
    removed: int


@dataclass(frozen=True)
class Suspect:
    """A label that looks wrong, or an object that looks forgotten; `suspicion` in [0, 1] ranks them.

    "class": a confident prediction of another class on the same object. "missed": a confident prediction where there
    is no label. "unseen": a label where nothing was predicted, and of a size that is odd for its class. "double": two
    labels of one class on one object. The box is the label's; that of the prediction for "missed".
    """

    frame_id: str
    kind: SuspectKind
    suspicion: float
    category: str
    box_xyxy: BoxXyxy
    detail: str


def same_objects(one: LabeledFrame, other: LabeledFrame) -> bool:
    """Whether two labels of a frame have the same objects, in whatever order and but for a hundredth of a pixel."""
    if len(one.boxes_xyxy) != len(other.boxes_xyxy):
        return False
    return all(a[:3] == b[:3] and _close(a[3], b[3]) for a, b in zip(_objects(one), _objects(other), strict=True))


def _objects(frame: LabeledFrame) -> list[tuple[str, bool, str, list[float]]]:
    """Of each object its class, whether it is a crowd, the form of its mask, and the numbers of box and polygons."""
    objects = []
    for box, category, crowd, text in zip(
        frame.boxes_xyxy, frame.categories, frame.iscrowd, frame.segmentations, strict=True
    ):
        mask = json.loads(text) if text else []
        polygons = mask if isinstance(mask, list) else []
        form = text if isinstance(mask, dict) else str([len(polygon) for polygon in polygons])
        objects.append((category, crowd, form, [*box, *(number for polygon in polygons for number in polygon)]))
    return sorted(objects)


def _close(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(abs(x - y) <= ROUNDING_PX for x, y in zip(a, b, strict=True))


def compare(frame: LabeledFrame, predictions: Sequence[Predicted]) -> FrameChange:
    """Match labels and predictions one to one, best IoU first, whatever their classes; crowds are left out."""
    labels = [n for n, crowd in enumerate(frame.iscrowd) if not crowd]
    boxes = [frame.boxes_xyxy[n] for n in labels]
    ious = _ious(boxes, [box for box, _, _ in predictions])
    pairs = sorted(
        (-float(ious[i, j]), i, j)
        for i in range(len(labels))
        for j in range(len(predictions))
        if ious[i, j] >= MATCH_IOU
    )
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in pairs:
        if i not in matched and j not in taken:
            matched[i] = j
            taken.add(j)
    flips = [(predictions[j][1], frame.categories[labels[i]]) for i, j in sorted(matched.items())]
    return FrameChange(
        frame_id=frame.frame_id,
        ious=tuple(round(float(ious[i, j]), 4) for i, j in sorted(matched.items())),
        flips=tuple((before, after) for before, after in flips if before != after),
        added=len(labels) - len(matched),
        removed=len(predictions) - len(matched),
    )


def flip_counts(changes: Iterable[FrameChange]) -> list[tuple[str, str, int]]:
    """(predicted class, labelled class, how often), most often first."""
    counts = Counter(flip for change in changes for flip in change.flips)
    return [(*flip, count) for flip, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def suspects(frames: Iterable[LabeledFrame], predictions: Mapping[str, Sequence[Predicted]]) -> list[Suspect]:
    """What looks wrong, most suspicious first. A frame that is not in `predictions` is searched for doubles alone."""
    frames = list(frames)
    usual = _usual_areas(frames)
    found: list[Suspect] = []
    for frame in frames:
        found += _doubles(frame)
        if frame.frame_id in predictions:
            predicted = sorted(predictions[frame.frame_id], key=lambda one: (-one[2], one[1], one[0]))
            ious = _ious(frame.boxes_xyxy, [box for box, _, _ in predicted])
            found += _other_class(frame, predicted, ious)
            found += _missed(frame, predicted, ious)
            found += _unseen(frame, ious, usual)
    return sorted(found, key=lambda one: (-one.suspicion, one.frame_id, one.kind, one.box_xyxy))


def _other_class(frame: LabeledFrame, predicted: Sequence[Predicted], ious: "np.ndarray") -> list[Suspect]:
    """Labels whose object is confidently seen as another class; the score of their own class must be lower there."""
    found = []
    for i, (box, category, crowd) in enumerate(zip(frame.boxes_xyxy, frame.categories, frame.iscrowd, strict=True)):
        # Best score first, so the first prediction on the object decides.
        on_it = [(j, one) for j, one in enumerate(predicted) if ious[i, j] >= SAME_OBJECT_IOU]
        if crowd or not on_it:
            continue
        j, (_, seen, score) = on_it[0]
        if seen != category and score >= CONFIDENT:
            iou = float(ious[i, j])
            detail = f"labelled {category}, the detector sees {seen} ({score:.2f}) at IoU {iou:.2f}"
            found.append(Suspect(frame.frame_id, "class", round(score * iou, 4), category, box, detail))
    return found


def _missed(frame: LabeledFrame, predicted: Sequence[Predicted], ious: "np.ndarray") -> list[Suspect]:
    found: list[Suspect] = []
    for j, (box, category, score) in enumerate(predicted):
        if score < MISSED_SCORE:
            break  # they come best score first
        if len(frame.boxes_xyxy) and float(ious[:, j].max()) >= NEAR_IOU:
            continue
        # A second class on the same forgotten object is no second one.
        if not found or float(_ious([box], [one.box_xyxy for one in found]).max()) < 0.5:
            detail = f"the detector sees {category} ({score:.2f}) where nothing is labelled"
            found.append(Suspect(frame.frame_id, "missed", round(score, 4), category, box, detail))
    return found


def _unseen(frame: LabeledFrame, ious: "np.ndarray", usual: Mapping[str, float]) -> list[Suspect]:
    found = []
    for i, (box, category, crowd) in enumerate(zip(frame.boxes_xyxy, frame.categories, frame.iscrowd, strict=True)):
        seen = ious.shape[1] and float(ious[i].max()) >= NEAR_IOU
        if crowd or seen:
            continue
        width, height = box[2] - box[0], box[3] - box[1]
        ratio = _area(box) / usual[category] if category in usual else 1.0
        odd = max(ratio, 1 / ratio)
        if odd >= ODD_RATIO or min(width, height) < TINY_PX:
            size = f"{ratio:.3g} times the usual area" if odd >= ODD_RATIO else "tiny"
            detail = f"labelled {category}, {width:.4g} x {height:.4g} pixels ({size}), the detector sees nothing there"
            found.append(
                Suspect(frame.frame_id, "unseen", round(max(0.5, 1 - 1 / math.sqrt(odd)), 4), category, box, detail)
            )
    return found


def _doubles(frame: LabeledFrame) -> list[Suspect]:
    found = []
    by_class: dict[str, list[BoxXyxy]] = defaultdict(list)
    for box, category, crowd in zip(frame.boxes_xyxy, frame.categories, frame.iscrowd, strict=True):
        before = by_class[category]
        if crowd:
            continue
        iou = float(_ious([box], before).max()) if before else 0.0
        if iou >= DOUBLE_IOU:
            detail = f"two labels of {category} at IoU {iou:.2f}"
            found.append(Suspect(frame.frame_id, "double", round(iou, 4), category, box, detail))
        before.append(box)
    return found


def _usual_areas(frames: Iterable[LabeledFrame]) -> dict[str, float]:
    """The median area of the labels of each class that has enough of them to say what is usual."""
    areas: dict[str, list[float]] = defaultdict(list)
    for frame in frames:
        for box, category in zip(frame.boxes_xyxy, frame.categories, strict=True):
            areas[category].append(_area(box))
    return {category: median(of) for category, of in areas.items() if len(of) >= _ENOUGH_OF_A_CLASS}


def _area(box: BoxXyxy) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _ious(a: Sequence[BoxXyxy], b: Sequence[BoxXyxy]) -> "np.ndarray":
    """IoU of each box of `a` with each of `b`, (len(a), len(b))."""
    import numpy as np

    first, second = np.array(a, float).reshape(-1, 1, 4), np.array(b, float).reshape(1, -1, 4)
    corner = np.maximum(first[..., :2], second[..., :2])  # (A, B, 2)
    sides = np.clip(np.minimum(first[..., 2:], second[..., 2:]) - corner, 0, None)
    overlap = sides[..., 0] * sides[..., 1]  # (A, B)
    areas = [(boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]) for boxes in (first, second)]
    ious: np.ndarray = overlap / np.maximum(areas[0] + areas[1] - overlap, 1e-9)
    return ious
