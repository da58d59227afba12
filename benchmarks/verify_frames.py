"""How well `curate verify` tells a frame from its neighbours, on videos of your own.

    python benchmarks/verify_frames.py VIDEOS... [--frames 4]

Exports some frames of each video, verifies them (each that differs is a false alarm), then puts the picture of the
next frame in the place of each, verifies again, and counts those that are found and those that are named rightly.
Pictures that are the very same as the frame's own are counted apart: nobody could tell.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from curate.handoff.export import export  # noqa: E402
from curate.handoff.manifest import HandedOver, read_manifest  # noqa: E402
from curate.media.reread import write_all_full_size  # noqa: E402
from curate.pipeline.index import index  # noqa: E402
from curate.pipeline.verify import VerifyResult, verify  # noqa: E402
from curate.pool import Pool  # noqa: E402
from curate.types import Sampling, SelectedFrame, export_stem  # noqa: E402
from curate.workspace import Workspace  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description="False alarms and misses of `curate verify`.")
    parser.add_argument("paths", nargs="+", metavar="VIDEOS", help="videos and folders of videos")
    parser.add_argument("--frames", type=int, default=4, help="frames of each video")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.create(Path(folder) / "w", imgsz=640)
        index(workspace, arguments.paths, sampling=Sampling(every_s=0.5))
        exported = _export(workspace, arguments.frames)
        begin = time.perf_counter()
        result = verify(workspace, sample=None)
        took_s = time.perf_counter() - begin
        _tell(f"{len(exported)} exported frames in {took_s:.1f} s", result)
        for frame in result.wrong:
            print(f"  {frame.path}: {frame.checked.reason}")
        right = [frame.checked.difference or 0.0 for frame in result.frames]
        print(f"  furthest from its own frame: {max(right):.4f} levels")

        swapped = _swap(workspace, exported)
        result = verify(workspace, sample=None)
        of_swapped = [frame for frame in result.frames if frame.exported.frame_id in swapped]
        missed = [frame for frame in of_swapped if frame not in result.wrong]
        same = [frame for frame in missed if frame.checked.difference == 0]
        named = [frame for frame in of_swapped if frame.checked.shows == frame.exported.frame_index + 1]
        apart = sorted(frame.checked.difference or 0.0 for frame in of_swapped if frame not in same)
        print(f"{len(swapped)} replaced by the next frame: {len(same)} are the same picture")
        print(
            f"  of the others {len(swapped) - len(missed)} found, {len(named)} named, {len(missed) - len(same)} missed"
        )
        print(
            f"  from the frame that they should show: {apart[0]:.4f} to {apart[-1]:.1f} levels, "
            f"{apart[len(apart) // 20]:.3f} at the 5th percentile"
        )


def _export(workspace: Workspace, per_video: int) -> list[HandedOver]:
    pool = Pool.load(workspace)
    by_source: dict[str, list[dict[str, object]]] = {}
    for row in pool.frames.to_pylist():
        if pool.sources[row["source"]].kind == "video":
            by_source.setdefault(row["source"], []).append(row)
    images = workspace.selection / "images"
    wanted = {
        key: {
            row["frame_index"]: images / f"{export_stem(str(row['frame_id']))}.jpg" for row in _spread(rows, per_video)
        }
        for key, rows in by_source.items()
    }
    lost = {
        written.source.source
        for written in write_all_full_size([(pool.sources[key], frames) for key, frames in wanted.items()])
        if written.reason
    }
    names = ("frame_id", "source", "frame_index", "timestamp_s")
    chosen = [row for key, rows in by_source.items() if key not in lost for row in _spread(rows, per_video)]
    selection = [
        SelectedFrame(rank, **{name: row[name] for name in names}, uncertainty=None, utility=0.0, reason="")
        for rank, row in enumerate(chosen, start=1)
    ]
    export(workspace=workspace, selection=selection, sources=pool.sources, categories=("thing",))
    return read_manifest(workspace.exports / "coco")


def _spread(rows: list[dict[str, object]], count: int) -> list[dict[str, object]]:
    step = max(1, len(rows) // count)
    return rows[::step][:count]


def _swap(workspace: Workspace, exported: list[HandedOver]) -> set[str]:
    """Put the next frame's picture in the place of each; the ids of the frames where there is a next one."""
    sources = Pool.load(workspace).sources
    targets: dict[str, dict[int, Path]] = {}
    swapped = set()
    for frame in exported:
        if frame.frame_index + 1 < sources[frame.source].frames:
            # The export shares its files with the selection.
            kept = frame.image.with_suffix(".kept")
            shutil.move(frame.image, kept)
            targets.setdefault(frame.source, {})[frame.frame_index + 1] = frame.image
            swapped.add(frame.frame_id)
    for written in write_all_full_size([(sources[key], frames) for key, frames in targets.items()]):
        if written.reason:
            sys.exit(f"{written.source.path}: {written.reason}")
    return swapped


def _tell(title: str, result: VerifyResult) -> None:
    counts = ", ".join(f"{result.count(name)} {name}" for name in ("agrees", "unconfirmed", "differs", "unreadable"))
    print(f"{title}: {counts}")


if __name__ == "__main__":
    main()
