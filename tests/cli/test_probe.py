"""`curate probe` on files that are sound, unusual and damaged."""

import json
import time
from pathlib import Path, PosixPath
from typing import Any, NoReturn

import pytest
from commands import curate, curate_on_terminal, one_line
from PIL import Image
from videos import write_numbered_video, write_trimmed_video

from curate.media.inspection import inspect

ENDLESS_MS = [40 * n + (460 if n > 20 else 0) for n in range(60)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probe")
    whole = write_numbered_video(folder / "whole.mp4", rotation=90, options={"bf": "2", "g": "12", "sc_threshold": "0"})
    write_trimmed_video(whole, folder / "trimmed.mp4", skip=5)
    write_numbered_video(folder / "long.mp4", frames=310)
    write_numbered_video(folder / "uneven.mkv", times_ms=ENDLESS_MS, options={"bf": "0"})
    write_numbered_video(folder / "stream.ts")
    write_numbered_video(folder / "large.avi", codec="rawvideo", frames=220)
    fast = write_numbered_video(folder / "torn.mp4", container_options={"movflags": "faststart"})
    fast.write_bytes(fast.read_bytes()[:-2000])
    (folder / "text.mp4").write_text("This is not a video.\n" * 50)
    Image.new("RGB", (64, 48), "red").save(folder / "sound.jpg")
    torn = Image.effect_noise((64, 48), 80)
    torn.save(folder / "torn.jpg")
    (folder / "torn.jpg").write_bytes((folder / "torn.jpg").read_bytes()[:1000])
    return folder


def probed(*arguments: object, code: int) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for line in curate("probe", "--json", *arguments, code=code).stdout.splitlines()]
    return {Path(row["path"]).name: row for row in rows}


def test_what_is_in_each_file(folder: Path) -> None:
    rows = probed(folder, code=3)
    assert list(rows) == sorted(path.name for path in folder.iterdir())
    whole = rows["whole.mp4"]
    names = ("codec", "pixel_format", "width", "height", "rotation", "fps", "header_frames", "time_base", "backend")
    assert [whole[name] for name in names] == ["h264", "yuv420p", 288, 192, 90, 30.0, 60, "1/15360", "pyav"]
    assert whole["trust"].startswith("short: PyAV has read 300 frames or fewer")
    assert rows["long.mp4"]["backend"] == "decord"
    assert rows["long.mp4"]["trust"] == "decord is proven with h264 in mp4, and all packets are regular"
    assert (whole["packets"], whole["b_frames"], whole["variable_rate"]) == (60, True, False)
    assert (whole["problems"], whole["remarks"]) == ([], ["B-frames"])
    trimmed = rows["trimmed.mp4"]
    assert (trimmed["edit_list"], trimmed["backend"], trimmed["trust"]) == (
        True,
        "pyav",
        "an edit list leaves out frames",
    )
    assert (rows["uneven.mkv"]["variable_rate"], rows["uneven.mkv"]["b_frames"]) == (True, False)
    assert rows["uneven.mkv"]["remarks"] == ["frames 40 to 500 ms apart"]
    assert rows["stream.ts"]["start_s"] == pytest.approx(2 / 30, abs=1e-4)
    assert rows["stream.ts"]["trust"] == "decord cannot be trusted with mpegts files"
    assert "starts at 0.067 s" in rows["stream.ts"]["remarks"]


def test_problems_are_named(folder: Path) -> None:
    rows = probed(folder, code=3)
    problems = {name: row["problems"] for name, row in rows.items() if row["problems"]}
    assert set(problems) == {"torn.mp4", "text.mp4"}
    assert problems["torn.mp4"][0].startswith("breaks off: its index goes to byte ")
    assert problems["torn.mp4"][1].startswith("its header announces 60 frames, ")
    assert problems["text.mp4"][0] == rows["text.mp4"]["error"]
    done = curate("probe", folder, code=3)
    assert "2 of 10 files have problems" in done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.lstrip().startswith("torn.mp4")]
    assert "breaks off" in line


@pytest.mark.parametrize("columns", [40, 80, 129, 130])
def test_a_narrow_terminal_shows_all_that_is_wrong(folder: Path, columns: int) -> None:
    files = [folder / name for name in ("torn.mp4", "text.mp4", "stream.ts")]
    shown = " ".join(curate_on_terminal(columns, "probe", *files).split())
    for path, row in probed(*files, code=3).items():
        assert path in shown
        if columns < 130:  # wrapped, else in a column beside others
            assert all(note in shown for note in (*row["problems"], *row["remarks"]))
    if columns < 130:
        assert "size 288x192, fps 30, frames 60, seconds 2.00, time base 1/90000, decoder pyav" in shown
    assert "2 of 3 files have problems" in shown


def test_deep_reads_all_of_a_large_file_and_of_an_image(folder: Path) -> None:
    shallow = probed(folder / "large.avi", folder / "torn.jpg", code=0)
    assert (shallow["large.avi"]["packets"], shallow["large.avi"]["header_frames"]) == (None, 220)
    deep = probed(folder / "large.avi", folder / "torn.jpg", folder / "sound.jpg", "--deep", code=3)
    assert deep["large.avi"]["packets"] == 220
    assert deep["torn.jpg"]["problems"][0].startswith("damaged: ")
    assert (deep["sound.jpg"]["problems"], deep["sound.jpg"]["trust"]) == ([], "all of it was decoded")


class HangingPath(PosixPath):
    """A file on a disk that does not answer."""

    def stat(self, *, follow_symlinks: bool = True) -> NoReturn:
        while True:
            time.sleep(3600)


def test_a_file_that_hangs_is_named(folder: Path) -> None:
    (one,) = inspect([HangingPath(folder / "whole.mp4")], stall_timeout_s=0.5)
    assert one.problems == ("the decoder made no progress for 0.5 s",)


def test_a_path_that_does_not_exist_is_one_line(folder: Path) -> None:
    assert "no such file or folder" in one_line(curate("probe", folder / "nowhere.mp4", code=2))
