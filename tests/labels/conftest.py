"""A workspace that labels come back to."""

from pathlib import Path

import pytest
from labels.returns import FRAMES, make_workspace

from curate.workspace import Workspace

PREDICTIONS = {
    # One box as it will be labelled, one that is moved, one that is taken out, one of a score too low to be shown.
    FRAMES[0]: [
        ((10.0, 20.0, 40.0, 60.0), "car", 0.9),
        ((100.0, 20.0, 140.0, 60.0), "bus", 0.6),
        ((150.0, 70.0, 190.0, 95.0), "car", 0.8),
        ((0.0, 0.0, 5.0, 5.0), "car", 0.1),
    ],
    FRAMES[2]: [((64.0, 48.0, 384.0, 288.0), "car", 0.95)],
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "w", PREDICTIONS)
