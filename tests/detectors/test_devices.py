"""Whether all tensors would be on a GPU: torch's fake tensors have a device and a shape, but no memory or values."""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from detectors.config import TrainConfig
from detectors.data import Batch, Sample, collate
from detectors.images import resized
from detectors.midl.bags import (
    bag_discrepancy,
    bag_mil_loss,
    bag_objectness_loss,
    bag_scores,
    bag_weights,
    pseudo_image_labels,
)
from detectors.model import MidlDetector, Target
from detectors.objective import image_labels
from detectors.registry import build_detector

GPU = torch.device("cuda")


def detector() -> MidlDetector:
    config = TrainConfig(weights="none")
    with GPU:
        return build_detector(
            "retinanet", num_classes=2, backbone=config.backbone, weights="none", midl=config.scoring_midl
        ).train()


def batch() -> Batch:
    images = [resized(torch.zeros((3, 90, 160), dtype=torch.uint8, device=GPU), factor=f) for f in (1.0, 1.2)]
    target = Target(torch.zeros(3, 4), torch.zeros(3, dtype=torch.int64))
    made = collate([Sample(image, (160, 90), target, "a") for image in images], divisor=32)
    assert made.images.device.type == "cuda"
    return made.to(GPU)


def test_losses_of_retinanet_stay_on_the_gpu() -> None:
    with FakeTensorMode(shape_env=ShapeEnv()):
        model, images = detector(), batch()
        bags = model.instances(model.features(images.images, images.sizes_hw), images.sizes_hw)
        weights = bag_weights(bags, model.midl)
        boxes = [target.boxes for target in images.targets]
        terms = [
            *model.detection_loss(bags, images.targets).values(),
            bag_mil_loss(bags, model.midl, image_labels(images, 2), weights),
            bag_objectness_loss(bags, model.midl, boxes, weights),
            bag_mil_loss(bags, model.midl, pseudo_image_labels(bags, 0.5), weights, pseudo=True),
            bag_discrepancy(bags, model.midl, weights),
        ]
        assert {term.device.type for term in terms} == {"cuda"}


def test_scores_of_retinanet_stay_on_the_gpu() -> None:
    with FakeTensorMode(shape_env=ShapeEnv()), torch.no_grad():
        model, images = detector().eval(), batch()
        scores = bag_scores(
            model.instances(model.features(images.images, images.sizes_hw), images.sizes_hw), model.midl
        )
        assert {value.device.type for value in vars(scores).values()} == {"cuda"}
