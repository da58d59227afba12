"""What one step minimizes in each stage, and which parameters it may move (Eqs. 1, 2, 4 and 12; Fig. 4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from detectors.batches import StepBatch
from detectors.config import ParameterRole, TrainConfig
from detectors.data import Batch, sampling_seed
from detectors.midl.bags import bag_discrepancy, bag_mil_loss, bag_objectness_loss, bag_weights, pseudo_image_labels
from detectors.midl.schedule import Stage
from detectors.model import Instances, MidlDetector

# Fig. 4: maximizing moves the classifiers over fixed features; minimizing moves the features under fixed classifiers.
FIXED: dict[Stage, tuple[ParameterRole, ...]] = {
    Stage.LABELED: (),
    Stage.MAXIMIZE: ("features", "regressor"),
    Stage.MINIMIZE: ("classifiers",),
}


def freeze_for(detector: MidlDetector, stage: Stage) -> None:
    """Let only the stage's parameters move: all, where the labeled images train all (`MidlConfig.labeled_trains_all`).

    A frozen parameter keeps no gradient, so that the optimizer passes it by: no momentum, no weight decay.
    """
    frozen = () if detector.midl.labeled_trains_all else FIXED[stage]
    for role, modules in detector.modules_by_role().items():
        for module in modules:
            for parameter in module.parameters():
                parameter.requires_grad_(role not in frozen)
                parameter.grad = None


def fixed_parts(detector: MidlDetector, stage: Stage) -> tuple[str, ...]:
    """Names of the parts that a stage's discrepancy leaves as they are, in the order of their making."""
    roles = detector.modules_by_role()
    fixed = {id(module) for role in FIXED[stage] for module in roles[role]}
    return tuple(name for name, module in detector.named_children() if id(module) in fixed)


@contextmanager
def _fixed(detector: MidlDetector, stage: Stage) -> Iterator[None]:
    """Build a graph in which nothing has a gradient to the parts that the stage's discrepancy leaves as they are."""
    roles = detector.modules_by_role()
    moving = [
        parameter
        for role in FIXED[stage]
        for module in roles[role]
        for parameter in module.parameters()
        if parameter.requires_grad
    ]
    for parameter in moving:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in moving:
            parameter.requires_grad_(True)


def image_labels(batch: Batch, num_classes: int) -> Tensor:
    """Which classes each labeled image holds, (B, C) bool."""
    rows = [
        one_hot(target.labels, num_classes).any(dim=0)
        if len(target.labels)
        else target.labels.new_zeros(num_classes).bool()
        for target in batch.targets
    ]
    return torch.stack(rows)


@contextmanager
def _drawing_from(seed: int, device: torch.device) -> Iterator[None]:
    """Set torch's global generator, which torchvision's samplers draw from, and give it back as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


class Objective(nn.Module):
    """The step's losses as the forward of a module, so that DDP sees one forward a step."""

    def __init__(self, detector: MidlDetector, config: TrainConfig) -> None:
        super().__init__()
        self.detector = detector
        self.config = config

    def forward(self, batch: StepBatch) -> dict[str, Tensor]:
        """Return named scalars: "total" is to be minimized, "discrepancy" is U of the unlabeled images (of the labeled
        ones in labeled stages), the rest are the terms before their factors.
        """
        stage, labeled, unlabeled = batch.stage, batch.labeled, batch.unlabeled
        midl, maximizing = self.config.midl, stage is Stage.MAXIMIZE
        known = self._instances(labeled, below_heads=not maximizing or midl.labeled_trains_all)
        with _drawing_from(sampling_seed(seed=self.config.seed, step=batch.step), labeled.images.device):
            losses = self.detector.detection_loss(known, labeled.targets)
        total = torch.stack(list(losses.values())).sum()
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.method == "midl"):
            weights = bag_weights(known, midl)
        if self.config.method == "midl":
            present = image_labels(labeled, self.detector.num_classes)
            losses["mil"] = bag_mil_loss(known, midl, present, weights)
            total = total + midl.mil_weight * losses["mil"]
            if midl.objectness_from_boxes:
                boxes = [target.boxes for target in labeled.targets]
                losses["objectness"] = bag_objectness_loss(known, midl, boxes, weights)
                total = total + midl.mil_weight * losses["objectness"]
        if unlabeled is None:
            with torch.no_grad():
                return {**losses, "discrepancy": bag_discrepancy(known, midl, weights), "total": total}
        with _fixed(self.detector, stage):
            unknown = self._instances(unlabeled, below_heads=not maximizing)
        weights = bag_weights(unknown, midl)
        discrepancy = bag_discrepancy(unknown, midl, weights)
        moved = discrepancy
        if maximizing:  # above the cap a clamped value has no gradient
            moved = -(discrepancy if midl.discrepancy_cap is None else discrepancy.clamp(max=midl.discrepancy_cap))
        total = total + self.config.discrepancy_weight * moved
        if midl.mil_on_unlabeled:
            labels = pseudo_image_labels(unknown, midl.pseudo_label_score)
            losses["mil_unlabeled"] = bag_mil_loss(unknown, midl, labels, weights, pseudo=True)
            total = total + midl.mil_weight * losses["mil_unlabeled"]
        return {**losses, "discrepancy": discrepancy, "total": total}

    def _instances(self, batch: Batch, *, below_heads: bool) -> Instances:
        """The bags of a batch. below_heads: whether backbone and FPN get a gradient.

        Labeled and unlabeled images go through one after the other: together each would be padded to the largest of
        both, and on a CPU twice the memory costs more than the larger batch saves.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and below_heads):
            features = self.detector.features(batch.images, batch.sizes_hw)
        return self.detector.instances(features, batch.sizes_hw)
