import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from detector_data import CATEGORIES, write_images
from detector_runs import TINY, go
from PIL import Image
from safetensors.torch import load_file

from detectors.backbones import build_trunk
from detectors.checkpoint import load_detector
from detectors.config import MidlConfig, TrainConfig
from detectors.data import LabeledImage
from detectors.midl import Stage, StageSpan
from detectors.runlog import RunLog
from detectors.training import FinishedDetectorError, NonFiniteLossError, StepReport, train


def test_a_run_writes_its_files(tmp_path: Path, images: list[LabeledImage], pool: list[Path]) -> None:
    reports = go(tmp_path, images, pool)
    assert [r.step for r in reports] == list(range(1, 14))
    assert [r.stage for r in reports].count("maximize") == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "metrics.json", "weights.safetensors"]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["images"] == {"labeled": 8, "unlabeled": 8, "held_out": 1}
    assert [s["stage"] for s in metrics["stages"]] == ["labeled", "maximize", "minimize"] * 2 + ["labeled"]
    assert metrics["AP50"] is not None
    assert any("raised the discrepancy" in note for note in metrics["notes"])
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["labels_sha256"] == "feed"
    assert config["categories"] == list(CATEGORIES)
    assert load_detector(tmp_path).categories == CATEGORIES


def test_two_runs_are_equal_bit_for_bit(tmp_path: Path, images: list[LabeledImage], pool: list[Path]) -> None:
    for name in ("a", "b"):
        go(tmp_path / name, images, pool, steps=6)
    assert (tmp_path / "a/weights.safetensors").read_bytes() == (tmp_path / "b/weights.safetensors").read_bytes()
    go(tmp_path / "c", images, pool, steps=6, seed=1)
    assert (tmp_path / "a/weights.safetensors").read_bytes() != (tmp_path / "c/weights.safetensors").read_bytes()


@pytest.mark.parametrize(
    "midl",
    [
        MidlConfig(class_probability="uniform", objectness="uniform"),
        MidlConfig(class_probability="sigmoid", tie_objectness=False),
        MidlConfig(objectness="uniform", mil_on_unlabeled=False, delta_fg=-1.0),
        MidlConfig(objectness_instances=20, pseudo_label_score=0.1),
        MidlConfig(objectness_from_boxes=True, mil_moves_features=False, image_score="max"),
    ],
)
def test_every_switch_trains(tmp_path: Path, images: list[LabeledImage], pool: list[Path], midl: MidlConfig) -> None:
    assert len(go(tmp_path, images, pool, midl=midl)) == 13


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_needs_a_gpu(
    tmp_path: Path, images: list[LabeledImage], monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=f"^precision {precision} needs a GPU, .*: choose auto or 32-true$"):
        go(tmp_path / "run", images, [], steps=1, precision=precision)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("gpu", "accelerator"), [(False, "cpu"), (True, "cuda")])
def test_training_takes_a_gpu_of_cuda_or_the_cpu(
    tmp_path: Path, images: list[LabeledImage], monkeypatch: pytest.MonkeyPatch, gpu: bool, accelerator: str
) -> None:
    """Another that Fabric might find, such as an Apple GPU, lacks float64."""

    class AcceleratorError(Exception):
        pass

    def fabric(*, accelerator: str, **_: object) -> None:
        raise AcceleratorError(accelerator)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr("detectors.training.Fabric", fabric)
    with pytest.raises(AcceleratorError, match=f"^{accelerator}$"):
        go(tmp_path / "run", images, [], steps=1, precision="32-true")


def test_a_role_learns_at_its_own_rate(tmp_path: Path, images: list[LabeledImage], pool: list[Path]) -> None:
    def moved(name: str, **options: object) -> dict[str, float]:
        """How far each part gets from its start in one step, on average over its weights."""
        go(tmp_path / name, images, pool, steps=1, weight_decay=0, **options)
        trained = load_file(tmp_path / name / "weights.safetensors")
        start = load_file(tmp_path / "start/weights.safetensors")
        parts = {"f1": "f1.", "regressor": "regressor.", "mil": "mil.", "backbone": "backbone."}
        return {
            part: torch.cat([(trained[n] - start[n]).abs().flatten() for n in trained if n.startswith(prefix)])
            .mean()
            .item()
            for part, prefix in parts.items()
        }

    go(tmp_path / "start", images, pool, steps=1, weight_decay=0, lr=1e-12)
    alike = moved("alike", lr=1e-3)
    apart = moved("apart", lr=1e-3, lr_factors={"mil": 0.1, "classifiers": 2.0})
    ratios = {part: apart[part] / alike[part] for part in alike}
    assert ratios == pytest.approx({"f1": 2, "regressor": 1, "mil": 0.1, "backbone": 1}, rel=0.01)


