"""The vector of an image, the doubts about its boxes, and what each instance had to say of it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from detector_data import CATEGORIES, write_images
from detector_runs import go, spread_classifiers, tiny

from detectors.backbones import LEVEL_STRIDES
from detectors.checkpoint import LoadedDetector
from detectors.classification_uncertainty import classification_uncertainty
from detectors.config import MidlConfig
from detectors.data import LabeledImage, load_sample
from detectors.image_features import EMBEDDING_DIM, image_embeddings, projection
from detectors.inference import ScoredBatch, Scorer
from detectors.mask_rcnn import ProposalBags
from detectors.midl.bags import bag_weights, top_k_uncertainty
from detectors.registry import detector_names
from detectors.ssd_levels import SIDE


@pytest.fixture(params=detector_names())
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    return request.param  # type: ignore[no-any-return]


def scorer_of(name: str, **midl: object) -> Scorer:
    detector = tiny(name, midl=MidlConfig(**midl))  # type: ignore[arg-type]
    spread_classifiers(detector, 0.3)
    return Scorer(LoadedDetector(detector.eval(), CATEGORIES, None, ""))


def feature_of(name: str, scored: ScoredBatch, i: int) -> np.ndarray:
    """The feature of one valid instance of a batch's first image, found from where its anchor stands."""
    if name == "mask-rcnn":
        assert isinstance(scored.instances, ProposalBags)
        return scored.instances.regions[0][i].numpy()
    x1, y1, x2, y2 = scored.instances.priors[0, i].tolist()
    height, width = scored.batch.sizes_hw[0].tolist()
    rows = [level.shape[2] * level.shape[3] for level in scored.features]
    anchors = [9] * 5 if name == "retinanet" else [4, 6, 6, 6, 4, 4]
    level = int(np.searchsorted(np.cumsum([n * a for n, a in zip(rows, anchors, strict=True)]), i, side="right"))
    if name == "retinanet":
        step_x = step_y = float(LEVEL_STRIDES[level])
    else:
        step = (8, 16, 32, 64, 100, 300)[level]
        step_x, step_y = step / SIDE * width, step / SIDE * height
    column, row = int((x1 + x2) / 2 / step_x), int((y1 + y2) / 2 / step_y)
    cell = scored.features[level][0, :, row, column].numpy()
    if name == "retinanet":
        return cell
    blocks = [np.zeros(one.shape[1]) for one in scored.features]
    blocks[level] = cell
    return np.concatenate(blocks)


def test_objects_are_weighted_by_objectness_and_class_probability(images: list[LabeledImage], name: str) -> None:
    """Against one instance at a time, with class probabilities that do not sum to 1."""
    scorer = scorer_of(name, class_probability="sigmoid")
    scored = scorer.run([load_sample(images[0].path)])
    weights = bag_weights(scored.instances, scorer.midl)
    objects, scene = 0.0, 0.0
    valid = scored.instances.valid[0].nonzero().flatten().tolist()
    for i in valid:
        g = feature_of(name, scored, i).astype(np.float64)
        objects = objects + weights.p_obj[0, i].item() * sum(weights.p_cls[0, i].tolist()) * g
        scene = scene + g / len(valid)
    blocks = (objects, scored.bags.class_probabilities[0].numpy(), scene)
    joined = np.concatenate([block / np.linalg.norm(block) for block in blocks])
    expected = joined @ projection(len(joined)).numpy()
    embedded = image_embeddings(scorer.detector, scored.features, scored.instances, scored.bags)
    assert embedded.shape == (1, EMBEDDING_DIM)
    np.testing.assert_allclose(embedded[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_images_with_objects_of_one_class_are_nearer(tmp_path: Path) -> None:
    made = {}
    for part, count, seed in (("labeled", 8, 1), ("other", 12, 2)):
        (tmp_path / part).mkdir()
        made[part] = write_images(tmp_path / part, count, size_wh=(96, 64), rng=np.random.default_rng(seed))
    go(tmp_path / "detector", made["labeled"], [i.path for i in made["other"]], steps=60, weights="embedded")
    scores = Scorer(tmp_path / "detector").score([image.path for image in made["other"]])
    embeddings = np.stack([score.embedding for score in scores])
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)
    labels = np.array([image.labels[0] for image in made["other"]])
    distances = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2)
    same = (labels[:, None] == labels[None]) & ~np.eye(len(labels), dtype=bool)
    nearest = np.where(np.eye(len(labels), dtype=bool), np.inf, distances).argmin(axis=1)
    assert (labels[nearest] == labels).all()
    assert distances[labels[:, None] != labels[None]].mean() > 1.5 * distances[same].mean()


