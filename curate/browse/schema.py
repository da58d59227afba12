"""The fields of the dataset: type, the text the App shows for each, where it stands in the sidebar, indexes."""

from types import ModuleType
from typing import Any, Literal, NamedTuple

FieldType = Literal["string", "int", "frame_number", "float", "floats", "detections"]


class FieldSpec(NamedTuple):
    """A sample field. The description is the tool tip in the App's sidebar."""

    name: str
    type: FieldType
    group: str
    description: str


FIELDS = (
    FieldSpec("predictions", "detections", "labels", "boxes of the detector, each with its confidence and uncertainty"),
    FieldSpec("ground_truth", "detections", "labels", "boxes that came with the labels"),
    FieldSpec("rank", "int", "selection", "place in the selection, 1 = label first; empty if not selected"),
    FieldSpec("utility", "float", "selection", "what the selection ranked by; higher = label sooner"),
    FieldSpec("reason", "string", "selection", "why the frame was picked"),
    FieldSpec("utility_uncertainty", "float", "selection", "the part of the utility that is uncertainty"),
    FieldSpec("utility_diversity", "float", "selection", "the part of the utility that is diversity"),
    FieldSpec("utility_balance", "float", "selection", "the part of the utility that is class balance"),
    FieldSpec("cluster_size", "int", "selection", "the candidates whose nearest pick or labelled frame it is"),
    FieldSpec("suppressed_count", "int", "selection", "how many candidates this pick kept out"),
    FieldSpec("left_out", "string", "selection", "a more uncertain frame near it that was left out, and why"),
    FieldSpec("duplicate_group", "int", "selection", "frames that look the same have one number; empty for others"),
    FieldSpec("state", "string", "selection", "labeled, unlabeled or ignored"),
    FieldSpec("uncertainty", "float", "uncertainty", "image uncertainty, Eq. 7 of MIDL; higher = label sooner"),
    FieldSpec(
        "uncertainty_rank", "int", "uncertainty", "place by uncertainty among the unlabelled frames, 1 = highest"
    ),
    FieldSpec("printed_uncertainty", "float", "uncertainty", "image uncertainty with Eq. 5 as MIDL's paper prints it"),
    FieldSpec("mean_uncertainty", "float", "uncertainty", "mean of the instance uncertainties"),
    FieldSpec("max_uncertainty", "float", "uncertainty", "highest instance uncertainty"),
    FieldSpec("objectness_uncertainty", "float", "uncertainty", "instance uncertainties weighted by objectness"),
    FieldSpec("top_k_uncertainty", "float", "uncertainty", "mean of the 10,000 highest instance uncertainties"),
    FieldSpec("entropy", "float", "uncertainty", "entropy of the box whose class is least certain"),
    FieldSpec("margin", "float", "uncertainty", "1 less the margin of the box whose two likeliest classes are nearest"),
    FieldSpec("least_confidence", "float", "uncertainty", "1 less the confidence of the least confident box, scaled"),
    FieldSpec("class_probabilities", "floats", "uncertainty", "probability that the class is in the image, per class"),
    FieldSpec("video", "string", "frame", "file name of the video; empty for an image"),
    FieldSpec("timestamp_s", "float", "frame", "the decoder's time stamp, in seconds"),
    FieldSpec(
        "frame_number", "frame_number", "frame", "place in the video from 1, as FiftyOne counts; frame_index + 1"
    ),
    FieldSpec("frame_index", "int", "frame", "place in the video from 0, as curate counts"),
    FieldSpec("frame_id", "string", "frame", "the name of the frame in all of curate's tables"),
    FieldSpec("source", "string", "frame", "the video or image in all of curate's tables"),
    FieldSpec("source_path", "string", "frame", "the video or image on disk"),
)

INDEXES: tuple[list[tuple[str, int]], ...] = (
    [("uncertainty", 1)],
    [("uncertainty_rank", 1)],
    [("rank", 1)],
    [("duplicate_group", 1)],
    [("video", 1)],
    [("source", 1), ("frame_index", 1)],
)

ACTIVE = ("predictions", "ground_truth", "rank", "uncertainty")
"""What is drawn on the pictures when the dataset is opened."""

COLORS = ("#ff3b30", "#ff9500", "#ffd60a", "#34c759", "#00c7be", "#32ade6", "#5e9bff", "#bf5af2", "#ff5ea8", "#b8e986")
"""Bright ones: among FiftyOne's own are near-black greens and blues, which are lost on a dark frame."""


def new_dataset(fo: ModuleType, name: str) -> Any:
    """Make an empty, persistent dataset with its fields, indexes and the App's settings."""
    dataset = fo.Dataset(name, persistent=True)
    dataset.media_type = "image"
    declare_fields(fo, dataset)
    dataset.app_config.sidebar_groups = _sidebar(fo)
    dataset.app_config.active_fields = fo.ActiveFields(paths=list(ACTIVE))
    dataset.app_config.color_scheme = fo.ColorScheme(color_by="value", color_pool=list(COLORS))
    dataset.save()
    return dataset


def declare_fields(fo: ModuleType, dataset: Any) -> None:
    """Declare the fields and indexes that the dataset does not have yet."""
    existing = dataset.get_field_schema()
    for spec in FIELDS:
        if spec.name not in existing:
            dataset.add_sample_field(spec.name, **_type_of(fo, spec.type), description=spec.description)
    box_uncertainty = "predictions.detections.uncertainty"
    if dataset.get_field(box_uncertainty) is None:
        dataset.add_sample_field(box_uncertainty, fo.FloatField, description="instance uncertainty of the box, Eq. 7")
    dataset.create_index("frame_id", unique=True)
    for index in INDEXES:
        dataset.create_index(index)


def _type_of(fo: ModuleType, name: FieldType) -> dict[str, Any]:
    types: dict[FieldType, dict[str, Any]] = {
        "string": {"ftype": fo.StringField},
        "int": {"ftype": fo.IntField},
        "frame_number": {"ftype": fo.FrameNumberField},
        "float": {"ftype": fo.FloatField},
        "floats": {"ftype": fo.ListField, "subfield": fo.FloatField},
        "detections": {"ftype": fo.EmbeddedDocumentField, "embedded_doc_type": fo.Detections},
    }
    return types[name]


def _sidebar(fo: ModuleType) -> list[Any]:
    groups: dict[str, list[str]] = {}
    for spec in FIELDS:
        groups.setdefault(spec.group, []).append(spec.name)
    sidebar = [fo.SidebarGroupDocument(name="tags", paths=["tags", "_label_tags"], expanded=True)]
    sidebar += [fo.SidebarGroupDocument(name=name, paths=paths, expanded=True) for name, paths in groups.items()]
    metadata = ["id", "filepath", "metadata.width", "metadata.height", "created_at", "last_modified_at"]
    sidebar.append(fo.SidebarGroupDocument(name="metadata", paths=metadata, expanded=False))
    return sidebar
