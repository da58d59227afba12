"""benchmarks/midl: trainings of a study go to lines of a CSV file, once each, and lines to tables and plots."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from detector_data import CATEGORIES, write_images

from detectors.data import LabeledImage

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks" / "midl"


def write_coco(path: Path, images: Sequence[LabeledImage]) -> None:
    boxes = [
        (number, box, label)
        for number, i in enumerate(images)
        for box, label in zip(i.boxes_xyxy, i.labels, strict=True)
    ]
    path.write_text(
        json.dumps(
            {
                "images": [{"id": n, "file_name": i.name, "width": 96, "height": 64} for n, i in enumerate(images)],
                "annotations": [
                    {
                        "id": number,
                        "image_id": image,
                        "category_id": int(label),
                        "bbox": [*map(float, box[:2]), *map(float, box[2:] - box[:2])],
                        "area": float(np.prod(box[2:] - box[:2])),
                        "iscrowd": 0,
                    }
                    for number, (image, box, label) in enumerate(boxes)
                ],
                "categories": [{"id": number, "name": name} for number, name in enumerate(CATEGORIES)],
            }
        )
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("benchmark")
    (made / "images").mkdir()
    write_coco(made / "pool.json", write_images(made / "images", 12, size_wh=(96, 64), rng=np.random.default_rng(7)))
    return made


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, BENCHMARKS / script, *arguments], capture_output=True, text=True)


def words(options: Mapping[str, object]) -> list[str]:
    return [str(word) for pair in options.items() for word in pair]


def data(folder: Path) -> list[str]:
    place = [str(folder / "pool.json"), str(folder / "images")]
    return ["--annotations", place[0], "--images", place[1], "--test", "test", *place]


def trainings(folder: Path, *more: str) -> str:
    settings = {"--weights": "none", "--shares": 0.5, "--seeds": 0, "--steps": 6, "--image-size": 64, "--scored": 4}
    places = {"--csv": folder / "midl.csv", "--work": folder / "runs"}
    done = run("trainings.py", *data(folder), *words(settings | places), *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_trainings_are_run_once_and_reported(folder: Path) -> None:
    assert "2 trainings to run" in trainings(folder)
    first = (folder / "midl.csv").read_text()
    assert "0 trainings to run" in trainings(folder)
    assert (folder / "midl.csv").read_text() == first
    assert "1 trainings to run" in trainings(folder, "--backbone", "efficientnet_lite2", "--variants", "plain")
    assert "1 trainings to run" in trainings(folder, "--shares", "0.25", "--variants", "midl")

    with (folder / "midl.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["backbone"], row["variant"], row["labeled"], row["unlabeled"]) for row in rows] == [
        ("efficientnet_lite0", "plain", "6", "6"),
        ("efficientnet_lite0", "midl", "6", "6"),
        ("efficientnet_lite2", "plain", "6", "6"),
        ("efficientnet_lite0", "midl", "3", "9"),
    ]
    for row in rows:
        assert 0 <= float(row["test_AP"]) <= float(row["test_AP50"]) <= 1
        assert bool(row["objectness_mass_ratio"]) == (row["variant"] == "midl")

    report = run("report.py", str(folder / "midl.csv"), "--plots", str(folder / "plots"))
    assert report.returncode == 0, report.stderr
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in report.stdout.splitlines()]
    setting = ["images", "retinanet", "efficientnet_lite0", "0.5", "6", "64"]
    plain, midl = (float(row["test_AP50"]) for row in rows[:2])
    assert [*setting, "midl", "1", f"test_AP50 {midl - plain:.3f}, test_alone_AP50"] in [
        [*line[:-1], line[-1].rsplit(" ", 1)[0]] for line in lines
    ]
    assert [line[3] for line in lines if line[2:3] == ["efficientnet_lite0"]][:3] == ["0.25", "0.5", "0.5"]
    assert (folder / "plots" / "images-retinanet-efficientnet_lite0-64px-share.png").stat().st_size > 0


def test_lines_without_a_backbone_are_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_text("data,detector,variant,share,steps,image_size,seed\n")
    done = run("trainings.py", *data(folder), "--csv", str(path), "--work", str(tmp_path))
    assert done.returncode != 0
    assert done.stderr.strip() == f"{path} has no column backbone: name another file, or add what its lines have"


def test_pictures_of_a_kept_training(folder: Path, tmp_path: Path) -> None:
    trainings(folder, "--shares", "0.75", "--variants", "midl", "--keep", "--csv", str(tmp_path / "midl.csv"))
    (kept,) = (folder / "runs").glob("*-0.75-*")
    files = {"--out": tmp_path / "pictures.png", "--csv": tmp_path / "pictures.csv"}
    done = run("pictures.py", str(kept), *data(folder)[:4], *words(files))
    assert done.returncode == 0, done.stderr
    assert files["--out"].stat().st_size > 0
    with files["--csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({row["image"] for row in rows}) == 3  # those that the training had no labels for
    for row in rows:
        assert {*row["shows"].split(", "), row["most_of_it"]} <= {*CATEGORIES, ""}
        assert 0 <= float(row["p_obj_on_objects"]) <= 1
        assert 0 <= float(row["uncertainty"]) <= 1