def test_a_training_goes_on_from_a_detector(tmp_path: Path, images: list[LabeledImage], pool: list[Path]) -> None:
    go(tmp_path / "first", images[:4], pool, steps=6)
    go(tmp_path / "anew", images, pool, steps=1, lr=1e-12)
    start = str(tmp_path / "first")
    go(tmp_path / "on", images, pool, steps=1, lr=1e-12, start_from=start)
    first, on, anew = (load_file(tmp_path / name / "weights.safetensors") for name in ("first", "on", "anew"))
    assert all(torch.allclose(on[name], first[name], atol=1e-6) for name in first)
    assert not all(torch.allclose(anew[name], first[name], atol=1e-6) for name in first)
    # No other weights are looked for.
    go(tmp_path / "more", images, pool, steps=1, lr=1e-12, start_from=start, weights="imagenet")
    more = load_file(tmp_path / "more/weights.safetensors")
    assert all(torch.equal(more[name], on[name]) for name in on)
    configs = [json.loads((tmp_path / name / "config.json").read_text()) for name in ("first", "more")]
    assert configs[0]["normalization"] == configs[1]["normalization"]
    # Where the first one lies does not matter, what it learned does: the run is known again, or not.
    (tmp_path / "first").rename(tmp_path / "moved")
    moved = str(tmp_path / "moved")
    assert go(tmp_path / "on", images, pool, steps=1, lr=1e-12, start_from=moved) == []
    with pytest.raises(FinishedDetectorError):
        go(tmp_path / "on", images, pool, steps=1, lr=1e-12, start_from=str(tmp_path / "anew"))


def test_what_a_training_cannot_start_from(tmp_path: Path, images: list[LabeledImage], pool: list[Path]) -> None:
    go(tmp_path / "first", images, pool, steps=1)
    start = str(tmp_path / "first")
    for change, wanted in (
        ({"detector": "ssd300"}, "its detector must be the same, ssd300, but is retinanet"),
        ({"backbone": "resnet18", "weights": "none"}, "its backbone must be the same, resnet18, but is"),
    ):
        with pytest.raises(ValueError, match=wanted):
            go(tmp_path / "second", images, pool, start_from=start, **change)
    with pytest.raises(ValueError, match="its categories must be the same, cat, but is"):
        train(
            TrainConfig(start_from=start),
            categories=["cat"],
            labeled=[LabeledImage(images[0].path, images[0].boxes_xyxy[:0], images[0].labels[:0], "a")],
            unlabeled=[],
            held_out=[],
            output=tmp_path / "second",
        )
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.1, got \[2\]"):
        train(
            TrainConfig(),
            categories=CATEGORIES,
            labeled=images,
            unlabeled=[],
            held_out=[LabeledImage(images[0].path, images[0].boxes_xyxy[:1], np.array([2]), "a")],
            output=tmp_path / "second",
        )
    with pytest.raises(ValueError, match="needs a folder of its own"):
        go(tmp_path / "first", images, pool, start_from=start)
    with pytest.raises(FileNotFoundError, match="holds no trained detector"):
        go(tmp_path / "second", images, pool, start_from=str(tmp_path))
    assert not (tmp_path / "second").exists()


def test_memory_that_is_lacking_between_steps_is_said_in_one_line(
    tmp_path: Path, images: list[LabeledImage], pool: list[Path]
) -> None:
    def full(report: StepReport) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(MemoryError, match=r"out of GPU memory outside the steps.*lower batch_size"):
        go(tmp_path, images, pool, steps=2, on_step=full)


def test_labels_that_no_anchor_reaches_are_said(tmp_path: Path, pool: list[Path]) -> None:
    Image.new("RGB", (1200, 900)).save(tmp_path / "large.png")
    boxes = np.array([[0, 0, 1100, 800], [0, 0, 50, 50]], np.float32)
    large = [LabeledImage(tmp_path / "large.png", boxes, np.array([0, 1]), "large.png")]

    def notes(folder: str, **values: object) -> list[str]:
        go(tmp_path / folder, large, pool, steps=1, method="plain", augment=False, **values)
        written: list[str] = json.loads((tmp_path / folder / "metrics.json").read_text())["notes"]
        return [note for note in written if "anchors" in note]

    assert notes("as it is") == [
        "1 of 2 labeled boxes are larger than anchors reach (575 px): train at a smaller image_size, "
        "or with an anchor_scale above 2"
    ]
    assert notes("smaller", image_size=600) == notes("larger anchors", anchor_scale=4.0) == []


