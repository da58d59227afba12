"""What the switches of MidlConfig do, on bags and on whole detectors."""

import math
from dataclasses import replace

import pytest
import torch
from detector_runs import spread_classifiers, tiny
from torch import Tensor

from detectors.config import ClassProbability, MidlConfig, Objectness
from detectors.midl import discrepancy_loss, tied_objectness_logits
from detectors.midl.bags import bag_discrepancy, bag_mil_loss, bag_objectness_loss, bag_scores, on_objects
from detectors.model import Instances
from detectors.registry import detector_names

SIZES = torch.tensor([[64, 96], [64, 96]])


@pytest.fixture(params=detector_names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def bags() -> Instances:
    """Two bags of four instances of 10 x 10 px in a row, three classes; the last of the second is padding."""
    z1, z2, zc, zo = (torch.randn(2, 4, 3) for _ in range(4))
    left = torch.tensor([0.0, 10.0, 20.0, 30.0])
    priors = torch.stack([left, torch.zeros(4), left + 10, torch.full((4,), 10.0)], dim=1).expand(2, -1, -1)
    valid = torch.tensor([[True] * 4, [True, True, True, False]])
    return Instances(z1, z2, zc, zo, torch.zeros(2, 4, 4), priors, valid)


@pytest.mark.parametrize("given_object", [True, False])
def test_image_scores_are_eq_7_mean_and_largest(given_object: bool) -> None:
    instances = bags()
    z1, z2 = instances.cls_logits_1, instances.cls_logits_2
    u = (z1.sigmoid() - z2.sigmoid()) ** 2
    if given_object:
        shown = ((z1.sigmoid() + z2.sigmoid()) / 2 * instances.valid[..., None]).amax(dim=(1, 2)) / 0.2
        different = 1 - (z1.softmax(dim=2) * z2.softmax(dim=2)).sum(dim=2, keepdim=True)
        u = shown.clamp(max=1)[:, None, None] * different
    midl = MidlConfig(class_probability="uniform", tie_objectness=False, given_object=given_object)
    scores = {
        score: bag_scores(instances, replace(midl, image_score=score))  # type: ignore[arg-type]
        for score in ("joint", "mean", "max")
    }
    per_instance = u.mean(dim=2)
    for image, count in enumerate((4, 3)):
        counted = per_instance[image, :count]
        p_obj = instances.mil_objectness_logits[image, :count].amax(dim=1).softmax(dim=0)
        wanted = {"joint": (counted * p_obj).sum(), "mean": counted.mean(), "max": counted.max()}
        for score, value in wanted.items():
            assert scores[score].uncertainty[image].item() == pytest.approx(value.item(), abs=1e-6)


def test_what_is_no_object_is_not_uncertain() -> None:
    """Of two images with the same doubt about the class, that in which an object is seen is the more uncertain."""
    instances = bags()
    seen = torch.tensor([0.0, -9.0])[:, None, None]  # the second image: nothing
    z1, z2, zc, zo = (z[:1].expand(2, -1, -1) for z in (
        instances.cls_logits_1, instances.cls_logits_2, instances.mil_class_logits, instances.mil_objectness_logits
    ))  # fmt: skip
    same = replace(
        instances,
        cls_logits_1=z1 + seen,
        cls_logits_2=z2 + seen,
        mil_class_logits=zc,
        mil_objectness_logits=zo,
        valid=instances.valid[:1].expand(2, -1),
    )
    first, second = bag_scores(same, MidlConfig(tie_objectness=False)).uncertainty.tolist()
    assert 0 < second < first / 100


def test_with_one_class_eq_5_stands_as_printed() -> None:
    instances = bags()
    one = {name: getattr(instances, name)[..., :1] for name in ("cls_logits_1", "cls_logits_2", "mil_class_logits")}
    scores = bag_scores(replace(instances, **one), MidlConfig())
    torch.testing.assert_close(scores.uncertainty, scores.printed_uncertainty)
    assert scores.uncertainty.min() > 0


def test_printed_scores_do_not_follow_the_switch() -> None:
    instances = bags()
    printed, given = (bag_scores(instances, MidlConfig(given_object=value)) for value in (False, True))
    torch.testing.assert_close(printed.uncertainty, printed.printed_uncertainty)
    for name in (
        "printed_uncertainty",
        "mean_uncertainty",
        "max_uncertainty",
        "objectness_uncertainty",
        "top_k_uncertainty",
    ):
        torch.testing.assert_close(getattr(given, name), getattr(printed, name))
    assert not torch.allclose(given.uncertainty, printed.uncertainty)


@pytest.mark.parametrize("objectness", ["learned", "uniform"])
@pytest.mark.parametrize("class_probability", ["softmax", "sigmoid", "uniform"])
@pytest.mark.parametrize("tie", [True, False])
def test_training_minimizes_the_discrepancy_of_the_equations(
    class_probability: ClassProbability, objectness: Objectness, tie: bool
) -> None:
    instances = bags()
    midl = MidlConfig(class_probability=class_probability, objectness=objectness, tie_objectness=tie)
    z1, z2, zo = instances.cls_logits_1, instances.cls_logits_2, instances.mil_objectness_logits
    wanted = discrepancy_loss(
        z1,
        z2,
        instances.mil_class_logits,
        tied_objectness_logits(zo, z1, z2) if tie else zo,
        class_probability=class_probability,
        objectness=objectness,
        valid=instances.valid,
    )
    torch.testing.assert_close(bag_discrepancy(instances, midl), wanted)
    logits = [z.clone().requires_grad_() for z in (z1, instances.mil_class_logits, zo)]
    moved = replace(instances, cls_logits_1=logits[0], mil_class_logits=logits[1], mil_objectness_logits=logits[2])
    bag_discrepancy(moved, midl).backward()
    assert logits[0].grad is not None
    assert logits[1].grad is None  # the weights are detached
    assert logits[2].grad is None


def test_instances_on_objects() -> None:
    boxes = [torch.tensor([[0.0, 0.0, 10.0, 10.0], [22.0, 0.0, 32.0, 10.0]]), torch.tensor([[31.0, 0.0, 41.0, 10.0]])]
    assert on_objects(bags(), boxes).tolist() == [[True, False, True, False], [False] * 4]  # the last is padding
    assert not on_objects(bags(), [torch.zeros(0, 4)] * 2).any()


def test_objectness_from_boxes_is_the_share_on_objects() -> None:
    instances, midl = bags(), MidlConfig(tie_objectness=False)
    boxes = [torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]]), torch.zeros(0, 4)]
    powers = [math.exp(max(row)) for row in instances.mil_objectness_logits[0].tolist()]
    wanted = -math.log((powers[0] + powers[2]) / sum(powers))
    assert bag_objectness_loss(instances, midl, boxes).item() == pytest.approx(wanted, abs=1e-5)
    assert bag_objectness_loss(instances, midl, [torch.zeros(0, 4)] * 2).item() == 0


