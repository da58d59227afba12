"""What a log says of a stage that is done, quick or slow."""

import pytest

from curate.cli.console import pace


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(1234.56, "1,234.6 steps/s"), (0.1, "0.1 steps/s"), (0.0254, "39.4 s each"), (1 / 7200, "7,200.0 s each")],
)
def test_pace(per_second: float, text: str) -> None:
    """A training of full size on a CPU takes tens of seconds a step, which is not 0.0 steps/s."""
    assert pace(per_second, "steps") == text
