"""Each function of MIDL against nested loops in float64, and bags of unequal length against each bag alone."""

from itertools import product

import midl_oracle as oracle
import pytest
import torch
from torch import Tensor

from detectors.config import ClassProbability, Objectness
from detectors.midl import (
    class_disagreement,
    class_given_object,
    class_probability,
    discrepancy_loss,
    image_class_probability,
    image_uncertainty,
    instance_uncertainty,
    mil_loss,
    objectness_probability,
    pad_bags,
    tied_objectness_logits,
)
from detectors.midl.losses import class_weights, objectness_weights
from detectors.midl.probabilities import Activation

# (B, N, C): one instance, one class, both, an ordinary bag, an empty one.
SHAPES = [(1, 1, 1), (2, 1, 4), (2, 7, 1), (3, 40, 5), (2, 0, 3)]
# Spread of the logits, normal ones; 50 stands for -50 or 50, nothing between.
SPREADS = [0.01, 1.0, 50.0]
CASES = list(product(SHAPES, SPREADS))
ACTIVATIONS: list[Activation] = ["sigmoid", "softmax"]
CLASS_SWITCHES: list[ClassProbability] = ["softmax", "sigmoid", "uniform"]
OBJECTNESS_SWITCHES: list[Objectness] = ["learned", "uniform"]
SWITCHES = list(product(CLASS_SWITCHES, OBJECTNESS_SWITCHES, ACTIVATIONS))
DELTAS = [0.0, -0.7]
# One empty bag among full ones.
LENGTHS = [4, 0, 1, 9]

Case = tuple[tuple[int, int, int], float]


def logits(spread: float, *shape: int) -> Tensor:
    if spread == 50:
        return 50.0 * (2 * torch.randint(0, 2, shape) - 1)
    return spread * torch.randn(shape)


def class_logits(spread: float, *shape: int) -> Tensor:
    """As `logits`, with half of the instances on the second line of Eq. 10."""
    z = logits(spread, *shape)
    z[..., ::2, :] = -z[..., ::2, :].abs() - 1e-3
    return z


def assert_equal(actual: Tensor, wanted: object) -> None:
    expected = torch.tensor(wanted, dtype=torch.float64).reshape(actual.shape)
    torch.testing.assert_close(actual.double(), expected, rtol=0, atol=1e-5)


def columns(classes: int, activation: Activation) -> int:
    return classes + (activation == "softmax")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("case", CASES)
def test_instance_uncertainty(case: Case, activation: Activation) -> None:
    (b, n, c), spread = case
    z1, z2 = (logits(spread, b, n, columns(c, activation)) for _ in range(2))
    for function in (instance_uncertainty, class_disagreement):
        by_hand = getattr(oracle, function.__name__)
        wanted = [by_hand(x.tolist(), y.tolist(), activation) for x, y in zip(z1, z2, strict=True)]
        assert_equal(function(z1, z2, activation), wanted)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("case", CASES)
def test_class_given_object(case: Case, activation: Activation) -> None:
    (b, n, c), spread = case
    z = logits(spread, b, n, columns(c, activation))
    wanted = [[oracle.class_given_object(row, activation) for row in bag] for bag in z.tolist()]
    assert_equal(class_given_object(z, activation), wanted)


@pytest.mark.parametrize("delta_fg", DELTAS)
@pytest.mark.parametrize("case", CASES)
def test_class_probability(case: Case, delta_fg: float) -> None:
    shape, spread = case
    zc = class_logits(spread, *shape)
    assert_equal(class_probability(zc, delta_fg=delta_fg), [oracle.class_probability(z.tolist(), delta_fg) for z in zc])


@pytest.mark.parametrize("case", CASES)
def test_objectness_probability(case: Case) -> None:
    shape, spread = case
    zo = logits(spread, *shape)
    assert_equal(objectness_probability(zo), [oracle.objectness_probability(z.tolist()) for z in zo])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("case", CASES)
