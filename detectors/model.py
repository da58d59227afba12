"""What every MIDL detector offers: the seam between detectors and training, inference and evaluation.

A detector turns an image into a bag of instances (RetinaNet: anchors; SSD: default boxes; Mask R-CNN: proposals).
Everything after that works on `Instances` and does not ask which detector made them. Bags of unequal length are
padded; `valid` tells.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from detectors.config import MidlConfig, ParameterRole
from detectors.midl.probabilities import Activation, class_scores


@dataclass(frozen=True)
class Target:
    """Labels of one image. boxes: (n, 4) float32, xyxy in pixels of the batch's image; labels: (n,) int64 in 0..C-1.

    masks: (n, H, W) bool of the real image without padding, a row without any True where an object has no mask; None
    where the detector wants none.
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor | None = None

    def to(self, device: torch.device) -> Target:
        """Return the labels on `device`."""
        masks = None if self.masks is None else self.masks.to(device)
        return Target(self.boxes.to(device), self.labels.to(device), masks)


@dataclass(frozen=True)
class Instances:
    """The bags of a batch of B images, N instances each, C classes (K = C, or C + 1 with background for "softmax").

    priors: the boxes that the deltas refer to, xyxy in pixels. valid: False on padding, and on anchors whose centre
    lies outside the real image.
    """

    cls_logits_1: Tensor  # (B, N, K)
    cls_logits_2: Tensor  # (B, N, K)
    mil_class_logits: Tensor  # (B, N, C)
    mil_objectness_logits: Tensor  # (B, N, C), or (B, N, 1) where the head pools the classes
    box_deltas: Tensor  # (B, N, 4)
    priors: Tensor  # (B, N, 4)
    valid: Tensor  # (B, N) bool
    activation: Activation = "sigmoid"

    def __getitem__(self, images: slice) -> Instances:
        """Return the bags of some of the images."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        chosen: dict[str, Any] = {name: part[images] for name, part in parts.items() if isinstance(part, Tensor)}
        return replace(self, **chosen)

    def scores(self) -> Tensor:
        """Mean class probability of the two classifiers, (B, N, C) in 0-1."""
        first, second = (class_scores(z, self.activation) for z in (self.cls_logits_1, self.cls_logits_2))
        return (first + second) / 2


@dataclass(frozen=True)
class Detections:
    """The boxes found in one image, best first. boxes: (n, 4) xyxy in pixels; instances: (n,) indices into the bag.

    masks: (n, M, M) probabilities of each box's own class over the box; None where the detector makes none.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    instances: Tensor
    masks: Tensor | None = None


class MidlDetector(nn.Module, ABC):
    """A detector with two adversarial classifiers, a box regressor and a MIL head over shared features."""

    # Images are padded to multiples of this on the right and at the bottom.
    size_divisor: int = 32
    # Whether it is trained with masks and predicts them.
    makes_masks: bool = False
    # Side in pixels of the largest anchors; None where boxes are shares of the image.
    largest_anchor: float | None = None

    num_classes: int
    midl: MidlConfig
    mean: Tensor  # (3,) of the channels in 0-1
    std: Tensor  # (3,)

    def __init__(self, num_classes: int, midl: MidlConfig, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.midl = midl
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)

    @abstractmethod
    def features(self, images: Tensor, sizes_hw: Tensor) -> list[Tensor]:
        """Run backbone and FPN. images: (B, 3, H, W) uint8 RGB; sizes_hw: (B, 2), the real images in the padding."""

    @abstractmethod
    def instances(self, features: list[Tensor], sizes_hw: Tensor) -> Instances:
        """Run the heads over the features."""

    @abstractmethod
    def detection_loss(self, instances: Instances, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Eq. 1 as named scalars, finite and connected to the graph also where no image has a box.

        Whatever is drawn at random comes from torch's global generator, which the caller sets by the step.
        """

    @abstractmethod
    def detect(
        self, instances: Instances, sizes_hw: Tensor, *, score_threshold: float, iou_threshold: float, max_boxes: int
    ) -> list[Detections]:
        """Decode boxes, drop low scores and overlaps, clip to the real images."""

    @abstractmethod
    def modules_by_role(self) -> dict[ParameterRole, list[nn.Module]]:
        """Return all modules with parameters by role; training freezes whole roles."""

    @abstractmethod
    def pooled(self, features: list[Tensor], instances: Instances, weights: Tensor) -> Tensor:
        """Return the sum of the instances' features by weight, (B, D).

        features: those that the instances were made from. weights: (B, N), 0 where an instance is not valid.
        """

    @abstractmethod
    def footprints(self, features: list[Tensor], instances: Instances) -> Tensor:
        """Return where each instance stands, (B, N, 4) xyxy in pixels of the batch, for maps of its values.

        A map of anchors shows feature cells: the anchors of one cell and of its neighbors overlap each other widely.
        """

    def mil_features(self, features: list[Tensor]) -> list[Tensor]:
        """Return what the MIL head reads, without gradient to the features where the switch says so."""
        return features if self.midl.mil_moves_features else [level.detach() for level in features]

    def normalized(self, images: Tensor, sizes_hw: Tensor) -> Tensor:
        """Return (B, 3, H, W) float32 in the backbone's normalization, exactly zero on the padding."""
        x = (images.float() / 255 - self.mean[:, None, None]) / self.std[:, None, None]
        rows = torch.arange(images.shape[2], device=x.device) < sizes_hw[:, :1]  # (B, H)
        columns = torch.arange(images.shape[3], device=x.device) < sizes_hw[:, 1:]  # (B, W)
        return x * (rows[:, None, :, None] & columns[:, None, None, :])

    def train(self, mode: bool = True) -> MidlDetector:
        """Switch the mode; batch normalization keeps its statistics in both (batches are small)."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self
