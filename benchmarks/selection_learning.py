"""What each acquisition function's picks are worth: AP50 after training on them (frozen scores, one step of a cycle).

    python benchmarks/selection_learning.py --data fod-video/ [--seeds 0 1 2] [--methods diverse ...] [--jobs 2]
    python benchmarks/selection_table.py selection_learning.csv

`--data` holds `pool/` (videos), `pool.json` (CocoVID, the labels of all frames: the oracle), and two test sets
(`test_near`, `test`: a COCO file and a folder of images each). For each seed, 2% of the frames, drawn at random, train
a MIDL detector, which scores the others, and `first`, a plain one of the same architecture. Then each method picks 2%
more from these scores, and `first` trains on with the union (with `--first-steps 0` a new detector does, from the
pretrained backbone). `none` adds nothing and trains on all the same; `first` and `scorer` are the two detectors
themselves. `--repeats` trains several times on each union, with the images in another order.

With `--steps 0` nothing is trained on the picks, and what they cover is all that is measured; `--stride 5` takes each
fifth frame as the pool. One line a result goes to the CSV file; what it holds already is not run again, and a seed's
workspace, with its scores, stays under `--work`. `--jobs` seeds, then trainings, run side by side, in processes that
share the cores.
"""

import argparse
import csv
import json
import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

METHODS = ("first", "none", "random", "uniform", "midl", "core-set", "diverse")
# Of the weights: an average of the last hundred steps or so depends less on which images came last.
EMA_DECAY = 0.99
KEY = ("method", "repeat", "seed")


def main() -> None:
    parser = argparse.ArgumentParser(description="AP50 after training on what acquisition functions pick.")
    parser.add_argument("--data", type=Path, required=True, help="folder with pool/, pool.json and the test sets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--methods", nargs="+", default=list(METHODS), help='"first", "none", "scorer", or acquisition functions'
    )
    parser.add_argument("--midl-steps", type=int, default=1200, help="of the detector that scores")
    parser.add_argument("--first-steps", type=int, default=1200, help="of the plain detector of the first frames")
    parser.add_argument("--steps", type=int, default=600, help="on the union, after those")
    parser.add_argument("--repeats", type=int, default=1, help="trainings on each union")
    parser.add_argument("--share", type=float, default=0.02, help="of the pool: labelled first, and picked then")
    parser.add_argument("--stride", type=int, default=1, help="take each so-manieth frame as the pool")
    parser.add_argument("--min-gap", default="1s", help="between picks of a clip")
    parser.add_argument("--image-size", type=int, default=256, help="long side in pixels")
    parser.add_argument("--jobs", type=int, default=1, help="seeds, then trainings, side by side")
    parser.add_argument("--work", type=Path, default=Path("selection-runs"), help="folder of the seeds' workspaces")
    parser.add_argument("--csv", type=Path, default=Path("selection_learning.csv"))
    arguments = parser.parse_args()
    done = finished(arguments.csv)
    wanted: dict[int, list[tuple[str, int]]] = {
        seed: [
            (method, repeat)
            for repeat, method in product(range(arguments.repeats), arguments.methods)
            if (method, str(repeat), str(seed)) not in done and not (repeat and method in ("first", "scorer"))
        ]
        for seed in arguments.seeds
    }
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as processes:
        picked = {seed: processes.submit(pick, arguments, seed, runs) for seed, runs in wanted.items() if runs}
        runs = {(*run, seed): chosen for seed, future in picked.items() for run, chosen in future.result().items()}
        trained = {
            processes.submit(measure, arguments, method, repeat, seed, *runs[method, repeat, seed]): (
                method,
                repeat,
                seed,
            )
            for repeat, method, seed in product(range(arguments.repeats), arguments.methods, arguments.seeds)
            if (method, repeat, seed) in runs
        }
        for future in as_completed(trained):
            write(arguments.csv, dict(zip(KEY, trained[future], strict=True)) | future.result())


