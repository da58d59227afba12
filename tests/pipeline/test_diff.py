"""Two selections beside each other."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curate.cli.app import app
from curate.errors import CurateError, UsageError
from curate.pipeline.diff import diff


def write(folder: Path, frames: list[tuple[str, float | None]], classes: list[list[str]] | None = None) -> Path:
    folder.mkdir(parents=True)
    lines = ["rank,frame_id,source,uncertainty"]
    lines += [
        f"{n},{frame_id},{frame_id.partition(':')[0]},{'' if u is None else u}"
        for n, (frame_id, u) in enumerate(frames, 1)
    ]
    (folder / "selection.csv").write_text("\n".join(lines) + "\n")
    if classes is not None:
        rows = [
            {"frame_id": frame_id, "rank": n, "boxes": [{"category": name} for name in names]}
            for n, ((frame_id, _), names) in enumerate(zip(frames, classes, strict=True), 1)
        ]
        (folder / "selection.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    a = write(
        tmp_path / "a",
        [("u:1", 0.9), ("u:2", 0.8), ("v:1", 0.7), ("v:2", 0.6)],
        [["nut", "nut"], ["nut", "bolt"], [], ["bolt"]],
    )
    b = write(tmp_path / "b", [("v:1", 0.7), ("w:1", 0.4), ("u:2", 0.8), ("u:1", 0.9)])
    return a, b


def test_what_two_selections_share(pair: tuple[Path, Path]) -> None:
    found = diff(*pair)
    assert found.common == ("u:1", "u:2", "v:1")
    assert (found.only_a, found.only_b) == (("v:2",), ("w:1",))
    assert found.overlap == pytest.approx(3 / 5)
    assert found.rank_correlation == pytest.approx(-1)
    assert (found.a.mean_uncertainty, found.b.mean_uncertainty) == (pytest.approx(0.75), pytest.approx(0.7))
    assert (found.mean_uncertainty_only_a, found.mean_uncertainty_only_b) == (0.6, 0.4)
    assert (found.a.videos, found.b.videos) == ({"u": 2, "v": 2}, {"u": 2, "v": 1, "w": 1})
    assert (found.a.classes, found.b.classes) == ({"bolt": 2, "nut": 2}, None)


def test_the_order_is_that_of_the_ranks_or_of_the_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("rank,frame_id\n3,x\n1,y\n2,z\n")
    (tmp_path / "b.csv").write_text("frame_id\ny\nz\nx\n")
    found = diff(tmp_path / "a.csv", tmp_path / "b.csv")
    assert found.common == ("y", "z", "x")
    assert found.rank_correlation == pytest.approx(1)
    assert found.a.mean_uncertainty is None


def test_nothing_in_common(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", [("u:1", None)]), write(tmp_path / "b", [])
    found = diff(a, b)
    assert (found.common, found.overlap, found.rank_correlation) == ((), 0, None)
    assert diff(b, b).overlap == 1


def test_the_table_and_the_json(pair: tuple[Path, Path]) -> None:
    done = CliRunner().invoke(app, ["diff", *map(str, pair)])
    assert done.exit_code == 0
    assert "3 frames in both, 1 only in A, 1 only in B; overlap 60.0%, rank correlation -1.000" in done.output
    table = [line.split() for line in done.output.splitlines()]
    assert ["mean", "uncertainty", "0.75", "0.7"] in table
    assert ["w", "0", "1"] in table
    assert ["nut", "2", "-"] in table
    document = json.loads(CliRunner().invoke(app, ["diff", *map(str, pair), "--json"]).output)
    assert document["only_b"] == ["w:1"]
    assert document["a"]["classes"] == {"bolt": 2, "nut": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rank,name\n1,x\n", "no column frame_id"),
        ("rank,frame_id\none,x\n", "not a selection"),
        ("frame_id\nx\nx\n", "1 frames are listed twice"),
    ],
)
def test_files_that_are_no_selection(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(CurateError, match=message):
        diff(tmp_path / "a.csv", tmp_path / "a.csv")


def test_no_selection_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give a folder with"):
        diff(tmp_path, tmp_path)
