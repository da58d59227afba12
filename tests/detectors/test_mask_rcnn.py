"""Mask R-CNN keeps what every detector promises, and what is its own: sampling by step, and masks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from detector_data import CATEGORIES, write_images
from detector_runs import boxes_alone, go

from detectors import mask_rcnn
from detectors.batches import BatchLoader
from detectors.checkpoint import LoadedDetector
from detectors.config import MidlConfig, TrainConfig
from detectors.data import LabeledImage, sampling_seed
from detectors.evaluation import evaluate, evaluate_mil
from detectors.inference import ImageScore, Scorer
from detectors.mask_rcnn import MaskRcnn, ProposalBags
from detectors.masks import decode_mask, encode_mask
from detectors.midl import Stage, StageSpan
from detectors.midl.bags import bag_discrepancy, bag_mil_loss, bag_scores
from detectors.model import Instances, Target
from detectors.objective import Objective
from detectors.registry import build_detector

SIZES = torch.tensor([[64, 96], [50, 70]])
PROPOSALS = 80
TINY = {"detector": "mask-rcnn", "weights": "none", "batch_size": 2, "warmup_steps": 0}


@pytest.fixture(autouse=True)
def _few_proposals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_rcnn, "LIGHT", replace(mask_rcnn.LIGHT, width=64, proposals=PROPOSALS, sampled=48))


def tiny(num_classes: int = 2) -> MaskRcnn:
    detector = build_detector("mask-rcnn", num_classes=num_classes, backbone="efficientnet_lite0", weights="none")
    assert isinstance(detector, MaskRcnn)
    # Untrained logits of the RPN lie within rounding of one another; spread, the proposals have an order.
    torch.nn.init.normal_(detector.rpn.head.cls_logits.weight, std=0.5)
    for head in (detector.f1, detector.f2):
        torch.nn.init.normal_(head.predict.weight, std=0.3)
    return detector.train()


def run(detector: MaskRcnn) -> ProposalBags:
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    return detector.instances(detector.features(images, SIZES), SIZES)


def without_masks(images: list[LabeledImage]) -> list[LabeledImage]:
    return [replace(image, masks=None) for image in images]


def empty_target(size: list[int]) -> Target:
    return Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, *size, dtype=torch.bool))


def square_target() -> Target:
    masks = torch.zeros(1, 64, 96, dtype=torch.bool)
    masks[0, 8:40, 8:40] = True
    return Target(torch.tensor([[8.0, 8.0, 40.0, 40.0]]), torch.tensor([1]), masks)


def shrunk_bags(bags: ProposalBags, keep: list[int]) -> ProposalBags:
    """Return the bags with `keep[i]` proposals in image i."""
    valid = torch.arange(bags.valid.shape[1]) < torch.tensor(keep)[:, None]
    return replace(bags, valid=bags.valid & valid)


def test_bags_have_one_shape_and_lie_in_the_real_images() -> None:
    bags = run(tiny())
    n = bags.priors.shape[1]
    assert 0 < n <= PROPOSALS
    assert bags.cls_logits_1.shape == bags.cls_logits_2.shape == (2, n, 3)
    assert bags.mil_class_logits.shape == bags.mil_objectness_logits.shape == bags.scores().shape == (2, n, 2)
    assert bags.box_deltas.shape == bags.priors.shape == (2, n, 4)
    assert bags.valid.any(dim=1).all()
    inside = bags.priors[1][bags.valid[1]]
    assert inside.min() >= 0
    assert inside[:, 2].max() <= 70
    assert inside[:, 3].max() <= 50
    assert not bags.priors[~bags.valid].any()


def test_bags_of_some_images_keep_their_levels() -> None:
    bags = run(tiny())
    second = bags[1:2]
    assert isinstance(second, ProposalBags)
    assert torch.equal(second.levels[0], bags.levels[0][1:])
    assert torch.equal(second.priors, bags.priors[1:])
    plain = Instances(**{k: v for k, v in vars(bags).items() if k in Instances.__dataclass_fields__})
    with pytest.raises(TypeError, match="ProposalBags"):
        tiny().detection_loss(plain, [square_target()] * 2)


@pytest.mark.parametrize("num_classes", [1, 2])
@pytest.mark.parametrize("keep", [[PROPOSALS, PROPOSALS], [7, 0], [0, 0]])
@pytest.mark.parametrize("labeled", [True, False])
def test_losses_are_finite_and_connected(num_classes: int, keep: list[int], labeled: bool) -> None:
    """With and without boxes, with few proposals, with none in one image and in all."""
    detector = tiny(num_classes)
    bags = shrunk_bags(run(detector), keep)
    first = replace(square_target(), labels=torch.tensor([num_classes - 1])) if labeled else empty_target([64, 96])
    losses = detector.detection_loss(bags, [first, empty_target([50, 70])])
    midl = MidlConfig()
    present = torch.tensor([[labeled] * num_classes, [False] * num_classes])
    total = torch.stack([*losses.values(), bag_mil_loss(bags, midl, present), bag_discrepancy(bags, midl)]).sum()
    total.backward()
    assert torch.isfinite(total)
    grads = [p.grad for p in detector.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in grads)
    assert torch.isfinite(bag_scores(bags, midl).uncertainty).all()
    found = detector.detect(bags, SIZES, score_threshold=0.0, iou_threshold=0.5, max_boxes=5)
    assert [f.masks is not None and f.masks.shape[1:] == (28, 28) for f in found] == [True, True]
    assert [len(f.boxes) > 0 for f in found] == [count > 0 for count in keep]


def test_bags_without_any_proposal_have_length_zero() -> None:
    """An RPN that proposes nothing at all."""
    detector = tiny()
    torch.nn.init.constant_(detector.rpn.head.bbox_pred.bias, 1e4)  # all boxes far out: nothing is left of them
    bags = run(detector)
    assert bags.priors.shape == (2, 0, 4)
    losses = detector.detection_loss(bags, [square_target(), empty_target([50, 70])])
    total = torch.stack([*losses.values(), bag_discrepancy(bags, MidlConfig())]).sum()
    total.backward()
    assert torch.isfinite(total)
    assert bag_scores(bags, MidlConfig()).uncertainty.tolist() == [0, 0]
    assert [len(f.boxes) for f in detector.detect(bags, SIZES, score_threshold=0, iou_threshold=1, max_boxes=9)] == [
        0,
        0,
    ]


def test_labeled_boxes_are_sampled_even_where_the_rpn_finds_none() -> None:
    detector = tiny()
    bags = shrunk_bags(run(detector), [0, 0])
    (sampled, background) = detector._sample(bags, [square_target(), empty_target([50, 70])])
    assert sampled.boxes.tolist() == [[8, 8, 40, 40]]
    assert sampled.labels.tolist() == [2]
    assert sampled.matched.tolist() == [0]
    assert len(background.rows) == 0


def test_samples_follow_from_the_global_generator_alone() -> None:
    detector = tiny()
    detector.sampler.batch_size_per_image = 16
    bags, targets = run(detector), [square_target(), empty_target([50, 70])]
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(detector._sample(bags, targets)[1].rows.tolist())
    assert len(drawn[0]) == 16
    assert drawn[0] == drawn[1] != drawn[2]


def batch_losses(detector: MaskRcnn, images: list[LabeledImage], step: int) -> dict[str, float]:
    config = TrainConfig(**{**TINY, "steps": 9, "augment": False})  # type: ignore[arg-type]
    loader = BatchLoader(config, images, [], spans=[StageSpan(Stage.LABELED, 0, 9)], divisor=32, masks=True)
    batch = loader.load(0)
    batch.step = step
    return {name: value.item() for name, value in Objective(detector, config)(batch).items()}


def test_sampled_losses_are_a_function_of_the_step(images: list[LabeledImage]) -> None:
    """The same batch at the same step gives the same loss whatever was drawn before, at another step another."""
    detector, masked = tiny(), images
    detector.sampler.batch_size_per_image = 16
    state = torch.random.get_rng_state()
    first = batch_losses(detector, masked, step=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(5)
    assert batch_losses(detector, masked, step=3) == first
    assert batch_losses(detector, masked, step=4)["class_1"] != first["class_1"]
    seeds = {sampling_seed(seed=seed, step=step) for seed in range(3) for step in range(3)}
    assert len(seeds) == 9


def test_class_and_box_losses_against_a_loop() -> None:
    detector = tiny()
    bags, targets = run(detector), [square_target(), empty_target([50, 70])]
    torch.manual_seed(4)
    losses = detector.detection_loss(bags, targets)
    torch.manual_seed(4)
    detector.rpn.loss(bags.rpn_logits, bags.rpn_deltas, bags.anchors[0], targets)  # draws its anchors first
    with torch.no_grad():
        own = detector.f1(detector.box_features(bags.levels, [t.boxes for t in targets]))
    wanted, count = 0.0, 0
    for i, sampled in enumerate(detector._sample(bags, targets)):
        logits = torch.cat([bags.cls_logits_1[i][bags.valid[i]].detach(), own if i == 0 else own[:0]]).double()
        for row, label in zip(sampled.rows.tolist(), sampled.labels.tolist(), strict=True):
            wanted -= float(logits[row].softmax(0)[label].log())
            count += 1
    assert count > 48
    assert losses["class_1"].item() == pytest.approx(wanted / count, rel=1e-4)


def test_objects_without_masks_count_in_all_but_the_mask_loss() -> None:
    detector = tiny()
    bags = run(detector)[:1]
    masked = square_target()
    blank = replace(masked, masks=torch.zeros_like(masked.masks))  # type: ignore[arg-type]
    for target in (blank, replace(masked, masks=None)):
        losses = detector.detection_loss(bags, [target])
        assert losses["mask"].item() == 0
        assert losses["box"].item() > 0
    assert detector.detection_loss(bags, [masked])["mask"].item() > 0


@pytest.mark.parametrize("masks", [True, False])
def test_labels_without_any_mask_are_noted(tmp_path: Path, images: list[LabeledImage], masks: bool) -> None:
    labeled = images if masks else without_masks(images)
    reports = go(tmp_path, labeled, [], detector="mask-rcnn", steps=1)
    assert all(np.isfinite(value) for r in reports for value in r.losses.values())
    assert ("no label has a mask" in (tmp_path / "metrics.json").read_text()) == (not masks)


def test_mixed_precision_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a GPU would. A CPU may not outside of this test: its gradients are wrong for maps one cell wide, none here."""
    monkeypatch.setattr("detectors.training._precision", lambda config: "bf16-mixed")
    images = write_images(tmp_path, 4, size_wh=(200, 150), rng=np.random.default_rng(0))
    pool = [image.path for image in images[2:]]
    reports = go(tmp_path / "run", images[:2], pool, detector="mask-rcnn", steps=7, augment=False)
    assert all(np.isfinite(value) for r in reports for value in r.losses.values())


