"""The main job from the command line: cold start, labels, training, ranking, export; twice the same."""

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from commands import curate, one_line, rows, selection
from example import COLD, TRAIN, Example
from PIL import Image

from curate.errors import CurateError
from curate.pipeline.evaluate import evaluate
from curate.pipeline.score import score
from curate.scoring.scorers import DETECTOR_FORMAT
from curate.workspace import Workspace


def report(workspace: Path) -> dict:
    return json.loads((workspace / "report.json").read_text())


def test_cold_start_selects_a_spread_and_writes_full_size_images(example: Example) -> None:
    picked = rows(example.workspace)
    assert [int(row["rank"]) for row in picked] == list(range(1, 11))
    assert len({row["source"] for row in picked}) >= 4
    assert all(row["uncertainty"] == "" and row["reason"].startswith("cold start") for row in picked)
    for row in picked:
        assert float(row["timestamp_s"]) == pytest.approx(int(row["frame_index"]) / 25)
        name = f"{row['source']}_f{int(row['frame_index']):08d}.jpg"
        with Image.open(example.workspace / "selection" / "images" / name) as image:
            assert image.size == (320, 240)
    with Image.open(next((example.workspace / "frames").rglob("*.jpg"))) as cached:
        assert cached.size == (96, 72)


def test_second_run_decodes_nothing_and_new_files_are_added(example: Example, tmp_path: Path) -> None:
    videos, workspace = tmp_path / "videos", tmp_path / "w"
    videos.mkdir()
    files = sorted(example.videos.iterdir())
    for path in files[:2]:
        shutil.copy2(path, videos)
    arguments = (videos, "--budget", 3, *COLD, "-w", workspace)
    curate("score", *arguments)
    assert report(workspace)["results"]["index"]["read"] == 2
    cached = {path: path.stat().st_mtime_ns for path in (workspace / "frames").rglob("*.jpg")}
    first = selection(workspace)
    curate("score", *arguments)
    assert report(workspace)["results"]["index"]["read"] == 0
    assert report(workspace)["results"]["score"]["frames"] == 0
    assert selection(workspace) == first
    shutil.copy2(files[2], videos)
    curate("score", *arguments)
    index = report(workspace)["results"]["index"]
    assert (index["read"], index["new_frames"], index["unlabeled"]) == (1, 10, 30)
    assert all(path.stat().st_mtime_ns == mtime for path, mtime in cached.items())


def test_the_second_cycle_says_how_good_the_detector_is_and_what_the_budget_is(second_cycle: str) -> None:
    assert "Held-out labels" in second_cycle
    assert "Selected 4 frames: 10% of 40 unlabelled candidates" in second_cycle


def test_ranking_comes_from_the_detector_trained_on_the_labels(example: Example, ranked: Path, tmp_path: Path) -> None:
    diverse = rows(ranked)
    assert all(row["reason"].startswith("diverse: uncertainty ") and row["uncertainty"] for row in diverse)
    shutil.copytree(ranked, tmp_path / "w")
    options = ("--acquisition", "midl", "--min-gap", 0, "--no-images", "--no-fiftyone")
    curate("select", "--budget", "10%", *options, "-w", tmp_path / "w")
    picked = rows(tmp_path / "w")
    assert len(picked) == len(diverse)
    uncertainties = [float(row["uncertainty"]) for row in picked]
    assert uncertainties == sorted(uncertainties, reverse=True)
    labeled = {row["frame_id"] for row in rows(example.workspace)}
    assert not labeled & {row["frame_id"] for row in picked}
    detector = next((ranked / "detectors").iterdir())
    assert {"weights.safetensors", "config.json", "metrics.json"} <= {path.name for path in detector.iterdir()}
    assert not (detector / "resume.pt").exists()
    parts = list(next((ranked / "scores").glob("retinanet-*")).glob("part-*.parquet"))
    table = pq.read_table(parts)
    assert table.num_rows == 50, "the labelled frames too, for their features"
    assert set(table.column_names) == {
        "frame_id", "uncertainty", "printed_uncertainty", "mean_uncertainty", "max_uncertainty",
        "objectness_uncertainty", "top_k_uncertainty", "entropy", "margin", "least_confidence", "embedding",
        "class_probabilities", "boxes_xyxy", "labels", "scores", "box_uncertainties",
    }  # fmt: skip
    for row in table.to_pylist():
        assert len(row["class_probabilities"]) == 3
        assert len(row["boxes_xyxy"]) == len(row["labels"]) == len(row["scores"]) == len(row["box_uncertainties"])
        assert 0 <= row["mean_uncertainty"] <= row["max_uncertainty"] <= 1
        assert sum(v * v for v in row["embedding"]) == pytest.approx(1, abs=1e-5)
        assert all(0 <= row[name] <= 1 for name in ("entropy", "margin", "least_confidence", "top_k_uncertainty"))
    unlabeled = [row for row in table.to_pylist() if row["frame_id"] not in labeled]
    best = max(unlabeled, key=lambda row: row["uncertainty"])
    assert best["frame_id"] == picked[0]["frame_id"]