def test_length_in_epochs_and_stages_of_ones_own(tmp_path: Path, images: list[LabeledImage], pool: list[Path]) -> None:
    stages = (("labeled", 1), ("maximize", 0.5), ("labeled", 0.5))
    reports = go(tmp_path, images, pool, epochs=2, stages=stages)  # 8 images in batches of 2
    assert [r.stage for r in reports] == ["labeled"] * 4 + ["maximize"] * 2 + ["labeled"] * 2
    assert {r.total_steps for r in reports} == {8}
    assert json.loads((tmp_path / "config.json").read_text())["train"]["steps"] == 8


def test_the_log_names_what_a_stage_leaves_fixed(tmp_path: Path, images: list[LabeledImage], pool: list[Path]) -> None:
    reports = go(tmp_path, images, pool)
    wanted = {"labeled": (), "maximize": ("backbone", "regressor"), "minimize": ("f1", "f2")}
    assert {r.stage: r.fixed for r in reports} == wanted
    stages = json.loads((tmp_path / "metrics.json").read_text())["stages"]
    assert {row["stage"]: tuple(row["fixed"]) for row in stages} == wanted


def test_averaged_weights_lag_behind_and_resume(tmp_path: Path, images: list[LabeledImage], pool: list[Path]) -> None:
    values: dict[str, object] = {"steps": 6, "checkpoint_every": 2}
    go(tmp_path / "last", images, pool, **values)
    go(tmp_path / "mean", images, pool, ema_decay=0.5, **values)

    def stop(step: StepReport) -> None:
        if step.step == 5:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        go(tmp_path / "stopped", images, pool, on_step=stop, ema_decay=0.5, **values)
    assert [r.step for r in go(tmp_path / "stopped", images, pool, ema_decay=0.5, **values)] == [6]
    last, mean, stopped = (load_file(tmp_path / name / "weights.safetensors") for name in ("last", "mean", "stopped"))
    assert all(torch.equal(mean[name], stopped[name]) for name in mean)
    distances = [(mean[name].float() - last[name].float()).abs().max().item() for name in mean]
    assert 0 < max(distances) < 0.1


def test_plain_training_has_one_stage_and_no_mil_loss(
    tmp_path: Path, images: list[LabeledImage], pool: list[Path]
) -> None:
    reports = go(tmp_path, images, pool, method="plain", optimizer="sgd", steps=3)
    assert {r.stage for r in reports} == {"labeled"}
    assert "mil" not in reports[0].losses


def test_no_unlabeled_images_fall_back_to_labeled_steps(tmp_path: Path, images: list[LabeledImage]) -> None:
    reports = go(tmp_path, images, [], steps=4)
    assert {r.stage for r in reports} == {"labeled"}
    assert "no unlabeled images" in json.loads((tmp_path / "metrics.json").read_text())["notes"][0]


