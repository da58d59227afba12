import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from detector_data import CATEGORIES
from detector_runs import boxes_alone, spread_classifiers, tiny
from PIL import Image

from detectors.checkpoint import LoadedDetector, load_detector, save_detector
from detectors.config import MidlConfig, TrainConfig
from detectors.data import LabeledImage, Sample
from detectors.embedding import Embedder
from detectors.evaluation import average_precision, evaluate, evaluate_mil
from detectors.inference import ImageScore, ScoredBatch, Scorer
from detectors.model import Detections
from detectors.postprocess import weighed_by_image

CONFIG = TrainConfig(weights="none", steps=1, warmup_steps=0)


@pytest.fixture
def loaded() -> LoadedDetector:
    detector = tiny("retinanet")
    spread_classifiers(detector, 0.3)
    return LoadedDetector(detector.eval(), CATEGORIES, None, "")


def test_boxes_lie_in_the_file(images: list[LabeledImage], loaded: LoadedDetector) -> None:
    small = LoadedDetector(loaded.detector, loaded.categories, 48, "")
    printed = MidlConfig(given_object=False)  # which max_uncertainty always is
    score = Scorer(small, score_threshold=0.0, max_boxes=20, midl=printed).score([images[0].path])[0]
    assert score.boxes_xyxy.shape == (20, 4)
    assert score.boxes_xyxy.min() >= 0
    assert score.boxes_xyxy[:, 2].max() == pytest.approx(96, abs=1e-3)
    assert score.boxes_xyxy[:, 3].max() == pytest.approx(64, abs=1e-3)
    assert (np.diff(score.scores) <= 0).all()
    assert score.max_uncertainty >= score.box_uncertainties.max() > 0
    assert score.class_probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_boxes_are_weighed_by_the_classes_of_their_image(images: list[LabeledImage], loaded: LoadedDetector) -> None:
    """Eq. 8 changes the scores of the boxes, by hand here, and neither the boxes nor any uncertainty."""
    paths = [image.path for image in images]
    alone = Scorer(loaded, score_threshold=0.0, midl=MidlConfig(image_class_exponent=0)).score(paths)
    weighed = Scorer(loaded, score_threshold=0.0, midl=MidlConfig(image_class_exponent=0.5)).score(paths)
    turned = False
    for before, after in zip(alone, weighed, strict=True):
        wanted = before.scores * before.class_probabilities[before.labels] ** 0.5
        order = np.argsort(-wanted, kind="stable")
        np.testing.assert_allclose(after.scores, wanted[order], rtol=1e-5)
        np.testing.assert_array_equal(after.boxes_xyxy, before.boxes_xyxy[order])
        np.testing.assert_array_equal(after.labels, before.labels[order])
        np.testing.assert_array_equal(after.box_uncertainties, before.box_uncertainties[order])
        turned |= bool((np.diff(order) < 0).any())
        for name in ("uncertainty", "printed_uncertainty", "entropy", "margin", "least_confidence"):
            assert getattr(after, name) == getattr(before, name), name
    assert turned, "no image in which the classes of the image change the order of its boxes"


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(weights="none", steps=1, warmup_steps=0, method="plain"),
        TrainConfig(weights="none", steps=1, warmup_steps=0, midl=MidlConfig(mil_weight=0)),
    ],
    ids=["plain", "without MIL loss"],
)
def test_a_head_that_was_not_trained_has_no_say(
    tmp_path: Path, images: list[LabeledImage], loaded: LoadedDetector, config: TrainConfig
) -> None:
    save_detector(tmp_path, loaded.detector, config, categories=CATEGORIES, labels_sha256="")
    score = Scorer(tmp_path, score_threshold=0.0).score([images[0].path])[0]
    alone = Scorer(loaded, score_threshold=0.0, midl=MidlConfig(image_class_exponent=0)).score([images[0].path])[0]
    np.testing.assert_array_equal(score.scores, alone.scores)
    save_detector(tmp_path, loaded.detector, CONFIG, categories=CATEGORIES, labels_sha256="")
    assert not np.array_equal(Scorer(tmp_path, score_threshold=0.0).score([images[0].path])[0].scores, alone.scores)


def test_masks_stay_with_their_boxes() -> None:
    masks = torch.arange(2.0).reshape(2, 1, 1)
    found = Detections(torch.eye(2, 4), torch.tensor([0, 1]), torch.tensor([0.9, 0.8]), torch.tensor([7, 3]), masks)
    weighed = weighed_by_image(found, torch.tensor([0.01, 0.81]), 0.5)
    assert weighed.scores.tolist() == pytest.approx([0.72, 0.09])
    assert weighed.masks is not None
    assert (weighed.labels.tolist(), weighed.instances.tolist(), weighed.masks.flatten().tolist()) == (
        [1, 0],
        [3, 7],
        [1, 0],
    )
    assert torch.equal(weighed.boxes, found.boxes.flip(0))


def test_pickles_are_not_read(tmp_path: Path, loaded: LoadedDetector) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.json is missing"):
        load_detector(tmp_path)
    save_detector(tmp_path, loaded.detector, CONFIG, categories=CATEGORIES, labels_sha256="")
    (tmp_path / "weights.safetensors").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(Exception, match=r"(?i)header"):
        load_detector(tmp_path)


def test_nothing_to_score(loaded: LoadedDetector) -> None:
    assert Scorer(loaded).score([]) == []


