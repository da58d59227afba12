"""A long video is read in ranges: the same frames, by several processes, and not again after a kill."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from decoders import decoders
from PIL import Image
from videos import read_number, write_numbered_video

from curate.media.children import Children
from curate.media.decode import DecodeError
from curate.media.extract import Decoders, Extracted, ExtractJob, extract
from curate.media.extract_range import RANGE_FRAMES, plan_ranges
from curate.media.packets import scan_packets
from curate.media.sampling import FramePicker
from curate.media.spot_check import SpotCheck
from curate.types import BackendChoice, Sampling, cache_path

FRAMES = 4000
OPEN_GOP = {"x264-params": "open-gop=1:keyint=50:bframes=3:scenecut=0", "preset": "ultrafast"}
EVERY = Sampling(every_s=0.7)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    return write_numbered_video(path, frames=FRAMES, options={"g": "50", "bf": "2", "preset": "ultrafast"})


def read(path: Path, frames_dir: Path, **settings: object) -> Extracted:
    (done,) = extract([ExtractJob(path, EVERY)], frames_dir=frames_dir, imgsz=288, **settings)
    return done


def numbers(done: Extracted, frames_dir: Path) -> list[int]:
    found = []
    for frame in done.frames:
        with Image.open(cache_path(frames_dir, frame.source, frame.frame_index)) as picture:
            found.append(read_number(np.asarray(picture)))
    return found


def test_ranges_cover_the_video_and_every_wanted_frame(long: Path) -> None:
    scan = scan_packets(long)
    ranges = plan_ranges(scan, FramePicker(Sampling(stride=7)))
    assert [one.span.start for one in ranges] == [0, *(one.span.end for one in ranges[:-1])]
    assert len(ranges) == 3
    assert ranges[-1].span.end == FRAMES
    assert all(one.span.end - one.span.start >= RANGE_FRAMES for one in ranges[:-1])
    assert sorted(index for one in ranges for index in one.wanted) == list(range(0, FRAMES, 7))
    assert tuple(pts for one in ranges for pts in one.span.scan.pts) == scan.pts


@pytest.mark.parametrize("backend", ["auto", "pyav"])
@pytest.mark.parametrize("name", ["closed.mp4", "open.mkv", "vp9.webm"])
def test_ranges_give_the_frames_of_the_whole_video(tmp_path: Path, name: str, backend: BackendChoice) -> None:
    path = tmp_path / name
    match name:
        case "open.mkv":
            write_numbered_video(path, frames=3200, options=OPEN_GOP)
        case "vp9.webm":
            options = {"deadline": "realtime", "cpu-used": "8", "g": "100"}
            write_numbered_video(path, frames=3200, codec="libvpx-vp9", options=options)
        case _:
            write_numbered_video(path, frames=3200, options={"g": "50", "bf": "3", "preset": "ultrafast"})
    done = read(path, tmp_path / "frames", children=Decoders(workers=2), backend=backend)
    source = done.source
    # Where every key frame has frames before it that need the group before, there is nothing to cut at.
    expected_backend = "pyav" if backend == "pyav" or name == "open.mkv" else "decord"
    assert (done.reason, source.frames, source.backend) == ("", 3200, expected_backend)
    assert source.duration_s == pytest.approx(3200 / 30, abs=0.01)
    expected = list(range(0, 3200, 21))
    assert [frame.frame_index for frame in done.frames] == expected
    assert [frame.timestamp_s for frame in done.frames] == pytest.approx([i / 30 for i in expected], abs=0.002)
    assert numbers(done, tmp_path / "frames") == expected
    assert not list((tmp_path / "frames" / source.source).glob(".*"))


def inodes(frames_dir: Path) -> dict[Path, int]:
    return {path: path.stat().st_ino for path in frames_dir.rglob("*.jpg")}


def test_a_killed_run_goes_on_behind_the_ranges_that_are_read(long: Path, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    total = 0

    def kill_late(count: int) -> None:
        nonlocal total
        total += count
        if total > 80:
            raise KilledError

    with pytest.raises(KilledError):
        read(long, tmp_path, children=Decoders(workers=1), on_frames=kill_late)
    records = list(tmp_path.rglob(".range-*.json"))
    assert 1 <= len(records) < 3
    before = inodes(tmp_path)
    ends = [int(record.name.split("-")[2]) for record in records]
    done = read(long, tmp_path, children=Decoders(workers=1))
    after = inodes(tmp_path)
    assert numbers(done, tmp_path) == [frame.frame_index for frame in done.frames] == list(range(0, FRAMES, 21))
    kept = {path for path, inode in before.items() if after[path] == inode}
    assert kept == {path for path in before if int(path.stem) < max(ends)}
    assert not list(tmp_path.rglob(".range-*"))


def test_another_sampling_does_not_take_the_records_of_the_first(long: Path, tmp_path: Path) -> None:
    first = read(long, tmp_path)
    (second,) = extract([ExtractJob(long, Sampling(stride=400), known=first.source)], frames_dir=tmp_path, imgsz=288)
    assert [frame.frame_index for frame in second.frames] == list(range(0, FRAMES, 400))
    assert second.source.samplings == "every 0.7 s;every 400 frames"
    (extra,) = extract([ExtractJob(long, None, frozenset({3999}), second.source)], frames_dir=tmp_path, imgsz=288)
    assert [frame.frame_index for frame in extra.frames] == [3999]
    assert extra.source == second.source
    assert numbers(extra, tmp_path) == [3999]


def test_a_range_that_is_lost_costs_a_second_try_with_pyav(long: Path, tmp_path: Path) -> None:
    counts: list[int] = []

    def strike(count: int) -> None:
        if not counts:
            decoders()[0].kill()
        counts.append(count)

    done = read(long, tmp_path, children=Decoders(workers=2), on_frames=strike)
    assert (done.reason, done.source.backend) == ("", "pyav")
    assert "killed by signal 9" in done.source.backend_reason
    assert sum(counts) == len(done.frames) == len(range(0, FRAMES, 21))
    assert numbers(done, tmp_path) == list(range(0, FRAMES, 21))


def test_a_damaged_long_video_is_read_as_a_whole(long: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.mp4"
    data = bytearray(long.read_bytes())
    scan = scan_packets(long)
    # Somewhere in the pictures of the second half; the index at the end of the file stays.
    at = sum(scan.packet_bytes) * 3 // 4
    data[at : at + 300] = bytes(300)
    path.write_bytes(data)
    done = read(path, tmp_path / "frames", children=Decoders(workers=2))
    seen = dict(zip([frame.frame_index for frame in done.frames], numbers(done, tmp_path / "frames"), strict=True))
    first_half = range(0, FRAMES // 2, 21)
    assert {index: seen[index] for index in first_half} == {index: index for index in first_half}
    (whole,) = extract(
        [ExtractJob(path, EVERY)],
        frames_dir=tmp_path / "whole",
        imgsz=288,
        children=Decoders(workers=1),
        backend=done.source.backend,
    )
    assert [frame.frame_index for frame in whole.frames] == [frame.frame_index for frame in done.frames]
    assert whole.reason == done.reason


def test_a_decoder_that_was_asked_for_is_the_only_one(tmp_path: Path) -> None:
    paths = {
        "good.mp4": write_numbered_video(tmp_path / "good.mp4"),
        "av1.mp4": write_numbered_video(tmp_path / "av1.mp4", codec="libsvtav1", options={"preset": "12", "crf": "20"}),
    }
    for backend in ("decord", "pyav"):
        jobs = [ExtractJob(path, EVERY) for path in paths.values()]
        done = extract(jobs, frames_dir=tmp_path / backend, imgsz=288, backend=backend)
        found = {Path(one.source.path).name: one for one in done}
        assert {one.source.backend for one in found.values()} == {backend}
        assert found["good.mp4"].reason == ""
        assert found["good.mp4"].source.backend_reason == f"asked for by --backend {backend}"
        assert ("decord" in found["av1.mp4"].reason) == (backend == "decord")
        assert len(found["av1.mp4"].frames) == (0 if backend == "decord" else 3)


@pytest.mark.parametrize("shift", [0, 1, -1])
def test_the_spot_check_tells_a_frame_from_its_neighbour(long: Path, shift: int) -> None:
    scan = scan_packets(long)
    check = SpotCheck(long, scan, (288, 192), first=0)
    assert check.wanted == {0, 1, 2000, 2001, 3950, 3951}

    def feed() -> None:
        from videos import numbered_picture

        for index in sorted(check.wanted):
            check.take(index, numbered_picture(max(index + shift, 0), (288, 192)))

    if shift:
        with pytest.raises(DecodeError, match="decord and PyAV see different pictures in frame"):
            feed()
    else:
        feed()


class Hoard:
    """A request that takes more and more memory."""

    def run(self, report: Callable[[object], None]) -> object:
        held = []
        while True:
            held.append(bytearray(os.urandom(2**20)) * 16)
            report(None)


def test_a_decoder_that_takes_too_much_memory_is_killed() -> None:
    with Children[Hoard](1, stall_timeout_s=30, memory_limit_bytes=400 * 2**20) as children:
        children.submit(Hoard())
        (event,) = children.events()
    assert (event.kind, event.value) == ("lost", "the decoder took more than 0.4 GiB")
