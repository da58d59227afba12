"""MIDL, an equation a function (Wan et al., Multiple Instance Differentiation Learning for Active Object Detection)."""

from detectors.config import MidlConfig
from detectors.midl.losses import discrepancy_loss, image_uncertainty, mil_loss
from detectors.midl.padding import pad_bags
from detectors.midl.probabilities import (
    class_disagreement,
    class_given_object,
    class_probability,
    class_scores,
    image_class_probability,
    instance_uncertainty,
    objectness_probability,
    tied_objectness_logits,
)
from detectors.midl.schedule import Stage, StageSpan, lr_factor, stage_spans

__all__ = [
    "MidlConfig",
    "Stage",
    "StageSpan",
    "class_disagreement",
    "class_given_object",
    "class_probability",
    "class_scores",
    "discrepancy_loss",
    "image_class_probability",
    "image_uncertainty",
    "instance_uncertainty",
    "lr_factor",
    "mil_loss",
    "objectness_probability",
    "pad_bags",
    "stage_spans",
    "tied_objectness_logits",
]
