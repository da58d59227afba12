"""Settings of a training under one name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detectors.config import MIDL_ALONE, PAPER_LAMBDA

# As `TrainConfig.from_dict` takes them. "paper" is the RetinaNet of section 4.1
# with Eqs. 9 to 11 as printed, "paper-ssd300" its SSD; "short" is one round of the stages, for a first try on a CPU.
_AS_PRINTED: Mapping[str, Any] = {
    "weights": "imagenet",
    "optimizer": "sgd",
    "lr_drop": 20 / 26,
    "lambda_": PAPER_LAMBDA,
    "midl": {
        "tie_objectness": False,
        "background_gradient": True,
        "objectness_from_boxes": False,
        "mil_moves_features": True,
        "labeled_trains_all": False,
        "discrepancy_cap": None,
        "given_object": False,
        "image_class_exponent": 0.0,
        "mil_weight": 1.0,
    },
}
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {
        "backbone": "resnet50",
        "epochs": 26,
        "batch_size": 2,
        "image_size": 1333,
        "anchor_scale": 4.0,
        **_AS_PRINTED,
    },
    "paper-ssd300": {
        "detector": "ssd300",
        "backbone": "vgg16",
        "epochs": 300,
        "batch_size": 32,
        **_AS_PRINTED,
        "lr_drop": 240 / 300,
        "crops": True,
    },
    "short": {
        "steps": 500,
        "stages": [["labeled", 6], ["maximize", 2], ["minimize", 2], ["labeled", 6]],
    },
}


def preset_values(name: str, *, method: str) -> dict[str, Any]:
    """The values of a preset; method "plain" has it without those that MIDL alone reads. KeyError for another name."""
    return {key: value for key, value in PRESETS[name].items() if method != "plain" or key not in MIDL_ALONE}
