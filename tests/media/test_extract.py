"""The frame cache: what is written, what is kept when a file breaks, and that nothing is done twice."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from video_suite import BFRAMES, FASTSTART, cut
from videos import read_number, write_audio_only, write_numbered_video, write_trimmed_video

from curate.errors import CurateError
from curate.media.extract import Decoders, Extracted, ExtractJob, extract
from curate.media.files import sha256_of
from curate.media.packets import open_video
from curate.media.reread import write_full_size
from curate.types import BackendChoice, Sampling, cache_path, source_key

ALL = Sampling(stride=1)


def run(jobs: Sequence[ExtractJob], frames_dir: Path, imgsz: int = 640, **settings: object) -> dict[str, Extracted]:
    return {Path(done.source.path).name: done for done in extract(jobs, frames_dir=frames_dir, imgsz=imgsz, **settings)}


def cached_number(frames_dir: Path, source: str, index: int) -> int:
    with Image.open(cache_path(frames_dir, source, index)) as picture:
        return read_number(np.asarray(picture))


def truncated_video(path: Path) -> Path:
    """The first part of a video whose index is at the front."""
    whole = write_numbered_video(
        path.with_name("to_cut.mp4"), frames=120, options={"g": "12"}, container_options={"movflags": "faststart"}
    )
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    whole.unlink()
    return path


def test_nothing_to_do(tmp_path: Path) -> None:
    assert list(extract([], frames_dir=tmp_path, imgsz=640)) == []


def test_a_video_becomes_a_source_and_its_frames(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "a clip.mp4", fps=25, rotation=270)
    counts: list[int] = []
    done = run(
        [ExtractJob(path, Sampling(every_s=0.4), frozenset({7}))],
        tmp_path / "frames",
        imgsz=192,
        on_frames=counts.append,
    )["a clip.mp4"]
    source = done.source
    stat = path.stat()
    assert done.reason == source.error == ""
    assert source.source == source_key(path, sha256_of(path))
    assert (source.path, source.sha256) == (str(path), sha256_of(path))
    assert (source.bytes, source.mtime_ns, source.kind) == (stat.st_size, stat.st_mtime_ns, "video")
    assert (source.width, source.height, source.rotation, source.codec) == (288, 192, 270, "h264")
    assert (source.fps, source.frames, source.duration_s) == (25.0, 60, pytest.approx(2.4))
    assert (source.backend, source.backend_reason[:6], source.status) == ("pyav", "short:", "ok")
    assert source.samplings == "every 0.4 s"
    assert [frame.frame_index for frame in done.frames] == [0, 7, 10, 20, 30, 40, 50]
    assert sum(counts) == 7
    for frame in done.frames:
        assert frame.frame_id == f"{source.source}:{frame.frame_index:08d}"
        assert (frame.source, frame.width, frame.height) == (source.source, 192, 128)
        assert frame.timestamp_s == pytest.approx(frame.frame_index / 25)
        assert cached_number(tmp_path / "frames", source.source, frame.frame_index) == frame.frame_index
    assert sorted(path.name for path in (tmp_path / "frames" / source.source).iterdir()) == [
        f"{frame.frame_index:08d}.jpg" for frame in done.frames
    ]


def test_a_second_run_adds_frames_and_writes_none_again(tmp_path: Path) -> None:
    path, frames_dir = write_numbered_video(tmp_path / "a.mp4"), tmp_path / "frames"
    first = run([ExtractJob(path, Sampling(stride=20))], frames_dir)["a.mp4"]
    written = {frame.frame_index: cache_path(frames_dir, frame.source, frame.frame_index) for frame in first.frames}
    before = {index: file.stat().st_ino for index, file in written.items()}
    again = run([ExtractJob(path, Sampling(stride=15), known=first.source)], frames_dir)["a.mp4"]
    assert again.source == replace(first.source, samplings="every 20 frames;every 15 frames")
    assert [frame.frame_index for frame in again.frames] == [0, 15, 30, 45]
    assert {index: file.stat().st_ino for index, file in written.items()} == before
    # Labelled frames alone: the sampling is not made again, and the count of all frames stays.
    extra = run([ExtractJob(path, None, frozenset({3, 999}), again.source)], frames_dir)["a.mp4"]
    assert extra.source == again.source
    assert [frame.frame_index for frame in extra.frames] == [3]
    assert cached_number(frames_dir, first.source.source, 3) == 3


def test_a_file_that_has_changed_is_a_new_source(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "a.mp4")
    first = run([ExtractJob(path, Sampling(stride=20))], tmp_path / "frames")["a.mp4"]
    write_numbered_video(path, frames=30, first_number=100)
    second = run([ExtractJob(path, Sampling(stride=10), known=first.source)], tmp_path / "frames")["a.mp4"]
    assert second.source.source != first.source.source
    assert (second.source.frames, second.source.samplings) == (30, "every 10 frames")
    assert cached_number(tmp_path / "frames", second.source.source, 20) == 120


def test_frames_of_an_unfinished_run_are_written_again(tmp_path: Path) -> None:
    path, frames_dir = write_numbered_video(tmp_path / "a.mp4"), tmp_path / "frames"
    source = run([ExtractJob(path, Sampling(stride=20))], frames_dir)["a.mp4"].source.source
    cache_path(frames_dir, source, 20).write_bytes(b"of another size, perhaps")
    (frames_dir / source / ".00000040.jpg.99999999.tmp").write_bytes(b"half")
    run([ExtractJob(path, Sampling(stride=20))], frames_dir)
    assert cached_number(frames_dir, source, 20) == 20
    assert not list((frames_dir / source).glob(".*"))


def test_bad_files_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = write_numbered_video(tmp_path / "good.mp4")
    data = good.read_bytes()
    for name, content in {"text.mp4": b"text\n" * 99, "empty.mp4": b"", "cut.mp4": data[:500], "no.jpg": b"no"}.items():
        (tmp_path / name).write_bytes(content)
    write_audio_only(tmp_path / "sound.mp4")
    truncated_video(tmp_path / "truncated.mp4")
    paths = [path for path in tmp_path.iterdir() if path.suffix in (".mp4", ".jpg")] + [tmp_path / "gone.mp4"]
    done = run([ExtractJob(path, ALL) for path in paths], tmp_path / "frames", children=Decoders(workers=2))
    assert done["good.mp4"].reason == ""
    for name, reason in {
        "text.mp4": "not a readable video",
        "empty.mp4": "empty file",
        "cut.mp4": "not a readable video",
        "no.jpg": "not a readable image",
        "sound.mp4": "audio only",
        "gone.mp4": "cannot be read",
    }.items():
        assert reason in done[name].reason
        assert (done[name].frames, done[name].source.frames, done[name].source.status) == ([], 0, "broken")
        assert done[name].source.error == done[name].reason
    truncated = done["truncated.mp4"]
    assert "announces 120 frames" in truncated.reason
    assert truncated.source.backend == "pyav"
    assert 60 < len(truncated.frames) == truncated.source.frames < 120
    for frame in truncated.frames[:-1]:
        assert cached_number(tmp_path / "frames", frame.source, frame.frame_index) == frame.frame_index


@pytest.mark.parametrize("backend", ["auto", "pyav"])
def test_a_short_video_that_is_not_what_its_packets_announce_is_read_as_it_is(
    tmp_path: Path, backend: BackendChoice
) -> None:
    path = write_numbered_video(tmp_path / "a.mp4", options=BFRAMES)
    with open_video(path) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    # One that others are predicted from: large, and not the first of a group.
    hit = max(packets[15:22], key=len)
    at = data.index(hit)
    data[at + 4 : at + len(hit)] = bytes([0x5A]) * (len(hit) - 4)
    path.write_bytes(data)
    done = run([ExtractJob(path, Sampling(stride=3))], tmp_path / "frames", backend=backend)["a.mp4"]
    assert "damaged" in done.reason
    assert done.source.status == "broken"
    shown = {
        frame.frame_index: cached_number(tmp_path / "frames", frame.source, frame.frame_index) for frame in done.frames
    }
    assert [round(frame.timestamp_s * 30) for frame in done.frames] == list(shown.values())
    # The frame that is lost does not count: those after it move up.
    assert [index for index in shown if index < 12] == [0, 3, 6, 9]
    assert [index for index in shown if index > 24] == list(range(27, 59, 3))
    assert not {12 + packets[12:].index(hit)} & set(shown.values())


@pytest.mark.parametrize("workers", [1, 2])
def test_damage_behind_the_last_wanted_frame_is_not_looked_for(tmp_path: Path, workers: int) -> None:
    path = write_numbered_video(tmp_path / "a.mp4", options=BFRAMES)
    with open_video(path) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    # Frames from the fifth group on, 48 to 59: the last that is wanted below is 45.
    for hit in packets[49:]:
        at = data.index(hit, data.index(packets[48]))
        data[at + 4 : at + len(hit)] = bytes([0x5A]) * (len(hit) - 4)
    path.write_bytes(data)

    def read(sampling: Sampling, name: str) -> Extracted:
        jobs = [ExtractJob(path, sampling)]
        return run(jobs, tmp_path / name, children=Decoders(workers=workers))["a.mp4"]

    # 60 packets: that much is known without decoding them.
    sparse = read(Sampling(stride=15), "sparse")
    assert (sparse.reason, sparse.source.frames, sparse.source.status) == ("", 60, "ok")
    assert sparse.source.duration_s == pytest.approx(2)
    assert [cached_number(tmp_path / "sparse", sparse.source.source, i) for i in (0, 15, 30, 45)] == [0, 15, 30, 45]
    assert [frame.frame_index for frame in sparse.frames] == [0, 15, 30, 45]
    # Where they are wanted, the damage is noticed.
    dense = read(Sampling(stride=14), "dense")
    assert "damaged" in dense.reason
    assert [frame.frame_index for frame in dense.frames if frame.frame_index < 48] == [0, 14, 28, 42]


def test_a_file_that_breaks_off_behind_the_last_wanted_frame_is_named(tmp_path: Path) -> None:
    path = cut(0.97, options=BFRAMES, container_options=FASTSTART)(tmp_path / "a.mp4")
    done = run([ExtractJob(path, Sampling(stride=20))], tmp_path / "frames")["a.mp4"]
    assert "breaks off" in done.reason
    assert done.source.status == "broken"
    assert [cached_number(tmp_path / "frames", done.source.source, i) for i in (0, 20, 40)] == [0, 20, 40]


def test_the_largest_files_are_read_first(tmp_path: Path) -> None:
    frames = {"a.mp4": 5, "b.mp4": 90, "c.mp4": 30}
    paths = [write_numbered_video(tmp_path / name, frames=count) for name, count in frames.items()]
    jobs = [ExtractJob(path, ALL) for path in (*paths, tmp_path / "gone.mp4")]
    done = extract(jobs, frames_dir=tmp_path / "frames", imgsz=288, children=Decoders(workers=1))
    assert [Path(one.source.path).name for one in done] == ["b.mp4", "c.mp4", "a.mp4", "gone.mp4"]


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    paths = [write_numbered_video(tmp_path / "a.mp4"), write_numbered_video(tmp_path / "b.avi", codec="mpeg4")]
    for name in ("one", "two"):
        run([ExtractJob(path, Sampling(stride=9)) for path in paths], tmp_path / name)
    one, two = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.jpg")}
        for name in ("one", "two")
    )
    assert len(one) == 14
    assert one == two


def test_copies_of_a_file_can_be_read_at_once(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "a.mp4", frames=200)
    for folder in "bcd":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.mp4").write_bytes(path.read_bytes())
    jobs = [ExtractJob(copy, ALL) for copy in tmp_path.rglob("a.mp4")]
    done = list(extract(jobs, frames_dir=tmp_path / "frames", imgsz=640, children=Decoders(workers=4)))
    assert len({result.source.path for result in done}) == 4
    assert {(result.source.source, result.reason, len(result.frames)) for result in done} == {
        (done[0].source.source, "", 200)
    }


def test_a_cache_that_cannot_be_written_stops_the_run(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "a.mp4")
    (tmp_path / "frames").write_text("a file where the folder should be")
    with pytest.raises(CurateError, match="cannot be written"):
        run([ExtractJob(path, ALL)], tmp_path / "frames")


@pytest.mark.parametrize("name", ["a.mp4", "turned.mp4", "trimmed.mp4", "b.avi", "c.ts", "d.webm"])
def test_a_full_size_frame_is_the_picture_that_is_in_the_cache(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    match name:
        case "turned.mp4":
            write_numbered_video(path, rotation=90)
        case "trimmed.mp4":
            write_trimmed_video(write_numbered_video(tmp_path / "whole.mp4"), path, skip=5)
        case "d.webm":
            write_numbered_video(path, codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"})
        case _:
            write_numbered_video(path)
    done = run([ExtractJob(path, Sampling(stride=9))], tmp_path / "frames", imgsz=200)[name]
    targets = {frame.frame_index: tmp_path / f"full/{frame.frame_index}.jpg" for frame in done.frames}
    sizes_wh = write_full_size(done.source, targets)
    assert sizes_wh == dict.fromkeys(targets, (288, 192))
    for index, target in targets.items():
        with (
            Image.open(target) as full,
            Image.open(cache_path(tmp_path / "frames", done.source.source, index)) as small,
        ):
            assert (full.size, small.size) == ((288, 192), (200, 133))
            assert read_number(np.asarray(full)) == read_number(np.asarray(small)) >= 0


def test_full_size_refuses_an_original_that_is_gone_or_changed(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "a.mp4")
    source = run([ExtractJob(path, Sampling(stride=30))], tmp_path / "frames")["a.mp4"].source
    with pytest.raises(CurateError, match="frame 60 is not in it"):
        write_full_size(source, {60: tmp_path / "60.jpg"})
    write_numbered_video(path, first_number=1)
    with pytest.raises(CurateError, match=r"a\.mp4: the original has changed"):
        write_full_size(source, {0: tmp_path / "0.jpg"})
    path.unlink()
    with pytest.raises(CurateError, match=r"a\.mp4: the original cannot be read"):
        write_full_size(source, {0: tmp_path / "0.jpg"})
    assert not list(tmp_path.glob("*.jpg"))
