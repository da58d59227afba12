"""Candidates and workspaces with generated frames and scores, written as the other stages write them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.pool import Pool
from curate.selection.candidates import Candidates, join
from curate.tables import schema_of, to_table, write_table
from curate.types import Frame, FrameState, Source, frame_id
from curate.workspace import Workspace

CATEGORIES = ("bolt", "nut", "wrench", "pin")
SCALARS = (
    "uncertainty",
    "printed_uncertainty",
    "mean_uncertainty",
    "max_uncertainty",
    "objectness_uncertainty",
    "top_k_uncertainty",
    "entropy",
    "margin",
    "least_confidence",
)
DIM = 16
STEP_S = 0.5


def make_frames(videos: Sequence[int], images: int = 0, state: FrameState = "unlabeled") -> pa.Table:
    """A pool of videos with so many frames each, half a second apart, and images."""
    rows = []
    for n, count in enumerate(videos):
        source = f"clip{n:03d}-{n:08x}"
        rows += [
            Frame(frame_id(source, "video", 3 * k), source, 3 * k, k * STEP_S, 64, 64, state) for k in range(count)
        ]
    for n in range(images):
        source = f"photo{n:03d}-{n:08x}"
        rows.append(Frame(source, source, 0, 0.0, 64, 64, state))
    return to_table(rows, Frame) if rows else schema_of(Frame).empty_table()


def make_scores(frame_ids: Sequence[str], *, seed: int = 0, kinds: int = 6, levels: int = 0) -> pa.Table:
    """A detector's scores: features around `kinds` centres, `levels` different uncertainties (0: as many as frames)."""
    rng = np.random.default_rng(seed)
    count = len(frame_ids)
    features = rng.normal(size=(kinds, DIM))[rng.integers(0, kinds, count)] + 0.3 * rng.normal(size=(count, DIM))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    columns: dict[str, object] = {"frame_id": pa.array(frame_ids, pa.string())}
    for name in SCALARS:
        values = rng.integers(0, levels, count) / levels if levels else rng.random(count)
        columns[name] = pa.array(values, pa.float64())
    columns["embedding"] = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel().astype(np.float32)), DIM)
    probabilities = rng.dirichlet([2.0, 1.0, 0.3, 0.1], count).astype(np.float32)
    columns["class_probabilities"] = pa.array(probabilities.tolist(), pa.list_(pa.float32()))
    boxes = rng.integers(0, 4, count)
    corners = [[[1.0, 2.0, 30.0, 40.0 + k] for k in range(n)] for n in boxes]
    columns["boxes_xyxy"] = pa.array(corners, pa.list_(pa.list_(pa.float32())))
    columns["labels"] = pa.array([list(range(n)) for n in boxes], pa.list_(pa.int32()))
    columns["scores"] = pa.array([[0.9 - 0.25 * k for k in range(n)] for n in boxes], pa.list_(pa.float32()))
    columns["box_uncertainties"] = pa.array([rng.random(n).tolist() for n in boxes], pa.list_(pa.float32()))
    return pa.table(columns)


def make_candidates(
    frames: pa.Table,
    *,
    labeled: pa.Table | None = None,
    groups: Sequence[int] | None = None,
    costs: Sequence[float] | None = None,
    seed: int = 0,
    kinds: int = 6,
    levels: int = 0,
) -> Candidates:
    """Candidates as `curate.pipeline.select` makes them."""
    numbers = pa.array(groups if groups is not None else [-1] * frames.num_rows, pa.int64())
    frames = frames.append_column("duplicate_group", numbers)
    if costs is not None:
        frames = frames.append_column("cost_s", pa.array(costs, pa.float64()))
    ids = frames["frame_id"].to_pylist() + (labeled["frame_id"].to_pylist() if labeled is not None else [])
    return join(frames, make_scores(ids, seed=seed, kinds=kinds, levels=levels), labeled)


def write_workspace(
    root: Path,
    *,
    videos: Sequence[int],
    images: int = 0,
    labeled: Sequence[int] = (),
    kind: str = "detector",
    shuffle: int | None = None,
    parts: int = 3,
    seed: int = 0,
) -> Workspace:
    """A workspace with a pool and one finished score run, without pictures.

    `labeled` are positions in the pool of frames that are labelled. `shuffle` is the seed of the order of all rows of
    the score parts; None leaves them as they are.
    """
    workspace = Workspace.create(root, imgsz=64)
    frames = make_frames(videos, images)
    states = ["labeled" if n in set(labeled) else "unlabeled" for n in range(frames.num_rows)]
    frames = frames.set_column(frames.schema.get_field_index("state"), "state", pa.array(states))
    names = dict.fromkeys(frames["source"].to_pylist())
    sources = [
        Source(name, f"/data/{name}.mp4", name[-8:] * 8, 1, 1, "video" if name.startswith("clip") else "image")
        for name in names
    ]
    pool = Pool(sources, frames)
    pool.save(workspace)
    scores = make_scores(frames["frame_id"].to_pylist(), seed=seed)
    if kind == "embedding":
        scores = scores.select(["frame_id", "embedding"])
    order = np.arange(frames.num_rows)
    if shuffle is not None:
        order = np.random.default_rng(shuffle).permutation(order)
    run = workspace.scores / "run-1"
    info = {"kind": kind, "detector": "tiny", "categories": list(CATEGORIES), "weights_sha256": "0" * 64}
    workspace.write_json(run / "run.json", info)
    for n, rows in enumerate(np.array_split(order, parts)):
        write_table(run / f"part-{n:06d}.parquet", scores.take(rows))
    return workspace
