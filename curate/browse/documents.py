"""A frame as the document that FiftyOne stores for a sample, and the difference between two of them.

Building with FiftyOne's own Sample and Detection objects took about five times as long as with these documents; a
test keeps them equal to what FiftyOne makes of the same values.
"""

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.browse.scores import ScoredFrame
from curate.browse.tags import REJECTED, SELECTED, PersonTags
from curate.types import SelectedFrame, Source, cache_path

Document = dict[str, Any]


@dataclass(frozen=True)
class LabeledBox:
    """A ground-truth box: `box_xyxy` in pixels of the upright source, and the name of its category."""

    box_xyxy: tuple[float, float, float, float]
    category: str


def sample_fields(
    scored: ScoredFrame,
    source: Source,
    frames_dir: Path,
    *,
    categories: Sequence[str],
    pick: SelectedFrame | None,
    details: Mapping[str, Any],
    duplicate_group: int | None,
    ground_truth: Sequence[LabeledBox] | None,
) -> Document:
    """All fields that curate sets on a frame's sample, None where there is no value; tags are not among them.

    `details` is the pick's line of selection.jsonl, of which an older one lacks some; empty for other frames.
    """
    frame = scored.frame
    scores = scored.scores or {}
    parts = details.get("utility_parts") or {}
    return {
        "filepath": str(cache_path(frames_dir, frame.source, frame.frame_index)),
        "metadata": {
            "_cls": "ImageMetadata",
            "mime_type": "image/jpeg",
            "width": frame.width,
            "height": frame.height,
        },
        "frame_id": frame.frame_id,
        "source": frame.source,
        "source_path": source.path,
        "video": Path(source.path).name if source.kind == "video" else None,
        "frame_index": frame.frame_index,
        "frame_number": frame.frame_index + 1,
        "timestamp_s": _number(frame.timestamp_s),
        "state": frame.state,
        "uncertainty": _number(scores.get("uncertainty")),
        "printed_uncertainty": _number(scores.get("printed_uncertainty")),
        "mean_uncertainty": _number(scores.get("mean_uncertainty")),
        "max_uncertainty": _number(scores.get("max_uncertainty")),
        "objectness_uncertainty": _number(scores.get("objectness_uncertainty")),
        "top_k_uncertainty": _number(scores.get("top_k_uncertainty")),
        "entropy": _number(scores.get("entropy")),
        "margin": _number(scores.get("margin")),
        "least_confidence": _number(scores.get("least_confidence")),
        "uncertainty_rank": scored.uncertainty_rank,
        "class_probabilities": scores.get("class_probabilities"),
        "rank": pick.rank if pick else None,
        "utility": _number(pick.utility) if pick else None,
        "reason": pick.reason if pick else None,
        "utility_uncertainty": _number(parts.get("uncertainty")),
        "utility_diversity": _number(parts.get("diversity")),
        "utility_balance": _number(parts.get("balance")),
        "cluster_size": details.get("cluster_size"),
        "suppressed_count": (details.get("suppressed") or {}).get("count"),
        "left_out": _left_out(details.get("left_out")),
        "duplicate_group": duplicate_group,
        "predictions": _predictions(scores, frame.width, frame.height, categories) if scores else None,
        "ground_truth": None if ground_truth is None else _ground_truth(ground_truth, source.width, source.height),
    }


def new_document(fields: Document, *, kept: PersonTags, same_picks: bool, dataset_id: Any, now: Any) -> Document:
    """The document of a sample that the dataset does not have yet, with the tags that a person gave it before.

    `kept` are the tags of a dataset that is gone; `same_picks` says whether it showed this very selection.
    """
    frame_id, picked = fields["frame_id"], fields.get("rank") is not None
    taken_off = same_picks and frame_id in kept.unselected
    is_selected = (picked and not taken_off) or (frame_id in kept.selected and fields.get("state") == "unlabeled")
    tags = [SELECTED] * is_selected + [REJECTED] * (frame_id in kept.rejected)
    document = {name: value for name, value in fields.items() if value is not None}
    document.update(
        _media_type="image",
        # FiftyOne shuffles by this number; any spread will do, and the same each time is easier to reason about.
        _rand=_spread(fields["frame_id"]),
        _dataset_id=dataset_id,
        tags=tags,
        created_at=now,
        last_modified_at=now,
    )
    return document


def update_of(stored: Document, fields: Document, *, same_picks: bool, now: Any) -> Document | None:
    """The MongoDB update that brings a stored sample up to date, or None if it is.

    Only what differs is written, so that a person's tags, also those on boxes that are predicted again, stay.
    `same_picks` says whether the dataset showed this very selection before.
    """
    changes = {name: value for name, value in fields.items() if not _same(stored.get(name), value)}
    tagged = SELECTED in (stored.get("tags") or ())
    selected = _is_selected(stored, fields, tagged=tagged, same_picks=same_picks)
    if not changes and tagged == selected:
        return None
    update: Document = {"$set": {**changes, "last_modified_at": now}}
    if selected != tagged:
        # Not a $set: someone may be tagging in the App at this moment.
        update["$addToSet" if selected else "$pull"] = {"tags": SELECTED}
    return update


def _is_selected(stored: Document, fields: Document, *, tagged: bool, same_picks: bool) -> bool:
    """Whether a stored sample is to have the tag `selected`: a pick, unless a person took it off; else as a person did.

    A person's own `selected` ends when the frame is labelled.
    """
    was_picked = stored.get("rank") is not None
    if fields["rank"] is not None:
        return tagged or not (was_picked and same_picks)
    return tagged and not was_picked and fields["state"] == "unlabeled"


def _predictions(scores: Mapping[str, Any], width: int, height: int, categories: Sequence[str]) -> Document:
    columns = (scores["boxes_xyxy"], scores["labels"], scores["scores"], scores["box_uncertainties"])
    return _detections(
        {**_box(box, width, height), "label": categories[label], "confidence": score, "uncertainty": _number(value)}
        for box, label, score, value in zip(*columns, strict=True)
    )


def _ground_truth(boxes: Iterable[LabeledBox], width: int, height: int) -> Document:
    return _detections({**_box(box.box_xyxy, width, height), "label": box.category} for box in boxes)


def _detections(values: Iterable[Document]) -> Document:
    from bson import ObjectId

    detections = [{"_id": ObjectId(), "_cls": "Detection", "attributes": {}, "tags": [], **value} for value in values]
    return {"_cls": "Detections", "detections": detections}


def _box(box_xyxy: Sequence[float], width: int, height: int) -> Document:
    """FiftyOne's [left, top, width, height] in 0..1, from pixels."""
    x1, y1, x2, y2 = box_xyxy
    return {"bounding_box": [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height]}


def _same(stored: Any, value: Any) -> bool:
    if isinstance(stored, dict) and isinstance(value, dict) and "detections" in value:
        return _bare(stored) == _bare(value)
    return bool(stored == value)


def _bare(detections: Document) -> list[Document]:
    """The boxes without what FiftyOne or a person adds to them."""
    names = ("bounding_box", "label", "confidence", "uncertainty")
    return [{name: detection.get(name) for name in names} for detection in detections.get("detections", ())]


def _left_out(other: Mapping[str, Any] | None) -> str | None:
    if not other:
        return None
    uncertainty = _number(other.get("uncertainty"))
    known = "" if uncertainty is None else f" (uncertainty {uncertainty:.4g})"
    return f"{other['frame_id']}{known}: {other['why']}"


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _spread(frame_id: str) -> float:
    return (zlib.crc32(frame_id.encode()) + 1) / (2**32 + 1)
