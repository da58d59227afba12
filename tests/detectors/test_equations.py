"""What must hold of the equations besides their values, which test_oracle.py holds to nested loops."""

import math

import pytest
import torch

from detectors.midl import (
    class_disagreement,
    class_probability,
    discrepancy_loss,
    image_class_probability,
    instance_uncertainty,
    mil_loss,
    objectness_probability,
    tied_objectness_logits,
)


def test_second_line_reverses_the_order_of_classes() -> None:
    p = class_probability(torch.tensor([[-0.5, -3.0]]))
    wanted = [1 - math.exp(-0.5), 1 - math.exp(-3.0)]
    assert p[0].tolist() == pytest.approx([w / sum(wanted) for w in wanted])
    assert p[0, 0] < p[0, 1]


def test_one_image_equals_a_batch_of_one() -> None:
    z = [torch.randn(6, 3) for _ in range(4)]
    alone = discrepancy_loss(z[0], z[1], z[2], z[3])
    batched = discrepancy_loss(z[0][None], z[1][None], z[2][None], z[3][None])
    assert torch.equal(alone, batched)


@pytest.mark.parametrize("logit", [50.0, -50.0, 1e4, -1e4, 0.0])
@pytest.mark.parametrize("classes", [1, 3])
def test_extreme_logits_stay_finite_with_gradient(logit: float, classes: int) -> None:
    z = torch.full((2, 5, classes), logit, requires_grad=True)
    p_cls, p_obj = class_probability(z), objectness_probability(z)
    loss = mil_loss(image_class_probability(p_cls, p_obj), torch.ones(2, classes))
    loss.backward()
    torch.testing.assert_close(p_cls.sum(dim=2), torch.ones(2, 5))
    torch.testing.assert_close(p_obj.sum(dim=1), torch.ones(2))
    assert torch.isfinite(loss)
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


def test_uniform_weights_give_the_plain_mean_exactly() -> None:
    z1, z2, zc, zo = (3 * torch.randn(4, 33, 7) for _ in range(4))
    loss = discrepancy_loss(z1, z2, zc, zo, class_probability="uniform", objectness="uniform", reduction="none")
    u = (z1.sigmoid() - z2.sigmoid()) ** 2
    assert torch.equal(loss, u.mean(dim=2).mean(dim=1))
    torch.testing.assert_close(loss, u.mean(dim=(1, 2)), rtol=1e-6, atol=0)


def test_padding_takes_no_part() -> None:
    z = [torch.randn(1, 9, 3) for _ in range(4)]
    valid = torch.zeros(1, 9, dtype=torch.bool)
    valid[:, :6] = True
    cut = [x[:, :6] for x in z]
    for kind in ("learned", "uniform"):
        padded = discrepancy_loss(z[0], z[1], z[2], z[3], objectness=kind, valid=valid)  # type: ignore[arg-type]
        alone = discrepancy_loss(cut[0], cut[1], cut[2], cut[3], objectness=kind)  # type: ignore[arg-type]
        torch.testing.assert_close(padded, alone)


@pytest.mark.parametrize("shape", [(2, 0, 3), (0, 3)])
def test_empty_bags_score_zero(shape: tuple[int, ...]) -> None:
    z = torch.zeros(shape)
    for kind in ("learned", "uniform"):
        loss = discrepancy_loss(z, z, z, z, objectness=kind, reduction="none")  # type: ignore[arg-type]
        assert torch.equal(loss, torch.zeros(shape[:-2]))
    nothing = objectness_probability(torch.zeros(2, 4, 3), valid=torch.zeros(2, 4, dtype=torch.bool))
    assert torch.equal(nothing, torch.zeros(2, 4))


def test_weights_are_detached_in_the_discrepancy() -> None:
    z1, z2, zc, zo = (torch.randn(2, 6, 3, requires_grad=True) for _ in range(4))
    discrepancy_loss(z1, z2, zc, zo).backward()
    assert zc.grad is None
    assert zo.grad is None
    assert z1.grad is not None
    assert z1.grad.abs().sum() > 0


def test_second_line_passes_no_gradient_and_the_first_does() -> None:
    zc = torch.tensor([[[-1.0, -2.0]], [[1.0, -2.0]]], requires_grad=True)
    class_probability(zc)[..., 0].sum().backward()
    assert zc.grad is not None
    assert torch.equal(zc.grad[0], torch.zeros(1, 2))
    assert (zc.grad[1] != 0).all()