def test_projection_keeps_lengths_within_its_space() -> None:
    columns = projection(300)
    torch.testing.assert_close(columns.T @ columns, torch.eye(EMBEDDING_DIM), atol=1e-5, rtol=0)
    narrow = projection(100)
    torch.testing.assert_close(narrow @ narrow.T, torch.eye(100))


def test_doubts_of_known_boxes() -> None:
    assert vars(classification_uncertainty(torch.zeros(0, 3), "softmax")) == {
        "entropy": 0.0, "margin": 0.0, "least_confidence": 0.0,
    }  # fmt: skip
    sure = classification_uncertainty(torch.tensor([[1.0, 0.0, 0.0]]), "softmax")
    assert (sure.entropy, sure.margin, sure.least_confidence) == (0.0, 0.0, 0.0)
    # One box over background and three classes: 0.5, 0.25, 0.25, 0; the second, surer box changes nothing.
    torn = classification_uncertainty(torch.tensor([[0.25, 0.25, 0.0], [0.0, 0.0, 1.0]]), "softmax")
    assert torn.entropy == pytest.approx(1.5 * np.log(2) / np.log(4))
    assert torn.margin == pytest.approx(0.75)
    assert torn.least_confidence == pytest.approx(0.5 * 4 / 3)
    # Each class by itself: background is 1 - 0.6, and the row 0.4, 0.6, 0.6 is normalised by 1.6.
    two = classification_uncertainty(torch.tensor([[0.6, 0.6]]), "sigmoid")
    assert two.margin == pytest.approx(1.0)
    assert two.least_confidence == pytest.approx((1 - 0.6 / 1.6) * 3 / 2)
    # A box that is almost surely background raises little doubt.
    assert classification_uncertainty(torch.tensor([[0.05]]), "sigmoid").least_confidence == pytest.approx(0.1)


def test_top_k_is_the_mean_of_the_highest_or_of_all_there_are() -> None:
    u = torch.tensor([[[0.4, 0.2], [0.1, 0.1], [0.9, 0.7]], [[0.2, 0.2], [0.6, 0.6], [0.9, 0.9]]])
    valid = torch.tensor([[True, True, True], [True, False, False]])
    assert top_k_uncertainty(u, valid, k=2).tolist() == pytest.approx([(0.3 + 0.8) / 2, 0.2])
    assert top_k_uncertainty(u, valid, k=5).tolist() == pytest.approx([(0.3 + 0.1 + 0.8) / 3, 0.2])
    assert top_k_uncertainty(u[:, :0], valid[:, :0]).tolist() == [0, 0]


@pytest.mark.parametrize("objectness", ["learned", "uniform"])
def test_an_explanation_adds_up_to_the_score(images: list[LabeledImage], name: str, objectness: str) -> None:
    scorer = scorer_of(name, objectness=objectness)
    scorer.image_size = 80
    explanation = scorer.explain(images[0].path)
    score = scorer.score([images[0].path])[0]
    assert explanation.score.uncertainty == pytest.approx(score.uncertainty, rel=1e-4)
    product = explanation.uncertainties * explanation.objectness
    assert product.sum() == pytest.approx(score.uncertainty, rel=1e-3)
    assert explanation.objectness.sum() == pytest.approx(1, rel=1e-4)
    boxes = explanation.footprints_xyxy
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert centres.min() >= 0
    assert (centres <= [96 + 4, 64 + 4]).all(), "in pixels of the file; SSD's grids reach a little beyond it"


def test_the_cells_of_a_level_tile_the_image(images: list[LabeledImage]) -> None:
    scorer = scorer_of("retinanet")
    scored = scorer.run([load_sample(images[0].path)])
    cells = scorer.detector.footprints(scored.features, scored.instances)[0].reshape(-1, 9, 4)
    assert cells[0].tolist() == [[0, 0, 8, 8]] * 9
    assert cells[1].tolist() == [[8, 0, 16, 8]] * 9
    assert cells[12].tolist() == [[0, 8, 8, 16]] * 9
    ssd = scorer_of("ssd300")
    scored = ssd.run([load_sample(images[0].path)])
    cells = ssd.detector.footprints(scored.features, scored.instances)[0]
    assert cells[-1].tolist() == pytest.approx([0, 0, 96, 64], abs=1e-3)
    assert cells[0].tolist() == pytest.approx([0, 0, 8 / 300 * 96, 8 / 300 * 64], abs=1e-3)


def test_parts_of_a_batch_keep_their_regions(images: list[LabeledImage]) -> None:
    detector = scorer_of("mask-rcnn")
    scored = detector.run([load_sample(image.path) for image in images[:3]])
    bags = scored.instances
    assert isinstance(bags, ProposalBags)
    part = bags[1:]
    assert isinstance(part, ProposalBags)
    assert [rows.data_ptr() for rows in part.regions] == [rows.data_ptr() for rows in bags.regions[1:]]
    assert replace(bags).regions is bags.regions