def test_predicted_masks_fit_their_boxes(images: list[LabeledImage]) -> None:
    """Pasted in the file's size, and within a pixel of the box, which torchvision rounds."""
    detector = tiny().eval()
    scorer = Scorer(LoadedDetector(detector, CATEGORIES, 48, ""), score_threshold=0.0, max_boxes=10)
    torch.nn.init.constant_(detector.mask.predict.mask_fcn_logits.bias, 50.0)  # every cell is on the object
    score = scorer.score([images[0].path])[0]
    assert score.masks is not None
    assert len(score.masks) == len(score.boxes_xyxy) == 10
    for mask, (x1, y1, x2, y2) in zip(score.masks, score.boxes_xyxy, strict=True):
        bitmap = decode_mask(mask, file_wh=(96, 64))
        rows, columns = bitmap.any(axis=1).nonzero()[0], bitmap.any(axis=0).nonzero()[0]
        got = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(got, [x1, y1, x2, y2], atol=2)


class _Oracle(Scorer):
    """A scorer that answers with the labels, and masks `grown` by so many pixels to the right."""

    def __init__(self, images: list[LabeledImage], *, grown: int) -> None:
        super().__init__(LoadedDetector(tiny(), CATEGORIES, None, ""))
        self._answers = {image.path: image for image in images}
        self._grown = grown

    def score(self, paths) -> list[ImageScore]:  # type: ignore[no-untyped-def]
        answers = []
        for found in (self._answers[path] for path in paths):
            masks = []
            for x1, y1, x2, y2 in found.boxes_xyxy.astype(int):
                bitmap = np.zeros((64, 96), dtype=bool)
                bitmap[y1:y2, x1 : x2 + self._grown] = True
                masks.append(encode_mask(bitmap))
            answers.append(boxes_alone(found.boxes_xyxy, found.labels, tuple(masks)))
        return answers


