"""Time and memory of a selection from 10,000 to 1,000,000 candidates.

    python benchmarks/selection_scale.py [--frames 10000 100000 1000000] [--threads 2]

Each pool is generated: videos of 1,000 frames at two a second, 128 features that drift along a video, 19 classes, up to
four boxes, a twentieth of the frames labelled, in parts of 256 frames as `curate score` writes them. Each selection
runs in a process of its own, from the files to selection.csv without the pictures; the time is that of `select`,
the processor time that of all its threads, the memory the largest resident size of that process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

VIDEO_FRAMES = 1000
CLASSES = 19
CASES = {
    "diverse": {},
    "midl, gap 1 s, at most 60 a video": {"acquisition": "midl", "per_video_max": 60},
    "uniform": {"acquisition": "uniform"},
    "core-set": {"acquisition": "core-set"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory of a selection.")
    parser.add_argument("--frames", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--case", choices=list(CASES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        run_case(arguments.case, arguments.folder)
        return
    threads = str(arguments.threads)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    for frames in arguments.frames:
        with tempfile.TemporaryDirectory() as folder:
            make_workspace(Path(folder) / "w", frames)
            for case in arguments.cases:
                command = [sys.executable, __file__, "--case", case, "--folder", f"{folder}/w"]
                output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
                done = json.loads(output.splitlines()[-1])
                print(
                    f"{frames:9,} candidates  {case:<34} {done['picks']:6,} picks  {done['seconds']:7.1f} s  "
                    f"{done['cpu_s']:7.1f} s of processor  "
                    f"{done['peak_mb']:6,.0f} MB",
                    flush=True,
                )


def run_case(case: str, folder: Path) -> None:
    import resource

    from curate.pipeline.select import select
    from curate.selection.budget import Budget
    from curate.selection.options import SelectOptions
    from curate.selection.quota import Quota
    from curate.workspace import Workspace

    values = dict(CASES[case])
    if "per_video_max" in values:
        values["per_video_max"] = Quota(count=values["per_video_max"])
    started, cpu_started = time.perf_counter(), time.process_time()
    result = select(Workspace.open(folder), Budget(percent=5), SelectOptions(**values), images=False)
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"picks": len(result.selection), "seconds": seconds, "cpu_s": cpu_s, "peak_mb": peak_mb}))


def make_workspace(root: Path, frames: int) -> None:
    import numpy as np
    import pyarrow as pa

    from curate.pool import Pool
    from curate.scoring.run import SHARD_FRAMES
    from curate.scoring.scorers import SCALAR_COLUMNS
    from curate.tables import write_table
    from curate.types import Source
    from curate.workspace import Workspace

    rng = np.random.default_rng(0)
    workspace = Workspace.create(root, imgsz=640)
    videos = frames // VIDEO_FRAMES
    names = [f"video{n:05d}-{n:08x}" for n in range(videos)]
    ids = [f"{name}:{15 * k:08d}" for name in names for k in range(VIDEO_FRAMES)]
    index = np.tile(np.arange(VIDEO_FRAMES), videos)
    table = pa.table(
        {
            "frame_id": ids,
            "source": pa.array(np.repeat(names, VIDEO_FRAMES)),
            "frame_index": 15 * index,
            "timestamp_s": index / 2,
            "width": np.full(frames, 640),
            "height": np.full(frames, 360),
            "state": np.where(rng.random(frames) < 0.05, "labeled", "unlabeled"),
        }
    )
    sources = [Source(name, f"/videos/{name}.mp4", "0" * 64, 1, 1, "video") for name in names]
    Pool(sources, table).save(workspace)
    run = workspace.scores / "run-1"
    categories = [f"class {n}" for n in range(CLASSES)]
    info = {"kind": "detector", "detector": "generated", "categories": categories, "weights_sha256": ""}
    workspace.write_json(run / "run.json", info)
    start = np.zeros(128)
    for shard, first in enumerate(range(0, frames, SHARD_FRAMES)):
        count = min(SHARD_FRAMES, frames - first)
        if shard % 4 == 0:
            start = rng.normal(size=128)
        walk = start + np.cumsum(rng.normal(scale=0.1, size=(count, 128)), axis=0)
        start = walk[-1]
        features = (walk / np.linalg.norm(walk, axis=1, keepdims=True)).astype(np.float32)
        boxes = rng.integers(0, 5, count)
        ends = np.concatenate([[0], np.cumsum(boxes)])
        corners = rng.random((ends[-1], 4)).astype(np.float32) * 300
        four = pa.ListArray.from_arrays(pa.array(np.arange(ends[-1] + 1) * 4, pa.int32()), pa.array(corners.ravel()))
        offsets = pa.array(ends, pa.int32())

        def lists(values: object, offsets: pa.Array = offsets) -> pa.Array:
            return pa.ListArray.from_arrays(offsets, values)

        probabilities = rng.dirichlet(0.1 + np.arange(CLASSES) ** 2 / 100, count).astype(np.float32)
        columns = {
            "frame_id": pa.array(ids[first : first + count]),
            **{name: rng.random(count) for name in dict.fromkeys((*SCALAR_COLUMNS, "top_k_uncertainty", "entropy"))},
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), 128),
            "class_probabilities": pa.array(list(probabilities), pa.list_(pa.float32())),
            "boxes_xyxy": lists(four),
            "labels": lists(pa.array(rng.integers(0, CLASSES, ends[-1]), pa.int32())),
            "scores": lists(pa.array(rng.random(ends[-1]), pa.float32())),
            "box_uncertainties": lists(pa.array(rng.random(ends[-1]), pa.float32())),
        }
        write_table(run / f"part-{shard:06d}.parquet", pa.table(columns))


if __name__ == "__main__":
    main()