class _Oracle(Scorer):
    """A scorer that answers with the labels, to measure the measurement."""

    def __init__(self, loaded: LoadedDetector, images: list[LabeledImage], *, shift: float) -> None:
        super().__init__(loaded)
        self._answers = {image.path: image for image in images}
        self._shift = shift

    def score(self, paths) -> list[ImageScore]:  # type: ignore[no-untyped-def]
        found = [self._answers[path] for path in paths]
        return [boxes_alone(f.boxes_xyxy + np.float32(self._shift), f.labels) for f in found]


def test_average_precision_of_known_answers(images: list[LabeledImage], loaded: LoadedDetector) -> None:
    perfect = evaluate(_Oracle(loaded, images, shift=0), images, CATEGORIES)
    assert perfect["AP"] == perfect["AP50"] == perfect["AP75"] == pytest.approx(1)
    assert perfect["AP_per_class"] == {"bright": pytest.approx(1), "dark": pytest.approx(1)}
    # 24 px boxes shifted by 3 px in x and y: IoU = 21^2 / (2 * 24^2 - 21^2) = 0.62, a hit at 0.50 to 0.60 only.
    shifted = evaluate(_Oracle(loaded, images, shift=3), images, CATEGORIES)
    assert shifted["AP50"] == pytest.approx(1)
    assert shifted["AP75"] == 0
    assert shifted["AP"] == pytest.approx(0.3, abs=1e-3)


def test_average_precision_by_size_of_object(images: list[LabeledImage], loaded: LoadedDetector) -> None:
    """A small bright object that is found, a medium dark one that is missed, none that is large."""
    boxes = np.array([[0, 0, 20, 20], [0, 0, 60, 60]], np.float32)
    truth = LabeledImage(images[0].path, boxes, np.array([0, 1]), "two sizes")
    answer = LabeledImage(images[0].path, boxes[:1], np.array([0]), "the small one")
    measured = evaluate(_Oracle(loaded, [answer], shift=0), [truth], CATEGORIES)
    sizes = [measured[f"AP_{size}"] for size in ("small", "medium", "large")]
    assert sizes == [pytest.approx(1), 0, None]
    assert measured["AP_per_class"] == {"bright": pytest.approx(1), "dark": 0}
    assert measured["AP_small_per_class"] == {"bright": pytest.approx(1), "dark": None}
    assert measured["AP_medium_per_class"] == {"bright": None, "dark": 0}
    assert measured["AP_large_per_class"] == {"bright": None, "dark": None}


def test_nothing_to_measure_is_none(images: list[LabeledImage], loaded: LoadedDetector) -> None:
    empty = LabeledImage(images[0].path, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), "empty")
    nothing = evaluate(loaded, [empty], CATEGORIES)
    assert nothing["AP"] is nothing["AP_small"] is None
    assert nothing["AP_small_per_class"] == {}
    assert evaluate(loaded, [], CATEGORIES)["AP50"] is None
    assert evaluate_mil(loaded, [empty]) == {"objectness_mass_ratio": None, "image_AP": None}
    with pytest.raises(ValueError, match="bright"):
        evaluate(loaded, images, ["dark", "bright"])


def test_mass_ratio_of_an_untrained_detector_is_about_chance(
    images: list[LabeledImage], loaded: LoadedDetector
) -> None:
    ratio = evaluate_mil(loaded, images)["objectness_mass_ratio"]
    assert ratio is not None
    assert 0 < ratio < 5


def test_average_precision_of_a_ranking() -> None:
    scores, truth = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    assert average_precision(scores, truth) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.zeros(4), truth) == pytest.approx((1 / 3 + 2 / 4) / 2)


def test_embeddings_are_unit_vectors_and_the_same_each_time(images: list[LabeledImage]) -> None:
    paths = [image.path for image in images]
    first, second = Embedder(dim=16).embed(paths), Embedder(dim=16).embed(paths[::-1])[::-1]
    assert first.shape == (8, 16)
    assert first.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(first, second, atol=1e-6)
    likeness = first @ first.T
    same = np.array([[a.labels[0] == b.labels[0] for b in images] for a in images])
    assert likeness[same & ~np.eye(8, dtype=bool)].mean() > likeness[~same].mean()
    assert Embedder(dim=None).embed(paths[:1]).shape == (1, 472)
    assert Embedder(dim=4).embed([]).shape == (0, 4)


class Counted(list[Path]):
    """Paths that know how many of them were asked for."""

    asked = 0

    def __iter__(self) -> Iterator[Path]:
        for path in super().__iter__():
            self.asked += 1
            yield path


def test_images_of_many_sizes_do_not_wait_for_each_other_without_end(tmp_path: Path, loaded: LoadedDetector) -> None:
    paths = Counted()
    for number in range(40):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", (32 * (number + 1), 8), (number, 9, 9)).save(paths[-1])
    batches: list[int] = []

    class Watched(Scorer):
        def run(self, samples: Sequence[Sample]) -> ScoredBatch:
            batches.append(paths.asked)
            return super().run(samples)

    scores = Watched(loaded, batch_size=2).score(paths)
    assert batches[0] < 30  # sixteen wait, and a few are read ahead
    alone = Scorer(loaded).score([paths[7]])[0]
    assert scores[7].uncertainty == pytest.approx(alone.uncertainty, rel=1e-4)
