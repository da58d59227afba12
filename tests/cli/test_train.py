"""How a training is told what to do: presets, files and options."""

import json
import shutil
from pathlib import Path

import pytest
from commands import curate, one_line
from example import COLD, Example

from curate.cli.options import train_config
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