def pick(
    arguments: argparse.Namespace, seed: int, runs: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], tuple[list[str], float]]:
    """Score one seed's pool, train its first plain detector, and let each method pick."""
    share_cores(arguments.jobs)
    cycle = Cycle(arguments, seed)
    cycle.score(arguments.midl_steps)
    if arguments.steps:
        cycle.first_detector()
    picks = {method: cycle.picks(method) for method, _ in runs}
    return {(method, repeat): picks[method] for method, repeat in runs}


def measure(
    arguments: argparse.Namespace, method: str, repeat: int, seed: int, picks: Sequence[str], uncertainty: float
) -> dict[str, Any]:
    """All figures of one method's picks."""
    share_cores(arguments.jobs)
    cycle = Cycle(arguments, seed)
    steps = arguments.steps
    accuracy = {"near_AP50": "", "far_AP50": ""}
    if method == "scorer":
        accuracy = cycle.figures(cycle.detector())
    elif method == "first":
        accuracy = cycle.figures(cycle.folder / "first")
    elif steps:
        accuracy = cycle.accuracy(method, picks, steps, repeat)
    covered = cycle.coverage(picks) | {"uncertainty": uncertainty}
    return accuracy | {name: value if picks else "" for name, value in covered.items()}


def share_cores(jobs: int) -> None:
    """Give this process its share of the cores: two trainings of one thread each beat one of two threads."""
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // jobs))


