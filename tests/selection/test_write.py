from dataclasses import replace
from pathlib import Path

import pytest

from curate.errors import CurateError
from curate.selection.write import SelectionInfo, read_info, read_selection, write_selection
from curate.types import SelectedFrame, Source

SOURCE = Source("a-00000000", "/videos/a.mp4", "0" * 64, 1, 1, "video", time_base="1/15360")
FRAME = SelectedFrame(1, "a-00000000:00000015", SOURCE.source, 15, 0.5, 0.123456789, 0.25, "midl: utility 1 of 9")


def test_round_trip_and_exact_text(tmp_path: Path) -> None:
    cold = SelectedFrame(2, "a-00000000:00000000", SOURCE.source, 0, 0.0, None, 1.5, 'says "cold", start')
    info = SelectionInfo("cold-start", "k-center", 9, 2, 1.0, 3)
    details: dict[str, dict[str, float]] = {FRAME.frame_id: {"max": 1.0}, cold.frame_id: {}}
    write_selection(tmp_path, [FRAME, cold], {SOURCE.source: SOURCE}, details, info)
    assert read_info(tmp_path) == info
    assert (tmp_path / "selection.csv").read_text() == (
        "rank,frame_id,source,frame_index,timestamp_s,uncertainty,utility,reason\n"
        "1,a-00000000:00000015,a-00000000,15,0.5,0.123457,0.25,midl: utility 1 of 9\n"
        '2,a-00000000:00000000,a-00000000,0,0.0,,1.5,"says ""cold"", start"\n'
    )
    first, second = read_selection(tmp_path)
    assert (first.rank, first.frame_id, first.uncertainty) == (1, FRAME.frame_id, 0.123457)
    assert second == cold
    lines = (tmp_path / "selection.jsonl").read_text().splitlines()
    assert '"max": 1.0' in lines[0]
    assert '"path": "/videos/a.mp4"' in lines[1]
    assert '"time_base": "1/15360"' in lines[1]


def test_a_late_time_stamp_keeps_its_microseconds(tmp_path: Path) -> None:
    late = replace(FRAME, timestamp_s=12345.6789011)
    info = SelectionInfo("cold-start", "k-center", 9, 1, 1.0, 3)
    write_selection(tmp_path, [late], {SOURCE.source: SOURCE}, {late.frame_id: {}}, info)
    assert read_selection(tmp_path)[0].timestamp_s == 12345.678901


def test_no_selection_and_damaged_selection(tmp_path: Path) -> None:
    with pytest.raises(CurateError, match="no selection yet"):
        read_selection(tmp_path)
    with pytest.raises(CurateError, match="no selection yet"):
        read_info(tmp_path)
    (tmp_path / "run.json").write_text('{"run": "x"}')
    with pytest.raises(CurateError, match="damaged"):
        read_info(tmp_path)
    (tmp_path / "selection.csv").write_text("rank,frame_id\n1,x\n")
    with pytest.raises(CurateError, match="not a selection"):
        read_selection(tmp_path)
