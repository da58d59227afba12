"""Workspaces with generated frames, score parts and selections, written as the other stages write them."""

import colorsys
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.pool import Pool
from curate.scoring.scorers import EMBEDDING_DIM
from curate.tables import read_table, write_table
from curate.types import Frame, SelectedFrame, Source, cache_path, frame_id
from curate.workspace import Workspace

CATEGORIES = ["bolt", "nut", "wrench"]
WIDTH, HEIGHT = 160, 96
SHARD_FRAMES = 256


def make_workspace(root: Path, *, videos: int, frames: int, images: int = 0) -> tuple[Workspace, Pool]:
    """A workspace of `videos` videos with `frames` cached frames each, and `images` images; each has its own colour."""
    workspace = Workspace.create(root, imgsz=WIDTH)
    sources = [_source(f"clip{n:02d}-{n:08x}", f"/data/clip{n:02d}.mp4", frames) for n in range(videos)]
    sources += [_source(f"photo{n:02d}-{n:08x}", f"/data/photo{n:02d}.jpg", 0) for n in range(images)]
    rows = []
    for source in sources:
        for index in range(max(source.frames, 1)):
            rows.append(
                Frame(
                    frame_id=frame_id(source.source, source.kind, index),
                    source=source.source,
                    frame_index=index,
                    timestamp_s=index / 25,
                    width=WIDTH,
                    height=HEIGHT,
                )
            )
    for position, row in enumerate(rows):
        write_jpeg(cache_path(workspace.frames, row.source, row.frame_index), color_of(position, len(rows)))
    pool = Pool.load(workspace)
    pool.add(sources, rows)
    pool.save(workspace)
    return workspace, pool


def color_of(position: int, count: int) -> tuple[int, int, int]:
    """The colour of the frame at a place in the pool: hues all around."""
    red, green, blue = colorsys.hsv_to_rgb(position / count, 1.0, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)


def write_jpeg(path: Path, color: tuple[int, int, int]) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), color).save(path, quality=90)


def write_detector_run(workspace: Workspace, pool: Pool, *, name: str = "run-1", boxes: int = 3, seed: int = 0) -> Path:
    """A finished run of a detector over the whole pool: distinct uncertainties, `boxes` boxes in each frame."""
    run = workspace.scores / name
    workspace.write_json(
        run / "run.json", {"kind": "detector", "detector": "tiny", "categories": CATEGORIES, "weights_sha256": "0" * 64}
    )
    rng = np.random.default_rng(seed)
    ids = pool.frames["frame_id"].to_pylist()
    uncertainty = rng.permutation(len(ids)) / len(ids)
    for shard, start in enumerate(range(0, len(ids), SHARD_FRAMES)):
        part = slice(start, min(start + SHARD_FRAMES, len(ids)))
        write_table(run / f"part-{shard:06d}.parquet", _part(ids[part], uncertainty[part], boxes, rng))
    return run


def write_embedding_run(workspace: Workspace, pool: Pool, *, name: str = "cold") -> Path:
    """A finished cold-start run: embeddings and no scores."""
    run = workspace.scores / name
    workspace.write_json(
        run / "run.json", {"kind": "embedding", "detector": "backbone", "categories": [], "weights_sha256": "0" * 64}
    )
    ids = pool.frames["frame_id"]
    embedding = pa.array([[0.0, 1.0]] * len(ids), pa.list_(pa.float32()))
    write_table(run / "part-000000.parquet", pa.table({"frame_id": ids, "embedding": embedding}))
    return run


def select(pool: Pool, frame_ids: list[str], uncertainty: dict[str, float] | None = None) -> list[SelectedFrame]:
    """A selection of these frames in this order."""
    rows = {row["frame_id"]: row for row in pool.frames.to_pylist()}
    return [
        SelectedFrame(
            rank=rank,
            frame_id=chosen,
            source=rows[chosen]["source"],
            frame_index=rows[chosen]["frame_index"],
            timestamp_s=rows[chosen]["timestamp_s"],
            uncertainty=uncertainty[chosen] if uncertainty else None,
            utility=1.0 / rank,
            reason=f"number {rank}",
        )
        for rank, chosen in enumerate(frame_ids, 1)
    ]


def by_uncertainty(run: Path) -> dict[str, float]:
    """frame_id -> uncertainty, most uncertain first."""
    parts = pa.concat_tables([read_table(part) for part in sorted(run.glob("part-*.parquet"))])
    parts = parts.sort_by([("uncertainty", "descending")])
    return dict(zip(parts["frame_id"].to_pylist(), parts["uncertainty"].to_pylist(), strict=True))


def _source(name: str, path: str, frames: int) -> Source:
    return Source(
        source=name,
        path=path,
        sha256=name[-8:] * 8,
        bytes=1,
        mtime_ns=0,
        kind="video" if frames else "image",
        width=2 * WIDTH,
        height=2 * HEIGHT,
        fps=25.0 if frames else 0.0,
        frames=frames,
    )


def _part(ids: list[str], uncertainty: "np.ndarray", boxes: int, rng: np.random.Generator) -> pa.Table:
    count = len(ids)
    corners = rng.random((count, boxes, 2)) * [WIDTH / 2, HEIGHT / 2]
    corners = np.concatenate([corners, corners + np.array([WIDTH / 3, HEIGHT / 3])], axis=2).astype(np.float32)
    return pa.table(
        {
            "frame_id": pa.array(ids, pa.string()),
            "uncertainty": uncertainty,
            "printed_uncertainty": uncertainty / 3,
            "mean_uncertainty": uncertainty / 2,
            "max_uncertainty": np.minimum(uncertainty * 2, 1.0),
            "objectness_uncertainty": uncertainty / 4,
            "top_k_uncertainty": uncertainty / 2,
            **{name: rng.random(count) for name in ("entropy", "margin", "least_confidence")},
            "embedding": pa.array(_directions(count, rng).tolist(), pa.list_(pa.float32(), EMBEDDING_DIM)),
            "class_probabilities": pa.array(rng.random((count, len(CATEGORIES))).tolist(), pa.list_(pa.float32())),
            "boxes_xyxy": pa.array(corners.tolist(), pa.list_(pa.list_(pa.float32()))),
            "labels": pa.array(rng.integers(0, len(CATEGORIES), (count, boxes)).tolist(), pa.list_(pa.int32())),
            "scores": pa.array(rng.random((count, boxes)).tolist(), pa.list_(pa.float32())),
            "box_uncertainties": pa.array(rng.random((count, boxes)).tolist(), pa.list_(pa.float32())),
        }
    )


def _directions(count: int, rng: np.random.Generator) -> np.ndarray:
    vectors = rng.normal(size=(count, EMBEDDING_DIM))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
