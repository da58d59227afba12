"""A selection of two frames of a video and a still, and a workspace to export it from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.handoff.export import ExportResult, export
from curate.types import SelectedFrame, Source, export_stem
from curate.workspace import Workspace

CLIP = Source(
    "clip_1-11111111", "/data/videos/clip 1.mp4", "1" * 64, 1, 1, "video", 200, 100, frames=50, time_base="1/12800"
)
PHOTO = Source("photo-33333333", "/data/photo.png", "3" * 64, 1, 1, "image", 64, 48)
SOURCES = {source.source: source for source in (CLIP, PHOTO)}


def picked(rank: int, source: Source, index: int, uncertainty: float | None) -> SelectedFrame:
    frame_id = f"{source.source}:{index:08d}" if source.kind == "video" else source.source
    return SelectedFrame(rank, frame_id, source.source, index, index / 25, uncertainty, 1 / rank, f"why {rank}")


SELECTION = (
    picked(2, PHOTO, 0, None),
    picked(1, CLIP, 42, 0.75),
    picked(3, CLIP, 7, float("nan")),
)
PREDICTIONS = {
    "clip_1-11111111:00000042": [
        ((10.123, 20.456, 60.789, 80.1), "car", 0.4),
        ((-5.0, 90.0, 1000.0, 1000.0), "bus", 0.9),
        ((300.0, 10.0, 310.0, 20.0), "bus", 0.8),
    ],
    "photo-33333333": [((0.0, 0.0, 63.999, 47.999), "car", 1.0)],
    "clip_1-11111111:00000049": [((0.0, 0.0, 5.0, 5.0), "car", 1.0)],
}


@dataclass(frozen=True)
class Handover:
    """A workspace to export from."""

    workspace: Workspace

    def export(self, **changed: Any) -> ExportResult:
        """Export the selection, with arguments changed or added."""
        arguments: dict[str, Any] = {
            "workspace": self.workspace,
            "selection": SELECTION,
            "sources": SOURCES,
            "categories": ("car", "bus", "bicycle"),
            "run_id": "run-1",
            "seed": 3,
        }
        return export(**(arguments | changed))

    def image(self, frame: SelectedFrame) -> Path:
        """Where the selected frame lies at full size."""
        return self.workspace.selection / "images" / f"{export_stem(frame.frame_id)}.jpg"