def test_the_gradient_of_the_second_line_is_a_switch_and_points_down() -> None:
    """Raising p_cls there needs a lower logit: the trap that is shut by default."""
    logits = torch.tensor([[-0.5, -3.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(class_probability(logits, background_gradient=True)[0, 0], logits)
    assert gradient[0, 0] < 0
    assert torch.equal(class_probability(logits, background_gradient=True), class_probability(logits))


def test_tied_objectness_adds_the_detectors_logits_without_gradient() -> None:
    zo, z1, z2 = (torch.randn(2, 4, 3, requires_grad=True) for _ in range(3))
    tied = tied_objectness_logits(zo, z1, z2)
    torch.testing.assert_close(tied[..., 0], zo.amax(dim=2) + ((z1 + z2) / 2).amax(dim=2))
    tied.sum().backward()
    assert z1.grad is None
    assert zo.grad is not None


def test_softmax_detectors_leave_the_background_out() -> None:
    z1, z2 = torch.randn(1, 5, 4), torch.randn(1, 5, 4)
    u = instance_uncertainty(z1, z2, "softmax")
    torch.testing.assert_close(u, ((z1.softmax(2) - z2.softmax(2)) ** 2)[..., 1:])


def test_a_missed_object_can_be_uncertain_if_it_is_taken_for_one() -> None:
    # Of two classes each classifier names another, and neither sees anything.
    missed_1, missed_2 = torch.tensor([[[-6.0, -9.0]]]), torch.tensor([[[-9.0, -6.0]]])
    assert instance_uncertainty(missed_1, missed_2).max() < 1e-5
    given = class_disagreement(missed_1, missed_2)
    assert given.min() > 0.8
    # Background as sure as it gets changes nothing of it.
    softmax_1, softmax_2 = (torch.cat([torch.full((1, 1, 1), 9.0), z], dim=2) for z in (missed_1, missed_2))
    torch.testing.assert_close(class_disagreement(softmax_1, softmax_2, "softmax"), given)


def test_disagreement_is_eq_5_given_an_object_and_the_doubt_of_each_classifier() -> None:
    z1, z2 = torch.randn(2, 6, 4), torch.randn(2, 6, 4)
    s1, s2 = z1.softmax(dim=2), z2.softmax(dim=2)
    doubts = (2 - s1.square().sum(dim=2) - s2.square().sum(dim=2)) / 2
    torch.testing.assert_close(class_disagreement(z1, z2), (s1 - s2).square().sum(dim=2) / 2 + doubts)
    both_sure = torch.tensor([[30.0, 0.0]])
    assert class_disagreement(both_sure, both_sure).item() == 0
    assert class_disagreement(both_sure, both_sure.flip(1)).item() == pytest.approx(1)
    with pytest.raises(ValueError, match="one shape"):
        class_disagreement(z1, z2[:, :5])


def test_no_counted_image_means_no_mil_loss() -> None:
    p, y = torch.rand(3, 4), torch.randint(0, 2, (3, 4))
    assert mil_loss(p, y, counted=torch.zeros(3, dtype=torch.bool)).item() == 0


def test_half_precision_logits_are_weighed_in_float32() -> None:
    z = torch.randn(1, 20_000, 2).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        p_cls, p_obj = class_probability(z), objectness_probability(z)
        p_img = image_class_probability(p_cls, p_obj)
    assert {p_cls.dtype, p_obj.dtype, p_img.dtype} == {torch.float32}
    assert p_img.sum().item() == pytest.approx(1, abs=1e-5)


def test_an_image_that_is_surely_wrong_still_has_a_gradient() -> None:
    zc = torch.tensor([[[20.0, 0.0]]], requires_grad=True)
    p_img = image_class_probability(class_probability(zc), torch.ones(1, 1))
    loss = mil_loss(p_img, torch.tensor([[False, True]]))
    loss.backward()
    assert torch.isfinite(loss)
    assert zc.grad is not None
    assert zc.grad[0, 0, 1] < 0  # towards the class that is there


def test_arguments_are_refused_with_reasons() -> None:
    z = torch.zeros(1, 2, 3)
    with pytest.raises(ValueError, match="at most 0"):
        class_probability(z, delta_fg=0.1)
    with pytest.raises(ValueError, match="one shape"):
        instance_uncertainty(z, z[:, :1])
    with pytest.raises(ValueError, match="'learned' or 'uniform'"):
        discrepancy_loss(z, z, z, z, objectness="both")  # type: ignore[arg-type]