def test_bad_data_is_refused(tmp_path: Path, images: list[LabeledImage]) -> None:
    config = TrainConfig(**{**TINY, "steps": 1})  # type: ignore[arg-type]
    for categories, labeled, message in (
        (["bright"], images, r"labels must be in 0\.\.0"),
        (["a", "a"], images, "each once"),
        (["a"], [], "at least one image"),
    ):
        with pytest.raises(ValueError, match=message):
            train(config, categories=categories, labeled=labeled, unlabeled=[], held_out=[], output=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_diverged_run_names_step_and_images(tmp_path: Path, images: list[LabeledImage]) -> None:
    with pytest.raises(NonFiniteLossError, match=r"step \d+ .*\.png"):
        go(tmp_path, images, [], optimizer="sgd", lr=1e30, steps=20, clip_norm=1e30)
    assert not (tmp_path / "metrics.json").exists()


def test_the_log_says_when_maximizing_does_not_raise_the_discrepancy() -> None:
    log = RunLog([StageSpan(Stage.MAXIMIZE, 0, 2), StageSpan(Stage.MAXIMIZE, 2, 4)])
    for step, value in enumerate([1e-4, 2e-3, 1e-3, 2e-3]):
        log.add(step, {"discrepancy": value, "total": 1.0}, 0.5)
    assert len(log.notes()) == 1
    assert "steps 3 to 4 raised the discrepancy 2.0 times" in log.notes()[0]
    assert log.stages()[0]["mean_losses"]["total"] == 1.0


def test_the_log_is_content_when_maximizing_reaches_the_cap() -> None:
    log = RunLog([StageSpan(Stage.MAXIMIZE, 0, 3)], discrepancy_cap=0.05)
    for step, value in enumerate([1e-2, 6e-2, 4e-2]):
        log.add(step, {"discrepancy": value, "total": 1.0}, 0.5)
    assert log.notes() == []


def test_a_resume_file_of_another_config_is_not_used(
    tmp_path: Path, images: list[LabeledImage], pool: list[Path]
) -> None:
    for name in ("other", "damaged"):
        (tmp_path / name).mkdir()
    torch.save({"fingerprint": "other", "step": 3}, tmp_path / "other/resume.pt")
    (tmp_path / "damaged/resume.pt").write_bytes(b"half a file")
    assert len(go(tmp_path / "other", images, pool, steps=4)) == 4
    assert len(go(tmp_path / "damaged", images, pool, steps=4)) == 4


def test_a_complete_run_is_neither_repeated_nor_written_over(
    tmp_path: Path, images: list[LabeledImage], pool: list[Path]
) -> None:
    assert len(go(tmp_path, images, pool, steps=2)) == 2
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert go(tmp_path, images, pool, steps=2) == []
    for labeled, unlabeled, steps in ((images, pool, 3), (images, pool[:-1], 2), (images[:-1], pool, 2)):
        with pytest.raises(FinishedDetectorError, match="give another name, or delete that folder"):
            go(tmp_path, labeled, unlabeled, steps=steps)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == written
    (tmp_path / "weights.safetensors").unlink()
    assert len(go(tmp_path, images[:-1], pool, steps=2)) == 2


def test_a_complete_run_is_known_again_where_its_images_were_moved_together(tmp_path: Path) -> None:
    output, rng = tmp_path / "run", np.random.default_rng(0)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    written = write_images(tmp_path / "a", 4, size_wh=(64, 64), rng=rng)
    assert len(go(output, written[:2], [image.path for image in written[2:]], steps=1)) == 1
    moved = [replace(image, path=image.path.rename(tmp_path / "b" / image.path.name)) for image in written]
    assert go(output, moved[:2], [image.path for image in moved[2:]], steps=1) == []
    with pytest.raises(FinishedDetectorError):
        go(output, moved[:2], [moved[3].path, moved[2].path], steps=1)


def test_ddp_trains_on_two_processes(tmp_path: Path, images: list[LabeledImage], pool: list[Path]) -> None:
    reports = go(tmp_path, images, pool, devices=2, steps=13)
    assert len(reports) == 13
    assert load_detector(tmp_path).categories == CATEGORIES


def test_an_error_in_a_process_of_ddp_reaches_the_caller(
    tmp_path: Path, images: list[LabeledImage], pool: list[Path]
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(pool[0].read_bytes()[:200])
    with pytest.raises(ValueError, match=r"cannot decode image .*broken\.png"):
        go(tmp_path / "run", images, [broken], devices=2, steps=13)
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_an_error_of_the_caller_does_not_stop_ddp_half_way(
    tmp_path: Path, images: list[LabeledImage], pool: list[Path]
) -> None:
    def fail(report: StepReport) -> None:
        raise BrokenPipeError(f"step {report.step}")

    with pytest.raises(BrokenPipeError, match="step 1"):
        go(tmp_path, images, pool, devices=2, steps=13, on_step=fail)
    assert json.loads((tmp_path / "metrics.json").read_text())["steps"] == 13


def test_other_weights_under_the_same_name_are_another_training(
    tmp_path: Path, images: list[LabeledImage], pool: list[Path]
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(build_trunk("efficientnet_lite0", "none").body.state_dict(), path)
    assert len(go(tmp_path / "run", images, pool, steps=2, weights=str(path))) == 2
    assert go(tmp_path / "run", images, pool, steps=2, weights=str(path)) == []
    torch.save(build_trunk("efficientnet_lite0", "none").body.state_dict(), path)
    with pytest.raises(FinishedDetectorError):
        go(tmp_path / "run", images, pool, steps=2, weights=str(path))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no weights file .*weights\.pth"):
        go(tmp_path / "run", images, pool, steps=2, weights=str(path))


def test_image_memory_changes_no_training(tmp_path: Path, images: list[LabeledImage], pool: list[Path]) -> None:
    assert len(go(tmp_path / "kept", images, pool, steps=3)) == 3
    assert len(go(tmp_path / "decoded", images, pool, steps=3, image_memory=0.0)) == 3
    assert go(tmp_path / "kept", images, pool, steps=3, image_memory=0.5) == []
    kept, decoded = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("kept", "decoded"))
    assert kept == decoded