def test_another_run_uses_the_detector_that_is_there(example: Example, ranked: Path) -> None:
    before = selection(ranked)
    done = curate("score", example.videos, "--budget", "10%", *COLD, "-w", ranked)
    assert "trained on these labels before" in done.stdout
    assert selection(ranked) == before
    done = curate("score", example.videos, "--budget", "10%", *COLD, *TRAIN, "-w", ranked)
    assert "trained on the same labels and frames before" in done.stdout
    assert selection(ranked) == before


def test_same_inputs_labels_and_seed_give_the_same_bytes(example: Example, ranked: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "second"
    curate("score", example.videos, "--budget", "20%", *COLD, "-w", workspace)
    assert selection(workspace) == selection(example.workspace)
    curate("score", example.videos, "--budget", "10%", *COLD, *TRAIN, "--labels", example.labels, "-w", workspace)
    assert selection(workspace) == selection(ranked)


def test_select_again_with_other_options(example: Example, ranked: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(ranked, workspace)
    curate("select", "--budget", "40", "--min-gap", "1s", "--no-images", "--no-fiftyone", "-w", workspace)
    times: dict[str, list[float]] = {}
    for row in rows(workspace):
        times.setdefault(row["source"], []).append(float(row["timestamp_s"]))
    assert len(times) == 5
    for video in times.values():
        assert all(b - a >= 1 - 1e-6 for a, b in zip(sorted(video), sorted(video)[1:], strict=False))
    for seed in (1, 2):
        curate("select", "-b", 9, "--acquisition", "random", "--seed", seed, "--no-fiftyone", "-w", workspace)
        if seed == 1:
            first = selection(workspace)
    assert selection(workspace) != first
    assert len(list((workspace / "selection" / "images").iterdir())) == 9


def test_a_video_that_is_gone_gives_its_place_to_others(example: Example, tmp_path: Path) -> None:
    videos, workspace = tmp_path / "videos", tmp_path / "w"
    shutil.copytree(example.videos, videos)
    arguments = ("--budget", 10, *COLD, "-w", workspace)
    curate("score", videos, *arguments)
    gone = rows(workspace)[0]["source"]
    shutil.rmtree(workspace / "selection")
    (videos / f"{gone.rpartition('-')[0]}.mp4").unlink()
    done = curate("select", "--budget", 10, "--min-gap", "0s", "--no-fiftyone", "-w", workspace, code=3)
    assert "the original cannot be read" in done.stderr
    picked = rows(workspace)
    assert len(picked) == 10
    assert gone not in {row["source"] for row in picked}
    assert len(list((workspace / "selection" / "images").iterdir())) == 10
    curate("export", "--classes", "zero", "-w", workspace)
    manifest = json.loads((workspace / "exports" / "coco" / "manifest.json").read_text())
    assert (manifest["run_id"], manifest["seed"]) == ("cold-start", 0)


def test_what_was_given_before_is_ranked_too_and_a_file_that_is_gone_is_left_out(
    example: Example, tmp_path: Path
) -> None:
    videos, workspace = tmp_path / "videos", tmp_path / "w"
    shutil.copytree(example.videos, videos)
    files = sorted(videos.iterdir())
    arguments = ("--budget", 3, *COLD, "-w", workspace)
    curate("score", files[0], *arguments)
    done = curate("score", files[1], "--budget", 3, *COLD[2:], "--all-frames", "-w", workspace)
    assert "Pool: 60 unlabelled candidates of 2 sources, sampled all frames; 50 frames are new" in done.stdout
    assert "  10 of them are of other paths, given before" in done.stdout
    assert "  some of them were sampled before: every 0.2 s" in done.stdout
    files[0].unlink()
    done = curate("score", videos, *arguments)
    assert f"Gone: 1 sources, the first {files[0]}; their 10 unlabelled frames are no candidates" in done.stdout
    assert not any(row["source"].startswith(files[0].stem) for row in rows(workspace))
    assert "Gone" not in curate("score", videos, *arguments).stdout


def test_labels_of_frames_that_are_no_candidates_are_added_to_the_cache(example: Example, tmp_path: Path) -> None:
    from curate.demo import cut_labels

    labels, workspace = tmp_path / "odd.json", tmp_path / "w"
    shutil.copytree(example.workspace, workspace)
    cut_labels(example.truth, labels, [("digits_00", 13), ("digits_01", 7)])
    curate("train", "--labels", labels, "--steps", 2, "--batch-size", 2, "-w", workspace)
    frames = pq.read_table(workspace / "pool.parquet").to_pylist()
    labeled = {(row["source"][:9], row["frame_index"]) for row in frames if row["state"] == "labeled"}
    assert labeled == {("digits_00", 13), ("digits_01", 7)}
    assert all(
        (workspace / "frames" / row["source"] / f"{row['frame_index']:08d}.jpg").exists()
        for row in frames
        if row["state"] == "labeled"
    )


def test_export_loads_as_coco_and_comes_back_as_labels(example: Example, ranked: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(ranked, workspace)
    curate("export", "--with-predictions", "-w", workspace)
    folder = workspace / "exports" / "coco"
    document = json.loads((folder / "annotations.json").read_text())
    assert [category["name"] for category in document["categories"]] == ["zero", "one", "seven"]
    assert [image["rank"] for image in document["images"]] == [1, 2, 3, 4]
    for image in document["images"]:
        with Image.open(folder / "images" / image["file_name"].rpartition("/")[2]) as picture:
            assert picture.size == (image["width"], image["height"]) == (320, 240)
    boxes = len(document["annotations"])
    weak = sum(annotation["score"] < 0.5 for annotation in document["annotations"])
    assert all(annotation["score"] >= 0.3 for annotation in document["annotations"])
    done = curate("export", "--for", "cvat", "--with-predictions", "--min-score", 0.5, "--no-images", "-w", workspace)
    assert "Exported 4 frames for cvat to " in done.stdout
    manifest = json.loads((workspace / "exports" / "cvat" / "manifest.json").read_text())
    assert manifest["counts"]["annotations"] == boxes - weak
    weights = (workspace / "detectors" / manifest["detector"] / "weights.safetensors").read_bytes()
    assert manifest["detector_sha256"] == hashlib.sha256(weights).hexdigest()
    assert "none of its images is there" in one_line(curate("verify", "-w", workspace, code=1))
    document["annotations"] = [
        {"id": n + 1, "image_id": image["id"], "category_id": 2, "bbox": [10, 20, 30, 40], "area": 1200, "iscrowd": 0}
        for n, image in enumerate(document["images"])
    ]
    returned = tmp_path / "returned.json"
    returned.write_text(json.dumps(document))
    done = curate("score", example.videos, "-b", 2, *COLD, "--steps", 2, "--labels", returned, "-w", workspace)
    assert "Labels: 14 frames" in done.stdout
    labels = {row["frame_id"]: row for row in pq.read_table(workspace / "labels.parquet").to_pylist()}
    assert labels[document["images"][0]["file_name"][:-4].rpartition("/")[2].replace("_f", ":")]["categories"] == [
        "one"
    ]


def test_evaluate_refuses_what_label_refuses(ranked: Path, tmp_path: Path) -> None:
    images, path = tmp_path / "images", tmp_path / "truth.json"
    images.mkdir()
    Image.new("RGB", (96, 72)).save(images / "a.png")
    (images / "text.png").write_text("text")
    workspace = Workspace.open(ranked)

    def refused(text: str) -> str:
        path.write_text(text)
        with pytest.raises(CurateError) as caught:
            evaluate(workspace, path, images)
        message = str(caught.value)
        assert message.count(str(path)) == 1
        assert "\n" not in message
        return message

    def with_bad(**changed: object) -> str:
        document = {
            "images": [{"id": 1, "file_name": changed.pop("file_name", "a.png")}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]} | changed],
            "categories": [{"id": 1, "name": "zero"}],
        }
        return refused(json.dumps(document))

    assert "not JSON" in refused("[" * 100_000)
    assert "annotation 1: bbox is [1, 1, -9, 9]" in with_bad(bbox=[1, 1, -9, 9])
    assert 'annotation 1: bbox is ["1", 1, 9, 9]' in with_bad(bbox=["1", 1, 9, 9])
    assert "bbox is [96, 1, 9, 9], outside its image of 96x72" in with_bad(bbox=[96, 1, 9, 9])
    assert "annotation 1 must have" in with_bad(area="81")
    assert "[bad-iscrowd]" in with_bad(iscrowd="no")
    assert "[bad-segmentation]" in with_bad(segmentation=[[1, 2]])
    assert "[unknown-category-id]" in with_bad(category_id=9)
    for name in ("/etc/passwd", "../truth.json"):
        assert f'image 1 "{name}": leads out of {images}' in with_bad(file_name=name)
    assert f'image 1 "b.png": no such file in {images}' in with_bad(file_name="b.png")
    assert "[unknown-image]" in with_bad(file_name=3)
    assert "[bad-picture]" in with_bad(file_name="text.png")
    assert one_line(curate("evaluate", path, "--images", images, "-w", ranked, code=1)).endswith("[bad-picture]")


def test_evaluate_and_probe(example: Example, ranked: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    with Image.open(next((ranked / "frames").rglob("*.jpg"))) as picture:
        picture.save(images / "a.png")
    truth = {
        "images": [{"id": 1, "file_name": "a.png", "width": 96, "height": 72}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0}],
        "categories": [{"id": 1, "name": "zero"}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    done = curate("evaluate", tmp_path / "truth.json", "--images", images, "-w", ranked)
    assert "on 1 images: AP 0." in done.stdout
    assert "objects by size: small 0." in done.stdout
    assert "medium -, large -" in done.stdout
    lines = curate("probe", example.videos, "--json").stdout.splitlines()
    assert [json.loads(line)["codec"] for line in lines] == ["h264"] * 5
    bracketed = tmp_path / "take [1].mp4"
    shutil.copy(next(example.videos.iterdir()), bracketed)
    (row,) = [line for line in curate("probe", bracketed).stdout.splitlines() if "h264" in line]
    known = " ".join(row.split())
    assert known.startswith("take [1].mp4 mp4 h264 yuv420p 320x240 25 50 2.00 1/12800 pyav short: ")
    assert known.endswith("; B-frames")


def test_scores_without_the_present_columns_stay_and_a_new_run_is_made(ranked: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(ranked, workspace)
    run = next((workspace / "scores").glob("retinanet-*"))
    old = run.rename(run.with_name(run.name.removesuffix(f"-v{DETECTOR_FORMAT}")))
    assert old.name != run.name
    before = {path.name: path.read_bytes() for path in old.iterdir()}
    detector = next((workspace / "detectors").iterdir()).name
    result = score(Workspace.open(workspace), detector=detector)
    assert (result.run, result.frames) == (run.name, 50)
    assert {path.name: path.read_bytes() for path in old.iterdir()} == before
