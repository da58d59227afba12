"""Finding inputs, and what is said of those that are not what they seem."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from folders import deep_folder
from PIL import Image
from videos import write_audio_only, write_numbered_video

from curate.errors import CurateError, UsageError
from curate.media.discover import Discovered, discover
from curate.media.probe import SHORT_FRAMES, probe
from curate.media.sampling import FramePicker, add_sampling
from curate.types import Sampling, Skipped


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x47\0\1")


def test_folders_are_searched_without_what_is_hidden_or_a_workspace(tmp_path: Path) -> None:
    found = [tmp_path / name for name in ("A.MP4", "b/c.jpeg", "b/deep/er/d.WebM", "clip.ts")]
    touch(*found)
    touch(tmp_path / ".hidden.mp4", tmp_path / ".git/x.mp4", tmp_path / "b/notes.txt")
    touch(tmp_path / "curate-workspace/workspace.json", tmp_path / "curate-workspace/frames/a/0.jpg")
    (tmp_path / "component.ts").write_text("export const video = 1;\n")
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    assert discover([str(tmp_path)]) == Discovered(tuple(sorted(found)), ())


def test_files_lists_and_folders_together_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path / "in/a.mp4", tmp_path / "in/b.png", tmp_path / "in/odd.dat", tmp_path / "other/c.mov")
    (tmp_path / "lists").mkdir()
    # With a byte order mark, as editors on Windows write.
    (tmp_path / "lists/l.txt").write_text("../in/a.mp4\n# clips\n\n  ../other\n", encoding="utf-8-sig")
    assert discover(["in/odd.dat", "in", "@lists/l.txt"]).files == tuple(
        tmp_path / name for name in ("in/a.mp4", "in/b.png", "in/odd.dat", "other/c.mov")
    )
    assert discover([]) == Discovered((), ())


def test_a_folder_that_cannot_be_listed_is_skipped_and_named(tmp_path: Path) -> None:
    touch(tmp_path / "a/clip.mp4", tmp_path / "empty/notes.txt")
    (tmp_path / "b").mkdir()
    deep = deep_folder(tmp_path / "b")
    skipped = (Skipped(str(deep), "the folder cannot be listed (File name too long)"),)
    assert discover([str(tmp_path)]) == Discovered((tmp_path / "a/clip.mp4",), skipped)
    with pytest.raises(CurateError, match=r"the folder cannot be listed \(File name too long\); there is nothing else"):
        discover([str(tmp_path / "b")])
    with pytest.raises(CurateError, match=r"empty: no videos or images in this folder"):
        discover([str(tmp_path / "b"), str(tmp_path / "empty")])
    with pytest.raises(UsageError, match=r"cannot be read \(File name too long\)$"):
        discover([str(deep)])


def test_files_with_names_that_are_not_utf8_or_that_are_gone_are_skipped(tmp_path: Path) -> None:
    names = (b"good.mp4", b"bad\xff.mp4", b"caf\xe9/inside.jpg", "größe/日本.mp4".encode())
    touch(*(tmp_path / os.fsdecode(name) for name in names))
    (tmp_path / "link.mp4").symlink_to(tmp_path / "unplugged")
    found = discover([str(tmp_path), str(tmp_path / os.fsdecode(names[1]))])
    assert found.files == (tmp_path / "good.mp4", tmp_path / "größe/日本.mp4")
    not_utf8 = "its path is not UTF-8, and cannot be written down; rename it"
    assert found.skipped == (
        Skipped(rf"{tmp_path}/bad\xff.mp4", not_utf8),
        Skipped(rf"{tmp_path}/caf\xe9/inside.jpg", not_utf8),
        Skipped(f"{tmp_path}/link.mp4", "cannot be read (No such file or directory)"),
    )
    with pytest.raises(CurateError, match=r"bad\\xff.mp4: its path is not UTF-8.*else to read, and 1 more are "):
        discover([str(tmp_path / os.fsdecode(name)) for name in names[1:3]])


@pytest.mark.parametrize(
    ("paths", "error", "message"),
    [
        (["nowhere"], UsageError, r"nowhere: no such file or folder$"),
        (["@nowhere.txt"], UsageError, r"@nowhere.txt: no such list"),
        (["@list.txt"], UsageError, r"gone.mp4: no such file or folder \(line 2 of .*list.txt\)"),
        (["@bytes.txt"], UsageError, r"not a readable text file"),
        (["@none.txt"], UsageError, r"@none.txt: an empty list; write the paths"),
        (["empty"], CurateError, r"empty: no videos or images in this folder; looked for .*\.mp4.*\.jpg"),
    ],
)
def test_a_wrong_path_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paths: list[str], error: type[CurateError], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.txt").write_text("# one\ngone.mp4\n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "none.txt").write_text("# nothing yet\n\n")
    with pytest.raises(error, match=message) as caught:
        discover(paths)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    whole = write_numbered_video(folder / "whole.mp4").read_bytes()
    made = {
        "text.mp4": (b"This is not a video.\n" * 50, "not a readable video"),
        "empty.mp4": (b"", "empty file"),
        "zeros.mp4": (bytes(5000), "starts with zeros"),
        "no_index.mp4": (whole[:300], "not a readable video"),
        "text.jpg": (b"This is not an image.\n" * 50, "not a readable image"),
        "empty.png": (b"", "empty file"),
    }
    for name, (data, _) in made.items():
        (folder / name).write_bytes(data)
    return {name: (folder / name, reason) for name, (_, reason) in made.items()}


def test_probe_names_what_is_wrong_and_never_raises(tmp_path: Path) -> None:
    for path, reason in broken_files(tmp_path).values():
        assert reason in probe(path).error
        assert "\n" not in probe(path).error
    assert probe(write_audio_only(tmp_path / "sound.mp4")).error == "not a video: audio only"
    assert "cannot be read" in probe(tmp_path / "gone.mp4").error
    assert "cannot be read" in probe(tmp_path).error


def test_probe_describes_a_rotated_video_upright(tmp_path: Path) -> None:
    found = probe(write_numbered_video(tmp_path / "turned.mp4", rotation=90, fps=25))
    assert (found.kind, found.width, found.height, found.rotation) == ("video", 288, 192, 90)
    assert (found.codec, found.fps, found.header_frames, found.backend) == ("h264", 25.0, 60, "pyav")
    assert found.duration_s == pytest.approx(2.4, abs=0.01)
    assert found.time_base == "1/12800"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_short_video_is_read_by_pyav_and_a_longer_one_by_decord(tmp_path: Path, name: str) -> None:
    found = {
        count: probe(write_numbered_video(tmp_path / f"{count}-{name}", frames=count))
        for count in (SHORT_FRAMES, SHORT_FRAMES + 2)
    }
    assert [one.backend for one in found.values()] == ["pyav", "decord"]
    assert [one.backend_reason[:6] for one in found.values()] == ["short:", ""]


def test_a_file_without_a_known_extension_is_looked_into(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "picture.dat", format="PNG")
    write_numbered_video(tmp_path / "clip.mp4").rename(tmp_path / "clip.dat")
    assert (probe(tmp_path / "picture.dat").kind, probe(tmp_path / "picture.dat").width) == ("image", 6)
    assert (probe(tmp_path / "clip.dat").kind, probe(tmp_path / "clip.dat").error) == ("video", "")


def taken(sampling: Sampling | None, times_s: list[float], extra: frozenset[int] = frozenset()) -> list[int]:
    picker = FramePicker(sampling, extra)
    return [index for index, time_s in enumerate(times_s) if picker(index, time_s)]


@pytest.mark.parametrize("start_s", [0.0, 1.4, 2 / 30, 95443.717678])
@pytest.mark.parametrize(
    ("fps", "every_s", "step"),
    [(30, 0.5, 15), (30, 0.1, 3), (25, 0.2, 5), (60, 1 / 30, 2), (30000 / 1001, 1001 / 3000, 10)],
)
def test_an_even_interval_takes_every_nth_frame_exactly(fps: float, every_s: float, step: int, start_s: float) -> None:
    times_s = [start_s + index / fps for index in range(5000)]
    assert taken(Sampling(every_s=every_s), times_s) == list(range(0, 5000, step))
    whole_ms = [round(time_s, 3) for time_s in times_s]
    assert taken(Sampling(every_s=0.5), whole_ms)[:3] == [0, *taken(Sampling(every_s=0.5), times_s)[1:3]]


def test_an_interval_takes_the_first_frame_at_or_after_each_multiple() -> None:
    assert taken(Sampling(every_s=1), [0.0, 0.4, 0.9, 1.3, 1.9, 2.0, 5.5, 5.6, 6.0]) == [0, 3, 5, 6, 8]
    assert taken(Sampling(every_s=0.01), [0.0, 0.5, 1.0]) == [0, 1, 2]
    assert taken(Sampling(every_s=1), []) == []


def test_a_stride_and_extra_frames() -> None:
    times_s = [0.1 * index for index in range(10)]
    assert taken(Sampling(stride=4), times_s) == [0, 4, 8]
    assert taken(Sampling(stride=4), times_s, frozenset({1, 4, 99})) == [0, 1, 4, 8]
    assert taken(Sampling(every_s=0.5), times_s, frozenset({7})) == [0, 5, 7]
    assert taken(None, times_s, frozenset({2, 3})) == [2, 3]


def test_samplings_are_listed_once() -> None:
    once = add_sampling("", Sampling(every_s=0.5))
    assert once == "every 0.5 s"
    assert add_sampling(once, Sampling(every_s=0.5)) == once
    assert add_sampling(once, None) == once
    assert add_sampling(once, Sampling(stride=1)) == "every 0.5 s;all frames"


def test_importing_loads_no_decoder() -> None:
    modules = "discover, probe, decode, sampling, extract, extract_one, reread, images, children, packets, segments"
    heavy = "{'decord', 'av', 'PIL', 'numpy', 'torch'}"
    code = (
        f"import sys; from curate.media import {modules}, compare, recheck, decord_backend, pyav_backend; "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
