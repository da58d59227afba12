"""Peak memory and speed of each stage of `curate score`, for a pool and for copies of it.

    python benchmarks/memory.py --data clips/ [--copies 1 4] [--classes 19]

Every stage runs in a process of its own, on all frames of the videos in `--data`. Memory is that of the process and all
of its children together (proportional set size, so that shared pages count once), sampled ten times a second; for the
dataset that includes mongod. The detector has the size of a trained one and untrained weights.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

STAGES = ("index", "cold start", "scoring", "selection", "dataset")


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of each stage.")
    parser.add_argument("--data", type=Path, required=True, help="folder of videos")
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        run_stage(arguments.stage, arguments.folder)
        return

    from browse.mongod import running_mongod, use_database

    for copies in arguments.copies:
        with running_mongod() as uri, tempfile.TemporaryDirectory() as name:
            use_database(uri)
            folder = Path(name)
            copy_videos(arguments.data, folder / "videos", copies)
            save_untrained(folder / "detector", arguments.classes)
            frames = None
            for stage in STAGES:
                peak_mb, seconds = measure(stage, folder)
                frames = frames or count_frames(folder)
                rate = f"{frames / seconds:8,.0f} frames/s" if stage != "selection" else ""
                print(f"{frames:8,} frames  {stage:<10} {peak_mb:6,.0f} MB  {seconds:7.1f} s {rate}", flush=True)


def copy_videos(data: Path, target: Path, copies: int) -> None:
    """Copies under names of their own: each is a source."""
    target.mkdir()
    for path in sorted(data.iterdir()):
        for n in range(copies):
            shutil.copy(path, target / f"{path.stem}_{n}{path.suffix}")


def save_untrained(folder: Path, classes: int) -> None:
    from detectors.checkpoint import METRICS, save_detector, write_json
    from detectors.config import TrainConfig
    from detectors.registry import build_detector

    config = TrainConfig()
    detector = build_detector(
        config.detector, num_classes=classes, backbone=config.backbone, weights=config.weights, midl=config.midl
    )
    folder.mkdir()
    categories = tuple(f"class {n}" for n in range(classes))
    save_detector(folder, detector, config, categories=categories, labels_sha256="")
    write_json(folder / METRICS, {})


def measure(stage: str, folder: Path) -> tuple[float, float]:
    """Run a stage in a process of its own; peak memory in MB and seconds."""
    import psutil

    command = [sys.executable, __file__, "--data", ".", "--stage", stage, "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        root, peak = psutil.Process(process.pid), 0
        others = [p for p in psutil.Process().children() if p.name() == "mongod"] if stage == "dataset" else []
        while process.poll() is None:
            peak = max(peak, sum(pss(p) for p in [root, *others, *children(root)]))
            time.sleep(0.1)
        assert process.stdout is not None
        output = process.stdout.read()
    if process.returncode:
        sys.exit(f"{stage} failed")
    return peak / 2**20, float(json.loads(output.splitlines()[-1]))


def children(root: "psutil.Process") -> "list[psutil.Process]":
    import psutil

    try:
        return root.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def pss(process: "psutil.Process") -> int:
    import psutil

    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def run_stage(stage: str, folder: Path) -> None:
    """One stage of the main job, as `curate score` does it; prints its seconds."""
    from curate.pipeline.browse import browse
    from curate.pipeline.index import index
    from curate.pipeline.score import score
    from curate.pipeline.select import select
    from curate.selection.budget import Budget
    from curate.selection.gap import Gap
    from curate.selection.options import SelectOptions
    from curate.types import Sampling
    from curate.workspace import Workspace

    workspace = Workspace.create(folder / "workspace", imgsz=640)
    started = time.perf_counter()
    if stage == "index":
        index(workspace, [str(folder / "videos")], sampling=Sampling(stride=1))
    elif stage in ("cold start", "scoring"):
        score(workspace, detector=None if stage == "cold start" else str(folder / "detector"))
    elif stage == "selection":
        select(workspace, Budget(percent=5), SelectOptions(gap=Gap(0.2)))
    else:
        browse(workspace)
    print(json.dumps(time.perf_counter() - started))


def count_frames(folder: Path) -> int:
    from curate.pool import Pool
    from curate.workspace import Workspace

    return int(Pool.load(Workspace.open(folder / "workspace")).frames.num_rows)


if __name__ == "__main__":
    main()
