"""A workspace with a selection, as `select` leaves it."""

from pathlib import Path

import pytest
from handoff.handover import SELECTION, SOURCES, Handover
from PIL import Image

from curate.workspace import Workspace


@pytest.fixture
def handover(tmp_path: Path) -> Handover:
    handover = Handover(Workspace.create(tmp_path / "ws", imgsz=320))
    (handover.workspace.selection / "images").mkdir(parents=True)
    for frame in SELECTION:
        source = SOURCES[frame.source]
        color = (frame.frame_index, 100, 200)
        Image.new("RGB", (source.width, source.height), color).save(handover.image(frame), quality=90)
    return handover