def test_objectness_from_boxes_stays_finite_with_its_gradient() -> None:
    logits = torch.tensor([[[-1e4], [1e4], [0.0], [0.0]]] * 2, requires_grad=True)
    instances = replace(bags(), mil_objectness_logits=logits)
    box = [torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.zeros(0, 4)]
    loss = bag_objectness_loss(instances, MidlConfig(tie_objectness=False), box)
    loss.backward()
    assert loss.item() == pytest.approx(2e4, rel=1e-3)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 0] < 0  # more weight to the object


def mil_gradient(name: str, *, moves: bool) -> tuple[float, float]:
    """Largest gradient of the MIL loss on the features' parameters and on the MIL head's."""
    detector = tiny(name, midl=MidlConfig(mil_moves_features=moves)).train()
    spread_classifiers(detector, 0.3)
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    instances = detector.instances(detector.features(images, SIZES), SIZES)
    bag_mil_loss(instances, detector.midl, torch.tensor([[True, False], [True, True]])).backward()

    def largest(role: str) -> float:
        modules = detector.modules_by_role()[role]  # type: ignore[index]
        grads: list[Tensor] = [p.grad for m in modules for p in m.parameters() if p.grad is not None]
        return max((g.abs().max().item() for g in grads), default=0.0)

    return largest("features"), largest("mil")


def test_the_mil_loss_moves_the_features_or_not(name: str) -> None:
    assert all(value > 0 for value in mil_gradient(name, moves=True))
    features, head = mil_gradient(name, moves=False)
    assert features == 0
    assert head > 0
