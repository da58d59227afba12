"""Frames per second and memory of building the FiftyOne dataset, for several pool sizes.

    python benchmarks/fiftyone_build.py [--frames 5040 20000] [--boxes 20]

Makes the frames, score parts and selection in a temporary folder, starts a mongod of its own, and builds in a new
process for each size: once from nothing, then twice more with nothing changed and with all scores changed.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and memory of the FiftyOne dataset.")
    parser.add_argument("--frames", type=int, nargs="+", default=[5040, 20000])
    parser.add_argument("--boxes", type=int, default=20, help="predicted boxes in each frame")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build is not None:
        print(json.dumps(build(arguments.build)))
        return

    from browse.mongod import running_mongod, use_database

    print(
        f"{arguments.boxes} boxes a frame; frames/s first build, unchanged, all scores changed; memory of the builder"
    )
    for frames in arguments.frames:
        with running_mongod() as uri, tempfile.TemporaryDirectory() as folder:
            use_database(uri)
            make(Path(folder) / "space", frames, arguments.boxes)
            command = [sys.executable, __file__, "--build", str(Path(folder) / "space")]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rates = "  ".join(f"{frames / seconds:7,.0f}" for seconds in found["seconds"])
        print(
            f"{frames:8,} frames: {rates} frames/s; {found['imported_mb']:.0f} MB with FiftyOne imported, "
            f"{found['peak_mb']:.0f} MB at the peak"
        )


def make(root: Path, frames: int, boxes: int) -> None:
    """A workspace of 50 videos with two score runs."""
    from browse.workspaces import make_workspace, write_detector_run

    workspace, pool = make_workspace(root, videos=50, frames=frames // 50)
    write_detector_run(workspace, pool, name="run-1", boxes=boxes)
    write_detector_run(workspace, pool, name="run-2", boxes=boxes, seed=1)


def build(root: Path) -> dict[str, object]:
    """Build three times in this process."""
    from browse.workspaces import select

    from curate.browse.database import connect
    from curate.browse.dataset import build_dataset
    from curate.pool import Pool
    from curate.workspace import Workspace

    workspace = Workspace.open(root)
    pool = Pool.load(workspace)
    selection = select(pool, pool.frames["frame_id"].to_pylist()[::20])
    connect()
    imported = peak_mb()
    seconds = []
    for run in ("run-1", "run-1", "run-2"):
        started = time.perf_counter()
        build_dataset(workspace, pool, score_run=workspace.scores / run, selection=selection)
        seconds.append(time.perf_counter() - started)
    return {"seconds": seconds, "imported_mb": imported, "peak_mb": peak_mb()}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
