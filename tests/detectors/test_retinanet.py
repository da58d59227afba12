from typing import Any

import numpy as np
import pytest
import torch
from detector_runs import tiny
from torchvision.ops import box_iou

from detectors.anchors import pyramid_anchors
from detectors.backbones import LEVEL_STRIDES
from detectors.midl.bags import pseudo_image_labels
from detectors.model import Instances, MidlDetector, Target
from detectors.registry import build_detector

SIZES = torch.tensor([[64, 96], [50, 70]])


def run(detector: MidlDetector) -> Instances:
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    return detector.instances(detector.features(images, SIZES), SIZES)


def test_one_prior_an_instance_and_padding_is_invalid() -> None:
    instances = run(tiny("retinanet"))
    n = 9 * sum(-(-64 // s) * -(-96 // s) for s in (8, 16, 32, 64, 128))
    assert instances.cls_logits_1.shape == instances.mil_class_logits.shape == (2, n, 2)
    assert instances.box_deltas.shape == instances.priors.shape == (2, n, 4)
    centres = (instances.priors[..., :2] + instances.priors[..., 2:]) / 2
    assert instances.valid[1].tolist() == ((centres[1, :, 0] < 70) & (centres[1, :, 1] < 50)).tolist()


def test_instances_and_anchors_are_in_one_order() -> None:
    """A peak that is put into one cell of one level must come out at the anchors of that cell."""
    detector = tiny("retinanet")
    levels = [torch.zeros(1, 64, 4, 6), *[torch.zeros(1, 64, *hw) for hw in ((2, 3), (1, 2), (1, 1), (1, 1))]]
    detector.f1.tower = torch.nn.Identity()  # type: ignore[assignment]
    levels[0][0, :, 2, 5] = 1.0
    torch.nn.init.constant_(detector.f1.predict.weight, 0.0)  # type: ignore[union-attr, arg-type]
    detector.f1.predict.weight.data[:, :, 1, 1] = 1.0  # type: ignore[union-attr, index]
    instances = detector.instances(levels, torch.tensor([[32, 48]]))
    hot = instances.cls_logits_1[0].amax(dim=1) > 0
    centres = (instances.priors[0, :, :2] + instances.priors[0, :, 2:]) / 2
    assert hot.sum() == 9
    assert centres[hot].unique(dim=0).tolist() == [[44.0, 20.0]]


@pytest.mark.parametrize("name", ["retinanet", "mask-rcnn"])
def test_anchors_scale(name: str) -> None:
    """A box of 600 px has an anchor of IoU 0.5 with the paper's scale, and none with the default."""
    best = []
    for scale in (None, 4.0):
        detector: Any = build_detector(
            name, num_classes=1, backbone="efficientnet_lite0", weights="none", anchor_scale=scale
        )
        generator = detector.rpn.anchor_generator if name == "mask-rcnn" else detector.anchor_generator
        levels = [torch.zeros(1, 1, -(-832 // s), -(-1344 // s)) for s in LEVEL_STRIDES]
        anchors = pyramid_anchors(generator, levels)
        best.append(box_iou(torch.tensor([[300.0, 100.0, 900.0, 700.0]]), anchors).max().item())
        sides = ((anchors[:, 2:] - anchors[:, :2]).prod(dim=1)).sqrt()
        assert detector.largest_anchor == pytest.approx(sides.max().item(), rel=0.01)
    assert best[0] < 0.5 < best[1]


def test_focal_loss_against_a_loop() -> None:
    detector = tiny("retinanet")
    instances = run(detector)
    target = Target(torch.tensor([[8.0, 8.0, 40.0, 40.0]]), torch.tensor([1]))
    wanted, positives = 0.0, 0
    priors, logits = instances.priors[0].numpy(), instances.cls_logits_1[0].detach().numpy().astype(float)
    box = target.boxes[0].numpy()
    overlap = np.zeros(len(priors))
    for i, p in enumerate(priors):
        w, h = min(p[2], box[2]) - max(p[0], box[0]), min(p[3], box[3]) - max(p[1], box[1])
        if w > 0 and h > 0:
            both = (p[2] - p[0]) * (p[3] - p[1]) + (box[2] - box[0]) * (box[3] - box[1])
            overlap[i] = w * h / (both - w * h)
    for i in range(len(priors)):
        positive = overlap[i] >= 0.5 or overlap[i] == overlap.max()
        if (0.4 <= overlap[i] < 0.5 and not positive) or not instances.valid[0, i]:
            continue
        positives += positive
        for c in range(2):
            p = 1 / (1 + np.exp(-logits[i, c]))
            y = positive and c == 1
            p_t, alpha = (p, 0.25) if y else (1 - p, 0.75)
            wanted -= alpha * (1 - p_t) ** 2 * np.log(p_t)
    assert positives > 1
    loss = detector.detection_loss(instances[:1], [target])["focal_1"]
    assert loss.item() == pytest.approx(wanted / positives, rel=1e-4)


def test_detected_boxes_are_the_ones_encoded() -> None:
    """Perfect heads give back the labels: targets put in as predictions, then decoded, clipped and thinned."""
    detector = tiny("retinanet")
    instances = run(detector)
    boxes = torch.tensor([[4.0, 4.0, 36.0, 36.0], [50.0, 10.0, 80.0, 60.0]])
    logits = torch.full_like(instances.cls_logits_1, -9.0)
    deltas = torch.zeros_like(instances.box_deltas)
    for label, box in enumerate(boxes):
        distance = (instances.priors[0] - box).abs().sum(dim=1)
        nearest = distance.argsort()[:3]
        logits[0, nearest, label] = 3.0
        deltas[0, nearest] = detector.box_coder.encode_single(box.expand(3, 4), instances.priors[0, nearest])  # type: ignore[union-attr, operator]
    parts = {**vars(instances), "cls_logits_1": logits, "cls_logits_2": logits, "box_deltas": deltas}
    found = detector.detect(Instances(**parts), SIZES, score_threshold=0.05, iou_threshold=0.5, max_boxes=100)
    order = found[0].labels.argsort()
    assert found[0].labels[order].tolist() == [0, 1]
    torch.testing.assert_close(found[0].boxes[order], boxes, atol=1e-3, rtol=0)
    assert found[0].scores.tolist() == pytest.approx([torch.tensor(3.0).sigmoid().item()] * 2)
    assert len(found[1].boxes) == 0


def test_pseudo_labels_need_a_confident_valid_instance() -> None:
    instances = run(tiny("retinanet"))
    assert not pseudo_image_labels(instances, 0.5).any()
    logits = torch.full_like(instances.cls_logits_1, -5.0)
    outside = (~instances.valid[1]).nonzero()[0, 0]
    logits[1, outside, 0] = 9.0
    logits[0, 3, 1] = 9.0
    confident = Instances(**{**vars(instances), "cls_logits_1": logits, "cls_logits_2": logits})
    assert pseudo_image_labels(confident, 0.5).tolist() == [[False, True], [False, False]]
    assert not pseudo_image_labels(confident, 0.9999).any()  # sigmoid(9) is 0.99988


def test_padding_pixels_do_not_reach_the_features() -> None:
    detector = tiny("retinanet")
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    noisy = images.clone()
    noisy[1, :, 50:], noisy[1, :, :, 70:] = 255, 255
    assert torch.equal(detector.normalized(images, SIZES), detector.normalized(noisy, SIZES))