def test_mask_precision_of_known_answers(tmp_path: Path) -> None:
    made = write_images(tmp_path, 4, size_wh=(96, 64), rng=np.random.default_rng(2), side=20)
    perfect = evaluate(_Oracle(made, grown=0), made, CATEGORIES)
    assert perfect["mask_AP"] == perfect["mask_AP50"] == perfect["AP"] == pytest.approx(1)
    doubled = [
        replace(i, masks=tuple([[2 * v for v in p] for p in m] for m in i.masks or ()), masks_wh=(192, 128))  # type: ignore[union-attr]
        for i in made
    ]
    assert evaluate(_Oracle(made, grown=0), doubled, CATEGORIES)["mask_AP"] == pytest.approx(1)
    # 20 px squares grown to 30 px have IoU 2/3, if the image has room: hits at 0.50 to 0.65 only. Boxes stay right.
    left = [image for image in made if image.boxes_xyxy[0, 2] <= 86]
    grown = evaluate(_Oracle(left, grown=10), left, CATEGORIES)
    assert grown["mask_AP50"] == pytest.approx(1)
    assert grown["mask_AP"] == pytest.approx(0.4, abs=1e-3)
    assert grown["AP"] == pytest.approx(1)


def test_objects_without_masks_are_no_mistakes(tmp_path: Path) -> None:
    made = write_images(tmp_path, 3, size_wh=(96, 64), rng=np.random.default_rng(2), boxes=2, side=16)
    some = [replace(image, masks=(image.masks[0], None)) for image in made if image.masks]
    measured = evaluate(_Oracle(made, grown=0), some, CATEGORIES)
    assert measured["mask_AP"] == pytest.approx(1)
    none = [replace(image, masks=None) for image in made]
    assert evaluate(_Oracle(made, grown=0), none, CATEGORIES)["mask_AP"] is None


def test_mil_can_be_measured_on_proposals(images: list[LabeledImage]) -> None:
    measured = evaluate_mil(LoadedDetector(tiny().eval(), CATEGORIES, None, ""), images[:4])
    assert measured["image_AP"] is not None
