from pathlib import Path

import pytest
import torch
from detector_runs import tiny
from torchvision.models.detection import ssd300_vgg16
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD

from detectors.backbones import vgg16_features
from detectors.config import TrainConfig
from detectors.model import Instances, MidlDetector, Target
from detectors.registry import build_detector
from detectors.ssd import Ssd300, mined_cross_entropy

SIZES = torch.tensor([[300, 300], [150, 240]])
CELLS = [38, 19, 10, 5, 3, 1]
TARGETS = [
    Target(torch.tensor([[20.0, 30.0, 120.0, 90.0], [10.0, 10.0, 30.0, 40.0]]), torch.tensor([2, 0])),
    Target(torch.tensor([[100.0, 20.0, 200.0, 140.0]]), torch.tensor([1])),
]


@pytest.fixture(scope="module")
def theirs() -> SSD:
    return ssd300_vgg16(weights=None, weights_backbone=None, num_classes=4)


@pytest.fixture(scope="module", params=["efficientnet_lite0", "vgg16"])
def detector(request: pytest.FixtureRequest) -> MidlDetector:
    return build_detector("ssd300", num_classes=3, backbone=request.param, weights="none")


@pytest.fixture
def instances(detector: MidlDetector) -> Instances:
    images = torch.randint(0, 256, (2, 3, 320, 320), dtype=torch.uint8)
    return detector.instances(detector.features(images, SIZES), SIZES)


def test_levels_are_those_of_the_paper(detector: MidlDetector) -> None:
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    with torch.no_grad():
        levels = detector.features(images, torch.tensor([[64, 96]]))
    assert [tuple(level.shape[2:]) for level in levels] == [(cells, cells) for cells in CELLS]
    assert all(torch.isfinite(level).all() for level in levels)


def test_default_boxes_are_torchvisions_over_each_image(instances: Instances, theirs: SSD) -> None:
    maps = [torch.zeros(1, 1, cells, cells) for cells in CELLS]
    wanted = theirs.anchor_generator(ImageList(torch.zeros(1, 3, 300, 300), [(300, 300)]), maps)[0]
    torch.testing.assert_close(instances.priors[0], wanted, atol=1e-3, rtol=0)
    shrunk = wanted * torch.tensor([240 / 300, 150 / 300] * 2)  # a real image of 240 x 150 in the padding
    torch.testing.assert_close(instances.priors[1], shrunk, atol=1e-3, rtol=0)
    assert instances.valid.all()


def test_padding_changes_nothing() -> None:
    """An image gives the same instances alone and, to rounding, in the padding of a larger one's batch."""
    detector = tiny("ssd300").eval()
    image = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    padded = torch.randint(0, 256, (2, 3, 128, 160), dtype=torch.uint8)
    padded[0, :, :64, :96] = image[0]
    with torch.no_grad():
        one, two = (
            detector.instances(detector.features(images, sizes), sizes)[:1]
            for images, sizes in ((image, torch.tensor([[64, 96]])), (padded, torch.tensor([[64, 96], [128, 160]])))
        )
    for name in ("cls_logits_1", "mil_class_logits", "box_deltas", "priors"):
        torch.testing.assert_close(getattr(one, name), getattr(two, name), msg=name)


def test_losses_are_torchvisions(instances: Instances, detector: MidlDetector, theirs: SSD) -> None:
    """The same numbers from torchvision's own loss in the square of 300 pixels, where its default boxes are."""
    square = [Target(t.boxes * (300 / s.flip(0).repeat(2)), t.labels) for t, s in zip(TARGETS, SIZES, strict=True)]
    anchors = [instances.priors[0]] * 2
    matched = [detector._match(anchors[0], t.boxes) for t in square]  # type: ignore[operator]
    labels = [{"boxes": t.boxes, "labels": t.labels + 1} for t in square]
    losses = detector.detection_loss(instances, TARGETS)
    for name, logits in (("class_1", instances.cls_logits_1), ("class_2", instances.cls_logits_2)):
        heads = {"bbox_regression": instances.box_deltas, "cls_logits": logits}
        wanted = theirs.compute_loss(labels, heads, anchors, matched)
        assert losses[name].item() == pytest.approx(wanted["classification"].item(), rel=1e-4)
        assert losses["box"].item() == pytest.approx(wanted["bbox_regression"].item(), rel=1e-4)