class Cycle:
    """One seed's workspace: all frames of the pool, of which a few are labelled."""

    def __init__(self, arguments: argparse.Namespace, seed: int) -> None:
        from curate.pipeline.index import index
        from curate.pool import Pool
        from curate.types import Sampling
        from curate.workspace import Workspace

        data = self.data = arguments.data
        self.folder = arguments.work / f"seed-{seed}"
        self.seed, self.image_size, self.min_gap = seed, arguments.image_size, arguments.min_gap
        self.first_steps = arguments.first_steps
        self.folder.mkdir(parents=True, exist_ok=True)
        self.workspace = Workspace.create(self.folder / "workspace", imgsz=320)
        if not self.workspace.pool.exists():
            index(self.workspace, [str(data / "pool")], sampling=Sampling(stride=arguments.stride))
        self.document: dict[str, Any] = json.loads((data / "pool.json").read_text())
        self.categories = [row["name"] for row in sorted(self.document["categories"], key=lambda row: row["id"])]
        key_of = {Path(source.path).name: source.source for source in Pool.load(self.workspace).sources.values()}
        self.frame_id_of = {
            image["id"]: f"{key_of[image['file_name']]}:{image['frame_index']:08d}"
            for image in self.document["images"]
            if image["frame_index"] % arguments.stride == 0
        }
        rng = np.random.default_rng(seed)
        self.count = round(arguments.share * len(self.frame_id_of))
        ids = sorted(self.frame_id_of.values())
        self.first = {ids[i] for i in rng.permutation(len(ids))[: self.count]}

    def score(self, steps: int) -> None:
        """Label the first frames, train a MIDL detector on them, score the others, and group near-duplicates."""
        from curate.pipeline.duplicates import find_duplicates
        from curate.pipeline.label import label
        from curate.pipeline.score import score
        from curate.pipeline.train import train
        from detectors.config import TrainConfig

        path = self.folder / "labels.json"
        path.write_text(json.dumps(self.of(self.first)))
        label(self.workspace, path)
        config = TrainConfig(steps=steps, image_size=self.image_size, seed=self.seed)
        detector = train(self.workspace, config, holdout=0).name
        score(self.workspace, detector=detector)
        find_duplicates(self.workspace)

    def first_detector(self) -> None:
        """Train a plain detector on the first frames, for all methods to start from."""
        if self.first_steps:
            self.train("first", self.first, steps=self.first_steps, seed=self.seed)

    def accuracy(self, method: str, picks: Sequence[str], steps: int, repeat: int) -> dict[str, Any]:
        """Train on the first frames and the picks, and evaluate on both test sets."""
        start = {"start_from": str(self.folder / "first"), "ema_decay": EMA_DECAY} if self.first_steps else {}
        # Another seed than that of `first`: images come in another order.
        seed = self.seed + 1000 * (repeat + 1)
        return self.figures(self.train(f"{method}-{repeat}", self.first | set(picks), steps=steps, seed=seed, **start))

    def train(self, name: str, frame_ids: set[str], **settings: Any) -> Path:
        """Train a plain detector on the oracle's labels of these frames; return its folder."""
        from detectors.config import TrainConfig
        from detectors.data import load_coco
        from detectors.training import train

        document = self.of(frame_ids)
        for image in document["images"]:
            key, _, index = self.frame_id_of[image["id"]].partition(":")
            image["file_name"] = f"{key}/{index}.jpg"
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(document))
        labeled, _ = load_coco(path, self.workspace.frames, categories=self.categories)
        config = TrainConfig(method="plain", image_size=self.image_size, **settings)
        output = self.folder / name
        train(config, categories=self.categories, labeled=labeled, unlabeled=[], held_out=[], output=output)
        return output

    def figures(self, detector: Path) -> dict[str, Any]:
        """Evaluate a trained detector on both test sets."""
        from detectors.data import load_coco
        from detectors.evaluation import evaluate
        from detectors.inference import load_detector

        loaded = load_detector(detector)
        figures = {}
        for name, column in (("test_near", "near_AP50"), ("test", "far_AP50")):
            test, _ = load_coco(self.data / f"{name}.json", self.data / name, categories=self.categories)
            figures[column] = round(evaluate(loaded, test, self.categories)["AP50"], 4)
        return figures

    def detector(self) -> Path:
        """The folder of the MIDL detector that scored."""
        (folder,) = (path for path in self.workspace.detectors.iterdir() if (path / "metrics.json").exists())
        return folder

    def picks(self, method: str) -> tuple[list[str], float]:
        """The frame ids that an acquisition function picks with its defaults, and their mean uncertainty."""
        from curate.pipeline.select import select
        from curate.selection.budget import Budget
        from curate.selection.gap import parse_gap
        from curate.selection.options import SelectOptions

        if method in ("first", "none", "scorer"):
            return [], 0.0
        options = SelectOptions(acquisition=method, gap=parse_gap(self.min_gap), seed=self.seed)
        result = select(self.workspace, Budget(count=self.count), options, images=False)
        known = [frame.uncertainty for frame in result.selection if frame.uncertainty is not None]
        return [frame.frame_id for frame in result.selection], round(mean(known), 4)

    def of(self, frame_ids: set[str]) -> dict[str, Any]:
        """The oracle's labels of some frames, as a COCO document."""
        images = [dict(image) for image in self.document["images"] if self.frame_id_of.get(image["id"]) in frame_ids]
        ids = {image["id"] for image in images}
        annotations = [row for row in self.document["annotations"] if row["image_id"] in ids]
        return self.document | {"images": images, "annotations": annotations}

    def coverage(self, picks: Sequence[str]) -> dict[str, Any]:
        """Clips and classes among the picks, and how far apart they are."""
        times: dict[str, list[float]] = defaultdict(list)
        fps = {Path(row["file_name"]).stem: row["fps"] for row in self.document["videos"]}
        clip_of = {}
        for image in self.document["images"]:
            if image["id"] in self.frame_id_of:
                clip_of[self.frame_id_of[image["id"]]] = (Path(image["file_name"]).stem, image["frame_index"])
        for frame_id in self.first | set(picks):
            clip, index = clip_of[frame_id]
            times[clip].append(index / fps[clip])
        gaps = []
        for frame_id in picks:
            clip, index = clip_of[frame_id]
            in_order, own = sorted(times[clip]), index / fps[clip]
            place = bisect_left(in_order, own)
            near = [
                abs(time - own) for time in (*in_order[max(0, place - 1) : place], *in_order[place + 1 : place + 2])
            ]
            gaps += [min(near)] if near else []
        chosen = self.of(set(picks))
        return {
            "clips": len({clip_of[frame_id][0] for frame_id in picks}),
            "classes": len({row["category_id"] for row in chosen["annotations"]}),
            "gap_s": round(mean(gaps), 3) if gaps else "",
        }


def finished(path: Path) -> set[tuple[str, ...]]:
    if not path.exists():
        return set()
    with path.open(newline="") as file:
        return {tuple(row[name] for name in KEY) for row in csv.DictReader(file)}


def write(path: Path, row: dict[str, Any]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    main()