def test_tied_objectness_logits(case: Case, activation: Activation) -> None:
    (b, n, c), spread = case
    zo, z1, z2 = (logits(spread, b, n, k) for k in (c, *(columns(c, activation),) * 2))
    wanted = [
        oracle.tied_objectness_logits(*(z.tolist() for z in of_image), activation)
        for of_image in zip(zo, z1, z2, strict=True)
    ]
    assert_equal(tied_objectness_logits(zo, z1, z2, activation), wanted)


@pytest.mark.parametrize("case", CASES)
def test_image_class_probability(case: Case) -> None:
    (b, n, c), spread = case
    p_cls, p_obj = logits(spread, b, n, c).softmax(dim=2), logits(spread, b, n).softmax(dim=1)
    wanted = [oracle.image_class_probability(p.tolist(), q.tolist(), c) for p, q in zip(p_cls, p_obj, strict=True)]
    assert_equal(image_class_probability(p_cls, p_obj), wanted)


@pytest.mark.parametrize("learned_class", [True, False])
@pytest.mark.parametrize("learned_objectness", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_image_uncertainty(case: Case, learned_class: bool, learned_objectness: bool) -> None:
    (b, n, c), spread = case
    u = torch.rand(b, n, c)
    p_cls = logits(spread, b, n, c).softmax(dim=2) if learned_class else torch.full((b, n, c), 1 / c)
    p_obj = logits(spread, b, n).softmax(dim=1) if learned_objectness else torch.full((b, n), 1 / max(n, 1))
    wanted = [oracle.image_uncertainty(*(x.tolist() for x in of)) for of in zip(u, p_cls, p_obj, strict=True)]
    given = p_cls if learned_class else None, p_obj if learned_objectness else None
    assert_equal(image_uncertainty(u, *given), wanted)


@pytest.mark.parametrize("present", [0, 1, 3], ids=["no class", "one class", "several classes"])
@pytest.mark.parametrize(("images", "classes"), [(1, 1), (1, 4), (3, 5)])
def test_mil_loss(images: int, classes: int, present: int) -> None:
    p = torch.rand(images, classes).clamp(1e-4, 1 - 1e-4)
    labels = torch.zeros(images, classes, dtype=torch.bool)
    for row in labels:
        row[torch.randperm(classes)[:present]] = True
    wanted = [oracle.mil_loss(q.tolist(), y.int().tolist()) for q, y in zip(p, labels, strict=True)]
    assert_equal(mil_loss(p, labels), sum(wanted) / images)
    assert_equal(mil_loss(p[0], labels[0]), wanted[0])
    counted = torch.arange(images) != 1
    kept = [loss for loss, takes_part in zip(wanted, counted.tolist(), strict=True) if takes_part]
    assert_equal(mil_loss(p, labels, counted=counted), sum(kept) / len(kept))


def test_mil_loss_is_zero_without_images_and_finite_at_certainty() -> None:
    assert mil_loss(torch.zeros(0, 3), torch.zeros(0, 3)).item() == 0
    certain = torch.tensor([[0.0, 1.0]])
    assert mil_loss(certain, certain).item() == pytest.approx(0, abs=1e-5)
    assert 30 < mil_loss(certain, 1 - certain).item() < 35


def oracle_discrepancy(
    z: list[Tensor], class_switch: ClassProbability, objectness: Objectness, activation: Activation, delta_fg: float
) -> float:
    """U of one image. z: z1, z2, zc, zo, each (n, K)."""
    z1, z2, zc, zo = (x.tolist() for x in z)
    return oracle.image_uncertainty(
        oracle.instance_uncertainty(z1, z2, activation),
        oracle.class_weights(zc, class_switch, delta_fg),
        oracle.objectness_weights(zo, objectness),
    )


@pytest.mark.parametrize(("class_switch", "objectness", "activation"), SWITCHES)
@pytest.mark.parametrize("case", CASES)
def test_discrepancy_loss(
    case: Case, class_switch: ClassProbability, objectness: Objectness, activation: Activation
) -> None:
    (b, n, c), spread = case
    z1, z2 = (logits(spread, b, n, columns(c, activation)) for _ in range(2))
    zc, zo = class_logits(spread, b, n, c), logits(spread, b, n, c)
    for delta_fg in DELTAS:
        wanted = [
            oracle_discrepancy(list(z), class_switch, objectness, activation, delta_fg)
            for z in zip(z1, z2, zc, zo, strict=True)
        ]
        switches = {"class_probability": class_switch, "objectness": objectness, "activation": activation}
        each = discrepancy_loss(z1, z2, zc, zo, delta_fg=delta_fg, reduction="none", **switches)  # type: ignore[arg-type]
        assert_equal(each, wanted)
        mean = discrepancy_loss(z1, z2, zc, zo, delta_fg=delta_fg, **switches)  # type: ignore[arg-type]
        assert_equal(mean, sum(wanted) / b)


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize(("class_switch", "objectness", "activation"), SWITCHES)
def test_ragged_bags_equal_each_image_alone(
    class_switch: ClassProbability, objectness: Objectness, activation: Activation, spread: float
) -> None:
    classes, n = 3, sum(LENGTHS)
    k = columns(classes, activation)
    rows = [logits(spread, n, k), logits(spread, n, k), class_logits(spread, n, classes), logits(spread, n, classes)]
    bags = [x.split(LENGTHS) for x in rows]  # of z1, z2, zc and zo: one tensor an image
    (z1, valid), (z2, _), (zc, _), (zo, _) = (pad_bags(z) for z in bags)
    images = [list(z) for z in zip(*bags, strict=True)]
    wanted = [oracle_discrepancy(z, class_switch, objectness, activation, 0.0) for z in images]
    p_cls, p_obj = class_weights(zc, class_switch), objectness_weights(zo, objectness, valid=valid)
    u = instance_uncertainty(z1, z2, activation)
    assert_equal(image_uncertainty(u, p_cls, p_obj, valid=valid), wanted)
    switches = {"class_probability": class_switch, "objectness": objectness, "activation": activation}
    loss = discrepancy_loss(z1, z2, zc, zo, valid=valid, reduction="none", **switches)  # type: ignore[arg-type]
    assert_equal(loss, wanted)
    if p_cls is not None and p_obj is not None:
        present = [
            oracle.image_class_probability(
                oracle.class_weights(z[2].tolist(), class_switch, 0.0),
                oracle.objectness_probability(z[3].tolist()),
                classes,
            )
            for z in images
        ]
        assert_equal(image_class_probability(p_cls, p_obj), present)


def test_pad_bags_pads_with_zeros_and_passes_gradients() -> None:
    bags = [torch.ones(n, 2, requires_grad=True) for n in LENGTHS]
    padded, valid = pad_bags(bags)
    assert padded.shape == (4, 9, 2)
    assert valid.dtype == torch.bool
    assert valid.sum(dim=1).tolist() == LENGTHS
    assert torch.equal(padded, valid.unsqueeze(2).expand(-1, -1, 2).float())
    (padded * torch.arange(4.0)[:, None, None]).sum().backward()
    for i, bag in enumerate(bags):
        assert bag.grad is not None
        assert torch.equal(bag.grad, torch.full_like(bag, i))


def test_pad_bags_of_empty_bags_has_no_instances_and_no_bags_are_refused() -> None:
    padded, valid = pad_bags([torch.zeros(0, 3)] * 2)
    assert padded.shape == (2, 0, 3)
    assert valid.shape == (2, 0)
    with pytest.raises(ValueError, match="at least one bag"):
        pad_bags([])
    with pytest.raises(ValueError, match=r"one K, got \(1, 2\), \(1, 3\)"):
        pad_bags([torch.zeros(1, 2), torch.zeros(1, 3)])
    with pytest.raises(ValueError, match=r"\(n, K\)"):
        pad_bags([torch.zeros(2)])