def slow_mined_cross_entropy(logits: torch.Tensor, columns: torch.Tensor) -> float:
    total = 0.0
    for row, wanted in zip(logits.double().tolist(), columns.tolist(), strict=True):
        negatives, positives = [], 0
        for z, column in zip(row, wanted, strict=True):
            loss = torch.tensor(z).logsumexp(0).item() - z[column]
            if column:
                positives += 1
                total += loss
            else:
                negatives.append(loss)
        total += sum(sorted(negatives, reverse=True)[: 3 * max(1, positives)])
    return total


def test_hard_negative_mining_against_a_loop() -> None:
    logits = torch.randn(4, 40, 3) * 3
    columns = torch.zeros(4, 40, dtype=torch.int64)
    columns[0, [3, 17]] = torch.tensor([1, 2])
    columns[1, 5] = 1
    columns[2, :30] = 2  # fewer negatives than three for each positive; image 3 has no positive
    assert mined_cross_entropy(logits, columns).item() == pytest.approx(
        slow_mined_cross_entropy(logits, columns), rel=1e-5
    )


def test_instances_and_default_boxes_are_in_one_order() -> None:
    """A peak that is put into one cell of one level must come out at the default boxes of that cell."""
    detector = tiny("ssd300")
    assert isinstance(detector, Ssd300)
    levels = [torch.zeros(1, 128, cells, cells) for cells in CELLS]
    levels[1][0, :, 2, 5] = 1.0
    predict = detector.f1.module_list[1]
    torch.nn.init.constant_(predict.weight, 0.0)
    predict.weight.data[:, :, 1, 1] = 1.0
    instances = detector.instances(levels, torch.tensor([[600, 300]]))
    hot = instances.cls_logits_1[0].amax(dim=1) > 0
    centres = (instances.priors[0, :, :2] + instances.priors[0, :, 2:]) / 2
    assert hot.sum() == 6
    torch.testing.assert_close(centres[hot], torch.tensor([[5.5 * 16, 2 * 2.5 * 16]]).expand(6, 2))


def test_detected_boxes_are_the_ones_encoded(instances: Instances, detector: MidlDetector) -> None:
    """Perfect heads give back the labels: targets put in as predictions, then decoded, clipped and thinned."""
    logits = torch.zeros_like(instances.cls_logits_1)
    logits[..., 0] = 9.0
    deltas = torch.zeros_like(instances.box_deltas)
    for i, target in enumerate(TARGETS):
        matched = detector._match(instances.priors[i], target.boxes)  # type: ignore[operator]
        positive = matched >= 0
        logits[i, positive, target.labels[matched[positive]] + 1] = 18.0
        deltas[i, positive] = detector.box_coder.encode_single(  # type: ignore[union-attr, operator]
            target.boxes[matched[positive]], instances.priors[i][positive]
        )
    parts = {**vars(instances), "cls_logits_1": logits, "cls_logits_2": logits, "box_deltas": deltas}
    found = detector.detect(Instances(**parts), SIZES, score_threshold=0.05, iou_threshold=0.5, max_boxes=100)
    for detections, target in zip(found, TARGETS, strict=True):
        order = detections.labels.argsort()
        wanted = target.labels.argsort()
        assert detections.labels[order].tolist() == target.labels[wanted].tolist()
        torch.testing.assert_close(detections.boxes[order], target.boxes[wanted], atol=1e-3, rtol=1e-4)


def test_vgg16_reads_a_file_with_or_without_classifier(tmp_path: Path) -> None:
    state = {f"features.{key}": value for key, value in vgg16_features("none").state_dict().items()}
    torch.save({**state, "classifier.0.weight": torch.zeros(2)}, tmp_path / "vgg16.pth")
    read = vgg16_features(str(tmp_path / "vgg16.pth")).state_dict()
    assert all(torch.equal(read[key.removeprefix("features.")], value) for key, value in state.items())
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="does not fit the backbone: 26 keys missing"):
        vgg16_features(str(tmp_path / "other.pth"))
    with pytest.raises(ValueError, match="has no 'embedded' weights; choices are imagenet, none"):
        TrainConfig(detector="ssd300", backbone="vgg16")
