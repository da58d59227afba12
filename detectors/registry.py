"""Names of detectors and backbones, and how to build one. Imports no torch until something is built."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from detectors.config import MidlConfig
    from detectors.model import MidlDetector

# name -> module with `build(*, num_classes, backbone, weights, midl, anchor_scale)`; a new detector is one new file and
# one line here
_DETECTORS: Final[dict[str, str]] = {
    "retinanet": "detectors.retinanet",
    "mask-rcnn": "detectors.mask_rcnn",
    "ssd300": "detectors.ssd",
}

# name -> where its weights can come from, besides a file and "none"
_BACKBONES: Final[dict[str, tuple[str, ...]]] = {
    "efficientnet_lite0": ("embedded", "imagenet"),
    "efficientnet_lite2": ("embedded", "imagenet"),
    "resnet50": ("imagenet",),
    "vgg16": ("imagenet",),
}
_WEIGHT_WORDS: Final = ("embedded", "imagenet", "none")


def detector_names() -> tuple[str, ...]:
    """Return the names that `build_detector` knows."""
    return tuple(_DETECTORS)


def backbone_names() -> tuple[str, ...]:
    """Return the backbones that are tried and tested; other timm names are accepted too."""
    return tuple(_BACKBONES)


def check_detector(name: str) -> None:
    """Raise ValueError with the choices unless `name` is a detector."""
    if name not in _DETECTORS:
        raise ValueError(f"unknown detector {name!r}; choices are {', '.join(_DETECTORS)}")


def check_backbone(name: str, weights: str) -> None:
    """Raise ValueError unless `name` is a backbone and `weights` can be had for it."""
    if name not in _BACKBONES:
        from timm import is_model  # loads torch, which the names above need not

        if not is_model(name):
            raise ValueError(f"unknown backbone {name!r}; choices are {', '.join(_BACKBONES)}, or a timm model")
    offered = _BACKBONES.get(name, ("imagenet",))
    if weights in _WEIGHT_WORDS and weights != "none" and weights not in offered:
        choices = ", ".join((*offered, "none"))
        raise ValueError(f"backbone {name!r} has no {weights!r} weights; choices are {choices} or the path of a file")
    if not weights:
        raise ValueError(f"weights must be one of {', '.join(_WEIGHT_WORDS)} or the path of a file, got {weights!r}")


def build_detector(
    name: str,
    *,
    num_classes: int,
    backbone: str,
    weights: str,
    midl: MidlConfig | None = None,
    anchor_scale: float | None = None,
) -> MidlDetector:
    """Build a detector with MIDL heads.

    num_classes counts the foreground classes, without background. anchor_scale: see TrainConfig, whose default None
    takes. Random parameters come from torch's global generator.

    Raises:
        ValueError: an unknown name (the message lists the choices), or num_classes below 1.
    """
    from detectors.config import DEFAULT_ANCHOR_SCALE, MidlConfig

    check_detector(name)
    check_backbone(backbone, weights)
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
    detector: MidlDetector = import_module(_DETECTORS[name]).build(
        num_classes=num_classes,
        backbone=backbone,
        weights=weights,
        midl=midl or MidlConfig(),
        anchor_scale=anchor_scale or DEFAULT_ANCHOR_SCALE,
    )
    return detector
