"""What holds for every registered detector."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from detector_data import CATEGORIES, write_images
from detector_runs import TINY, go, spread_classifiers, tiny

from detectors.batches import BatchLoader, StepBatch
from detectors.checkpoint import LoadedDetector, load_detector, save_detector
from detectors.config import MidlConfig, ParameterRole, TrainConfig
from detectors.data import LabeledImage
from detectors.inference import ImageScore, Scorer
from detectors.midl import Stage, StageSpan
from detectors.midl.bags import bag_discrepancy, bag_mil_loss, bag_objectness_loss, bag_scores, bag_weights
from detectors.model import Instances, MidlDetector, Target
from detectors.objective import Objective, freeze_for
from detectors.registry import detector_names
from detectors.training import train

SIZES = torch.tensor([[64, 96], [50, 70]])
EMPTY = Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
# Enough for a maximize and a minimize step beside the labeled ones.
STEPS = 9


@pytest.fixture(params=detector_names())
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    return request.param  # type: ignore[no-any-return]


def run(detector: MidlDetector) -> Instances:
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    return detector.instances(detector.features(images, SIZES), SIZES)


def test_shapes_fit_together(name: str) -> None:
    instances = run(tiny(name, num_classes=3))
    n = instances.priors.shape[1]
    columns = 3 + (instances.activation == "softmax")
    assert instances.cls_logits_1.shape == instances.cls_logits_2.shape == (2, n, columns)
    assert instances.mil_class_logits.shape == (2, n, 3)
    assert instances.mil_objectness_logits.shape in ((2, n, 3), (2, n, 1))
    assert instances.box_deltas.shape == instances.priors.shape == (2, n, 4)
    assert instances.valid.shape == (2, n)
    assert instances.valid.any(dim=1).all()
    assert instances.scores().shape == (2, n, 3)


def test_losses_without_boxes_are_finite_and_move_the_classifiers(name: str) -> None:
    detector = tiny(name)
    losses = detector.detection_loss(run(detector), [EMPTY, EMPTY])
    assert losses["box"].item() == 0
    torch.stack(list(losses.values())).sum().backward()
    grads = [p.grad for head in detector.modules_by_role()["classifiers"] for p in head.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in grads)
    assert any(g is not None and g.abs().sum() > 0 for g in grads)


def test_one_class_needs_no_special_case(name: str) -> None:
    instances = run(tiny(name, num_classes=1))
    midl = MidlConfig()
    assert bag_scores(instances, midl).class_probabilities.tolist() == [pytest.approx([1.0])] * 2
    loss = bag_mil_loss(instances, midl, torch.tensor([[True], [False]])) + bag_discrepancy(instances, midl)
    loss.backward()
    assert torch.isfinite(loss)


def test_the_class_branch_starts_at_its_bias(name: str) -> None:
    for bias in (0.0, -4.6):
        instances = run(tiny(name, midl=MidlConfig(class_bias=bias)).eval())
        assert (instances.mil_class_logits[instances.valid] - bias).abs().max() < 2
        assert instances.mil_objectness_logits[instances.valid].abs().max() < 2


def test_batch_normalization_stays_frozen(name: str) -> None:
    detector = tiny(name).train()
    before = {k: v.clone() for k, v in detector.state_dict().items() if "running" in k}
    run(detector)
    assert before
    assert all(torch.equal(detector.state_dict()[k], v) for k, v in before.items())


def assert_close(first: ImageScore, second: ImageScore) -> None:
    for field, value in vars(first).items():
        if field == "masks":  # run lengths, or None where the detector makes none; they follow from the boxes
            assert (value is None) == (second.masks is None)
            continue
        np.testing.assert_allclose(
            value, getattr(second, field), rtol=1e-4, atol=1e-4 if "boxes" in field else 1e-6, err_msg=field
        )


def loaded(name: str, midl: MidlConfig | None = None) -> LoadedDetector:
    detector = tiny(name, midl=midl)
    spread_classifiers(detector, 0.3)
    return LoadedDetector(detector.eval(), CATEGORIES, None, "")


def test_scores_do_not_depend_on_the_batch(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    paths = []
    for i, size in enumerate([(96, 64), (70, 50), (90, 60), (40, 120)]):
        (tmp_path / str(i)).mkdir()
        paths.append(write_images(tmp_path / str(i), 1, size_wh=size, rng=rng)[0].path)
    scorer = Scorer(loaded(name), batch_size=4, score_threshold=0.0)
    together = scorer.score(paths)
    assert len({score.uncertainty for score in together}) == 4
    for path, score in zip(paths, together, strict=True):
        assert_close(scorer.score([path])[0], score)
    assert_close(scorer.score(paths[::-1])[3], together[0])


def test_save_and_load_give_the_same_scores(tmp_path: Path, images: list[LabeledImage], name: str) -> None:
    config = TrainConfig(detector=name, weights="none", steps=1, warmup_steps=0)
    detector = loaded(name, config.scoring_midl)
    save_detector(tmp_path, detector.detector, config, categories=CATEGORIES, labels_sha256="abc")
    again = load_detector(tmp_path)
    assert again.categories == CATEGORIES
    assert again.labels_sha256 == "abc"
    paths = [image.path for image in images[:2]]
    for first, second in zip(Scorer(detector).score(paths), Scorer(tmp_path).score(paths), strict=True):
        assert_close(first, second)


Weights = dict[ParameterRole, list[torch.Tensor]]


def weights(detector: MidlDetector) -> Weights:
    roles = detector.modules_by_role()
    return {role: [v.clone() for m in modules for v in m.state_dict().values()] for role, modules in roles.items()}


def moved(before: Weights, after: Weights) -> set[ParameterRole]:
    """Roles of which anything changed, to the bit."""
    return {
        role
        for role, values in before.items()
        if not all(torch.equal(old, new) for old, new in zip(values, after[role], strict=True))
    }


def run_stage(
    name: str, stage: Stage, images: list[LabeledImage], pool: list[Path], *, steps: int, lambda_: float, **midl: bool
) -> tuple[set[ParameterRole], list[float]]:
    """Train one stage on one fixed pair of batches; return the roles that moved, and the discrepancies."""
    switches = MidlConfig(**midl)  # type: ignore[arg-type]
    settings: dict[str, object] = {**TINY, "detector": name, "steps": steps, "lambda_": lambda_, "augment": False}
    config = TrainConfig(**settings, midl=switches)  # type: ignore[arg-type]
    detector = tiny(name, midl=switches).train()
    spread_classifiers(detector, 0.05)
    batch = first_batch(detector, config, stage, images, pool)
    objective = Objective(detector, config)
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-3, weight_decay=0.1)
    freeze_for(detector, Stage.LABELED)  # momentum of a stage before must not move what is frozen later
    objective(StepBatch(0, Stage.LABELED, batch.labeled, None))["total"].backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    freeze_for(detector, stage)
    before = weights(detector)
    seen = []
    for _ in range(steps):
        losses = objective(batch)
        losses["total"].backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seen.append(losses["discrepancy"].item())
    return moved(before, weights(detector)), seen


def first_batch(
    detector: MidlDetector, config: TrainConfig, stage: Stage, images: list[LabeledImage], pool: list[Path]
) -> StepBatch:
    """The batches of the first step of a run that has this stage alone."""
    spans = [StageSpan(stage, 0, config.steps)]
    masks = detector.makes_masks
    return BatchLoader(config, images, pool, spans=spans, divisor=detector.size_divisor, masks=masks).load(0)


def gradients(detector: MidlDetector, total: torch.Tensor) -> dict[ParameterRole, list[torch.Tensor | None]]:
    """The gradient of each parameter, by role; the detector keeps none."""
    total.backward()
    roles = detector.modules_by_role()
    found = {role: [p.grad for m in modules for p in m.parameters()] for role, modules in roles.items()}
    detector.zero_grad(set_to_none=True)
    return found


def test_every_parameter_has_one_role(name: str) -> None:
    detector = tiny(name)
    named = [id(p) for modules in detector.modules_by_role().values() for m in modules for p in m.parameters()]
    assert sorted(named) == sorted(id(p) for p in detector.parameters())


def test_objectness_over_the_largest_logits_alone(name: str) -> None:
    detector = tiny(name)
    with torch.no_grad():
        instances = run(detector)
        boxes = [torch.tensor([[8.0, 8.0, 40.0, 40.0]]), torch.zeros(0, 4)]
        every = bag_weights(instances, MidlConfig())
        few = bag_weights(instances, MidlConfig(objectness_instances=5))
        more = bag_weights(instances, MidlConfig(objectness_instances=10**6))
        assert torch.equal(more.p_obj, every.p_obj)
        assert (few.p_obj > 0).sum(dim=1).tolist() == [5, 5]
        assert not few.p_obj[~instances.valid].any()
        # The softmax of those five: their shares of one another are what they were.
        kept = every.p_obj * (few.p_obj > 0)
        torch.testing.assert_close(few.p_obj, kept / kept.sum(dim=1, keepdim=True))
        assert kept.amax(dim=1).tolist() == every.p_obj.amax(dim=1).tolist()
        # The boxes train all instances, wherever an object's own are not among the largest.
        losses = [bag_objectness_loss(instances, MidlConfig(), boxes, weights) for weights in (every, few)]
        assert torch.equal(*losses)


def test_as_printed_maximizing_moves_the_classifiers_alone(
    name: str, images: list[LabeledImage], pool: list[Path]
) -> None:
    changed, seen = run_stage(
        name, Stage.MAXIMIZE, images, pool, steps=12, lambda_=100, labeled_trains_all=False, discrepancy_cap=None
    )
    assert changed == {"classifiers", "mil"}
    assert seen[-1] > 2 * seen[0]


def test_as_printed_minimizing_moves_all_but_the_classifiers(
    name: str, images: list[LabeledImage], pool: list[Path]
) -> None:
    changed, seen = run_stage(name, Stage.MINIMIZE, images, pool, steps=8, lambda_=1000, labeled_trains_all=False)
    assert changed == {"features", "regressor", "mil"}
    assert seen[-1] < 0.8 * seen[0]


@pytest.mark.parametrize("stage", [Stage.MAXIMIZE, Stage.MINIMIZE])
def test_labeled_images_train_all_and_unlabeled_ones_what_their_stage_moves(
    name: str, stage: Stage, images: list[LabeledImage], pool: list[Path]
) -> None:
    changed, _ = run_stage(name, stage, images, pool, steps=2, lambda_=10)
    assert changed == {"features", "classifiers", "regressor", "mil"}

    found = []
    detector = tiny(name).train()
    spread_classifiers(detector, 0.05)
    for lambda_ in (0.0, 1000.0):
        settings: dict[str, object] = {**TINY, "detector": name, "steps": 1, "lambda_": lambda_, "augment": False}
        config = TrainConfig(**settings, midl=MidlConfig(discrepancy_cap=None))  # type: ignore[arg-type]
        freeze_for(detector, stage)
        batch = first_batch(detector, config, stage, images, pool)
        found.append(gradients(detector, Objective(detector, config)(batch)["total"]))
    without, with_discrepancy = found
    assert all(gradient is not None for gradient in without["regressor"])
    same = {
        role: all(
            (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b))
            for a, b in zip(without[role], with_discrepancy[role], strict=True)
        )
        for role in without
    }
    moved_by_it = "classifiers" if stage is Stage.MAXIMIZE else "features"
    assert {role for role, alike in same.items() if not alike} == {moved_by_it}


def test_maximizing_stops_at_the_cap(name: str, images: list[LabeledImage], pool: list[Path]) -> None:
    detector = tiny(name).train()
    spread_classifiers(detector, 0.05)
    freeze_for(detector, Stage.MAXIMIZE)

    def of_classifiers(lambda_: float, cap: float | None) -> list[torch.Tensor | None]:
        settings: dict[str, object] = {**TINY, "detector": name, "steps": 1, "lambda_": lambda_, "augment": False}
        config = TrainConfig(**settings, midl=MidlConfig(discrepancy_cap=cap))  # type: ignore[arg-type]
        losses = Objective(detector, config)(first_batch(detector, config, Stage.MAXIMIZE, images, pool))
        assert 1e-9 < losses["discrepancy"].item() < 0.5
        return gradients(detector, losses["total"])["classifiers"]

    def alike(a: list[torch.Tensor | None], b: list[torch.Tensor | None]) -> bool:
        return all(x is not None and y is not None and torch.equal(x, y) for x, y in zip(a, b, strict=True))

    without, below = of_classifiers(0.0, None), of_classifiers(1000.0, 0.5)
    assert alike(of_classifiers(1000.0, 1e-9), without)
    assert not alike(below, without)
    assert alike(below, of_classifiers(1000.0, None))


def test_labeled_steps_move_everything(name: str, images: list[LabeledImage], pool: list[Path]) -> None:
    changed, _ = run_stage(name, Stage.LABELED, images, pool, steps=1, lambda_=10)
    assert changed == {"features", "classifiers", "regressor", "mil"}


def without_boxes(image: LabeledImage) -> LabeledImage:
    return LabeledImage(image.path, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), image.name)


@pytest.mark.parametrize("case", ["one class", "no boxes at all", "some images empty", "one image", "all labeled"])
def test_edge_cases_train_without_nan(
    tmp_path: Path, images: list[LabeledImage], pool: list[Path], name: str, case: str
) -> None:
    labeled = {
        "one class": [image for image in images if image.labels[0] == 0],
        "no boxes at all": [without_boxes(image) for image in images],
        "some images empty": [without_boxes(image) if i % 2 else image for i, image in enumerate(images)],
        "one image": images[1:2],
        "all labeled": images,
    }[case]
    reports = go(tmp_path, labeled, [] if case == "all labeled" else pool, detector=name, steps=STEPS)
    assert all(np.isfinite(value) for r in reports for value in r.losses.values())
    assert {r.stage for r in reports} == ({"labeled"} if case == "all labeled" else {"labeled", "maximize", "minimize"})


def test_a_few_images_are_learned(tmp_path: Path, name: str) -> None:
    made = write_images(tmp_path, 8, size_wh=(96, 96), rng=np.random.default_rng(3), side=28)
    steps = {"ssd300": 30}.get(name, 110)  # SSD learns squares of 96 px sooner: it sees them at 300
    config = TrainConfig(detector=name, steps=steps, batch_size=4, warmup_steps=10, augment=False, method="plain")
    result = train(config, categories=CATEGORIES, labeled=made, unlabeled=[], held_out=made, output=tmp_path / "out")
    assert result.ap50 is not None
    assert result.ap50 > 0.9
    best = Scorer(tmp_path / "out").score([made[0].path])[0]
    np.testing.assert_allclose(best.boxes_xyxy[0], made[0].boxes_xyxy[0], atol=6)
    masks = result.metrics["mask_AP50"]
    assert (masks is not None) == tiny(name).makes_masks
    assert masks is None or masks > 0.9
