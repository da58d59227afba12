"""Whether image scores follow the true error of the image, on the scored pools that `selection_learning.py` leaves.

    python benchmarks/midl/ranking.py --data fod-video/ --work selection-runs/ [--frames 500] [--csv ranking.csv]

Spearman's rank correlation of every score with the error of the image (1 - F1 at IoU 0.5), over the unlabelled frames
of each seed, over the means of the videos, and over the frames in which the detector finds anything (a box above the
score at which F1 over all frames is the largest); and the mean error of the tenth with the highest scores. `1 - best
box` is 1 less the score of the surest box. With `--frames`, for so many frames drawn at random, which are run through
the detector again, also the scores of `variants.py`.
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measure import SCORES, best_threshold, f1, matches, top_error
from scipy.stats import spearmanr
from variants import variants

from curate.pool import Pool
from curate.types import cache_path
from curate.workspace import Workspace
from detectors.inference import Scorer


def main() -> None:
    parser = argparse.ArgumentParser(description="Rank correlation of image scores with the true error.")
    parser.add_argument("--data", type=Path, required=True, help="folder with pool.json, the labels of all frames")
    parser.add_argument("--work", type=Path, required=True, help="folder of the seeds' workspaces")
    parser.add_argument("--frames", type=int, default=0, help="draw so many of each seed; default: all")
    parser.add_argument("--csv", type=Path, default=Path("ranking.csv"))
    arguments = parser.parse_args()
    document = json.loads((arguments.data / "pool.json").read_text())
    rows = [
        {"seed": folder.name.removeprefix("seed-"), **row}
        for folder in sorted(arguments.work.glob("seed-*"))
        for row in measure(Workspace.open(folder / "workspace"), document, arguments.frames)
    ]
    with arguments.csv.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print("| score | by frame | by video | where anything is found | error of the top tenth |\n|---|---|---|---|---|")
    for score in dict.fromkeys(row["score"] for row in rows):
        own = [row for row in rows if row["score"] == score]
        cells = (", ".join(f"{row[name]:.2f}" for row in own) for name in ("by_frame", "by_video", "found", "top"))
        print(f"| {score} | {' | '.join(cells)} |")


def measure(workspace: Workspace, document: dict[str, Any], drawn: int) -> list[dict[str, Any]]:
    """The rows of one seed; `drawn` frames of it, 0 for all."""
    pool = Pool.load(workspace)
    frame_ids = sorted(pool.in_state("unlabeled")["frame_id"].to_pylist())
    if drawn:
        frame_ids = [frame_ids[i] for i in np.random.default_rng(0).permutation(len(frame_ids))[:drawn]]
        found, columns = run_again(workspace, frame_ids)
    else:
        found, columns = read(workspace, frame_ids)
    columns["1 - best box"] = np.array([1 - one.scores.max(initial=0) for one in found])
    truth = objects(pool, document)
    frames = [truth[frame_id] for frame_id in frame_ids]
    threshold = best_threshold(found, frames)
    errors = np.array([1 - f1(*matches(one, frame, threshold)) for one, frame in zip(found, frames, strict=True)])
    videos = np.array([frame_id.partition(":")[0] for frame_id in frame_ids])
    seen = np.array([bool((one.scores >= threshold).any()) for one in found])
    return [
        {
            "score": name,
            "by_frame": round(float(spearmanr(values, errors).statistic), 3),
            "by_video": round(by_video(values, errors, videos), 3),
            "found": round(float(spearmanr(values[seen], errors[seen]).statistic), 3),
            "top": round(top_error(values, errors), 3),
            "frames": len(errors),
            "mean_error": round(float(errors.mean()), 3),
            "share_found": round(float(seen.mean()), 3),
        }
        for name, values in columns.items()
    ]


def read(workspace: Workspace, frame_ids: Sequence[str]) -> tuple[list[Any], dict[str, np.ndarray]]:
    """Boxes and scores of these frames, from the newest run of the detector."""
    run = max(workspace.scores.glob("retinanet-*"), key=lambda path: path.name)
    table = pa.concat_tables([pq.read_table(path) for path in run.glob("part-*.parquet")])
    row_of = {row["frame_id"]: row for row in table.to_pylist()}
    rows = [row_of[frame_id] for frame_id in frame_ids]
    found = [
        SimpleNamespace(
            boxes_xyxy=np.array(row["boxes_xyxy"], np.float32).reshape(-1, 4),
            labels=np.array(row["labels"], np.int64),
            scores=np.array(row["scores"], np.float32),
        )
        for row in rows
    ]
    return found, {name: np.array([row[name] for row in rows]) for name in SCORES}


def run_again(workspace: Workspace, frame_ids: Sequence[str]) -> tuple[list[Any], dict[str, np.ndarray]]:
    """The same from the detector itself, with the scores of `variants.py`."""
    (detector,) = workspace.detectors.glob("retinanet-*")
    scorer = Scorer(detector)
    names = (frame_id.rsplit(":", 1) for frame_id in frame_ids)
    paths = [cache_path(workspace.frames, source, int(index)) for source, index in names]
    found = scorer.score(paths)
    columns = {name: np.array([getattr(one, name) for one in found]) for name in SCORES}
    return list(found), columns | {name: np.array(values) for name, values in variants(scorer, paths).items()}


def by_video(values: np.ndarray, errors: np.ndarray, videos: np.ndarray) -> float:
    """The correlation of the videos' means."""
    means = [(values[videos == name].mean(), errors[videos == name].mean()) for name in np.unique(videos)]
    return float(spearmanr(*zip(*means, strict=True)).statistic)


def objects(pool: Pool, document: dict[str, Any]) -> dict[str, SimpleNamespace]:
    """The oracle's boxes and labels, by frame_id."""
    key_of = {Path(source.path).name: source.source for source in pool.sources.values()}
    ids = [row["id"] for row in sorted(document["categories"], key=lambda row: row["id"])]
    boxes: dict[int, list[list[float]]] = defaultdict(list)
    labels: dict[int, list[int]] = defaultdict(list)
    for row in document["annotations"]:
        x, y, width, height = row["bbox"]
        boxes[row["image_id"]].append([x, y, x + width, y + height])
        labels[row["image_id"]].append(ids.index(row["category_id"]))
    return {
        f"{key_of[image['file_name']]}:{image['frame_index']:08d}": SimpleNamespace(
            boxes_xyxy=np.array(boxes[image["id"]], np.float32).reshape(-1, 4),
            labels=np.array(labels[image["id"]], np.int64),
        )
        for image in document["images"]
    }


if __name__ == "__main__":
    main()
