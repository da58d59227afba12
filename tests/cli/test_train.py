"""How a training is told what to do: presets, files and options."""

import json
import shutil
from pathlib import Path

import pytest
from commands import curate, one_line
from example import COLD, Example

from curate.cli.options import train_config
from curate.demo import cut_labels
from detectors.config import MidlConfig


@pytest.fixture
def workspace(example: Example, tmp_path: Path) -> Path:
    return shutil.copytree(example.workspace, tmp_path / "w")


def test_options_go_before_the_file_and_the_file_before_the_preset(
    example: Example, workspace: Path, tmp_path: Path
) -> None:
    file = tmp_path / "train.json"
    file.write_text(json.dumps({"batch_size": 2, "lambda_": 3, "midl": {"class_probability": "sigmoid"}}))
    options = ("--preset", "short", "--config", file, "--steps", 8, "--lambda", 2, "--ema", 0.9, "--name", "mine")
    done = curate("train", "--labels", example.labels, *options, "-w", workspace)
    assert "step 1: labeled\n" in done.stdout
    assert "maximize, fixed: backbone, regressor" in done.stdout
    assert "minimize, fixed: f1, f2" in done.stdout
    config = json.loads((workspace / "detectors/mine/config.json").read_text())["train"]
    assert (config["steps"], config["batch_size"], config["lambda_"], config["ema_decay"]) == (8, 2, 2, 0.9)
    assert config["midl"]["class_probability"] == "sigmoid"
    metrics = json.loads((workspace / "detectors/mine/metrics.json").read_text())
    assert [stage["stage"] for stage in metrics["stages"]] == ["labeled", "maximize", "minimize", "labeled"]
    again = ("--config", workspace / "detectors/mine/config.json", "--epochs", 1, "--name", "again")
    curate("train", *again, "-w", workspace)
    config = json.loads((workspace / "detectors/again/config.json").read_text())["train"]
    labeled = json.loads((workspace / "detectors/again/metrics.json").read_text())["images"]["labeled"]
    assert config["steps"] == -(-labeled // 2)
    assert config["midl"]["class_probability"] == "sigmoid"


def test_plain_training_by_a_preset(tmp_path: Path) -> None:
    """The method may stand in the file as well."""
    file = tmp_path / "plain.json"
    file.write_text(json.dumps({"method": "plain"}))
    config = train_config(1, preset="paper", method="plain")
    assert config == train_config(1, preset="paper", file=file)
    assert config is not None
    assert (config.backbone, config.optimizer, config.epochs, config.lambda_) == ("resnet50", "sgd", 26, None)
    assert config.midl == MidlConfig()


def test_a_detector_to_start_from(example: Example, workspace: Path) -> None:
    curate("train", "--labels", example.labels, "--steps", 2, "--name", "first", "-w", workspace)
    curate("train", "--steps", 2, "--name", "second", "--start-from", "first", "-w", workspace)
    config = json.loads((workspace / "detectors/second/config.json").read_text())["train"]
    assert Path(config["start_from"]) == workspace / "detectors/first"
    done = curate("score", example.videos, *COLD, "--steps", 2, "--start-from", "second", "-w", workspace)
    (third,) = {path.name for path in (workspace / "detectors").iterdir()} - {"first", "second"}
    assert f"ranked by {third}" in done.stdout
    config = json.loads((workspace / f"detectors/{third}/config.json").read_text())["train"]
    assert Path(config["start_from"]) == workspace / "detectors/second"
    line = one_line(curate("train", "--start-from", "third", "-w", workspace, code=2))
    assert line.startswith("curate: --start-from third: no trained detector of that name or path; there are ")
    line = one_line(curate("train", "--start-from", "first", "--detector", "ssd300", "-w", workspace, code=1))
    assert "its detector must be the same, ssd300, but is retinanet" in line


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_finished_detector_is_not_trained_over(example: Example, workspace: Path) -> None:
    train = ("train", "--batch-size", 2, "--name", "best", "-w", workspace)
    curate(*train, "--labels", example.labels, "--steps", 2)
    finished = files(workspace / "detectors/best")
    line = one_line(curate(*train, "--steps", 1, "--seed", 3, code=1))
    assert line.startswith(f"curate: --name best: {workspace / 'detectors/best'} holds a finished detector of other ")
    assert line.endswith("; give another name, or delete that folder")
    assert "was trained on the same labels and frames before" in curate(*train, "--steps", 2).stdout
    assert files(workspace / "detectors/best") == finished


def test_frames_that_are_added_make_another_detector_beside_the_first(example: Example, tmp_path: Path) -> None:
    """Training options ask for a training on the frames that are there; without any the newest detector will do."""
    videos, workspace = tmp_path / "videos", tmp_path / "w"
    shutil.copytree(example.videos, videos)
    added = max(videos.iterdir()).rename(tmp_path / "added.mp4")
    cut_labels(example.truth, tmp_path / "labels.json", [("digits_00", 0), ("digits_01", 5)])
    score = ("score", videos, "-b", 2, *COLD, "-w", workspace)
    training = ("--steps", 1, "--batch-size", 2)
    curate(*score, *training, "--labels", tmp_path / "labels.json")
    (first,) = (workspace / "detectors").iterdir()
    finished = files(first)
    added.rename(videos / "added.mp4")
    assert f"Detector: {first.name}, trained on these labels before" in curate(*score).stdout
    assert "held out, 48 unlabelled" in curate(*score, *training).stdout
    assert files(first) == finished
    (second,) = set((workspace / "detectors").iterdir()) - {first}
    assert f"Detector: {second.name} was trained on the same" in curate(*score, *training).stdout


def test_a_workspace_that_was_moved_knows_its_detectors(example: Example, workspace: Path, tmp_path: Path) -> None:
    train = ("train", "--steps", 1, "--batch-size", 2)
    curate(*train, "--labels", example.labels, "-w", workspace)
    moved = workspace.rename(tmp_path / "moved")
    assert "was trained on the same labels and frames before" in curate(*train, "-w", moved).stdout


def test_a_detector_is_named_as_one_folder(example: Example, workspace: Path) -> None:
    before = set(workspace.parent.rglob("*"))
    for name in ("../../evil", "a/b", ".."):
        train = ("train", "--labels", example.labels, "--steps", 1, "-w", workspace, "--name", name)
        assert one_line(curate(*train, code=2)).startswith(f"curate: --name {name!r}: give the name of a folder: ")
    assert set(workspace.parent.rglob("*")) == before, "the labels are not taken either"


def test_bad_training_options(workspace: Path, tmp_path: Path) -> None:
    file = tmp_path / "train.json"
    for text, options, wanted in (
        ("", ("--preset", "long"), "--preset 'long': choices are paper, paper-ssd300, short"),
        ("", ("--config", tmp_path / "none.json"), "none.json"),
        ("{", ("--config", file), str(file)),
        ("[1]", ("--config", file), "JSON object"),
        ('{"stepz": 1}', ("--config", file), "unknown TrainConfig keys stepz"),
        ('{"midl": {"delta_fg": 1}}', ("--config", file), "at most 0"),
        ('{"steps": "many"}', ("--config", file), "training options"),
        ("", ("--preset", "paper", "--method", "plain", "--lambda", 5), "leave out lambda_, or take method 'midl'"),
        ("", ("--ema", 2), "ema_decay must be between 0 and 1, got 2.0"),
    ):
        file.write_text(text)
        assert wanted in one_line(curate("train", *options, "-w", workspace, code=2))
