"""Every frame that is delivered is the right one, at the right time, with every backend that accepts the file."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from video_suite import OPEN_GOP, SUITE, VP, decode_and_compare
from videos import read_number, write_numbered_video

from curate.media.decode import BACKENDS, DecodedFrame, DecodeError, Span, decode, scaled_size
from curate.media.decord_backend import frames as decord_frames
from curate.media.packets import PacketReader, open_video, scan_packets
from curate.media.probe import examine, probe
from curate.media.pyav_backend import Tally
from curate.media.reading import Reading
from curate.media.segments import plan


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("suite")
    return {name: video.make(folder / name) for name, video in SUITE.items()}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", SUITE)
def test_every_frame_and_time_stamp_is_right(videos: dict[str, Path], name: str, backend: str) -> None:
    video = SUITE[name]
    found = probe(videos[name])
    if video.unreadable:
        assert video.unreadable in found.error
        return
    assert (found.error, found.width, found.height) == ("", *video.size)
    outcome = decode_and_compare(videos[name], video, backend)
    assert (outcome.wrong_frames, outcome.wrong_times) == (0, 0)
    if backend == "decord" and not video.decord:
        assert outcome.delivered == 0
        assert re.search(r"decord cannot be trusted|edit list|breaks off|damaged|announces", outcome.error)
    elif video.cut:
        # What FFmpeg gives, less the partial last frame and those that may have lost the ones before.
        assert max(0, outcome.counted - 5) < outcome.delivered < len(video.times_s)
        assert "breaks off" in outcome.error
    else:
        assert (outcome.delivered, outcome.error) == (len(video.times_s), "")


@pytest.mark.parametrize("name", [name for name, video in SUITE.items() if not video.unreadable])
def test_the_probe_says_why_it_does_not_leave_a_video_to_decord(videos: dict[str, Path], name: str) -> None:
    found = probe(videos[name])
    # decord refuses these only when it reads the packets; PyAV then takes over.
    if "edit_list" not in name and not SUITE[name].cut:
        assert found.backend_reason.startswith("short: " if SUITE[name].decord else "decord cannot be trusted")
    assert found.backend == "pyav"
    assert re.match(r"short: |decord cannot be trusted", found.backend_reason)


@pytest.mark.parametrize("name", [name for name, video in SUITE.items() if video.decord])
def test_both_backends_give_the_same_pictures_scaled_and_sparse(videos: dict[str, Path], name: str) -> None:
    taken = {}
    for backend in BACKENDS:
        frames = list(decode(videos[name], lambda index, time_s: index % 7 == 3, backend=backend, size_wh=(192, 128)))
        assert len(frames) == 60
        taken[backend] = [
            (frame.frame_index, frame.timestamp_s, frame.rgb) for frame in frames if frame.rgb is not None
        ]
    assert [row[:2] for row in taken["decord"]] == [row[:2] for row in taken["pyav"]]
    for (index, _, ours), (_, _, theirs) in zip(taken["decord"], taken["pyav"], strict=True):
        assert ours.shape == theirs.shape == (128, 192, 3)
        assert read_number(ours) == index
        assert np.abs(ours.astype(int) - theirs).mean() < 1.5


@pytest.mark.parametrize("way", ["one thread", "two threads", "as it was opened"])
@pytest.mark.parametrize("every", [2, 7, 60])
# AVI stores no presentation times, and is never read by what its packets announce.
@pytest.mark.parametrize("name", [name for name in SUITE if not name.endswith(".avi")])
def test_frames_that_are_not_wanted_and_not_needed_change_nothing(
    videos: dict[str, Path], name: str, every: int, way: str
) -> None:
    """Told what the packets announce, PyAV leaves out what it can; and it can go on where the probe stopped."""
    if SUITE[name].unreadable:
        return
    scan = scan_packets(videos[name])
    if scan.irregular:
        return
    threads = 2 if way == "two threads" else 1

    def read(span: Span | None) -> list[tuple[int, float, bytes | None]]:
        def row(frame: DecodedFrame) -> tuple[int, float, bytes | None]:
            return frame.frame_index, frame.timestamp_s, None if frame.rgb is None else frame.rgb.tobytes()

        frames = decode(
            videos[name],
            lambda index, _: index % every == every // 2,
            backend="pyav",
            size_wh=SUITE[name].size,
            threads=threads,
            span=span,
        )
        return [row(frame) for frame in frames]

    with closing(examine(videos[name])) as found:
        span = Span(0, scan, whole=True)
        if way == "as it was opened":
            # Files that only PyAV can read are opened again.
            assert (found.scan is None) == (not SUITE[name].decord)
            span = replace(span, reading=found.reading)
            assert found.reading is None or found.reading.can_go_on()
        taken = read(span)
    assert sum(picture is not None for _, _, picture in taken) == len(range(every // 2, 60, every))
    assert taken == read(None)


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize(("shown", "packets"), [([], []), ([0, 5], [8]), ([59], [58])])
def test_nothing_is_decoded_that_is_stored_after_the_last_frame_that_is_wanted(
    videos: dict[str, Path], shown: list[int], packets: list[int], opened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tallies: list[Tally] = []
    counted = Tally.problem

    def problem(tally: Tally) -> str:
        tallies.append(tally)
        return counted(tally)

    monkeypatch.setattr(Tally, "problem", problem)
    path = videos["bframes.mp4"]
    with closing(examine(path)) as found:
        assert found.scan
        span = Span(0, found.scan, whole=True, reading=found.reading if opened else None)
        wanted = lambda index, time_s: index in shown  # noqa: E731
        frames = list(decode(path, wanted, backend="pyav", size_wh=(288, 192), span=span))
    assert [frame.timestamp_s for frame in frames] == list(span.scan.timestamps_s)
    assert [read_number(frame.rgb) for frame in frames if frame.rgb is not None] == shown
    # B-frames are stored behind those that they refer to, frame 5 behind 8, and 59 before 57 and 58.
    assert [tally.packets for tally in tallies] == packets


def test_a_reading_goes_on_only_with_all_packets_and_without_damage(videos: dict[str, Path], tmp_path: Path) -> None:
    def reading(path: Path, *, keep: bool = True) -> Iterator[Reading]:
        with open_video(path) as container:
            packets = PacketReader(path, container, keep=True)
            found = Reading(packets, frames=2, beat=lambda: None)
            if not keep:
                packets.keep_none()
            packets.scan()
            yield found

    path = videos["bframes.mp4"]
    assert [one.can_go_on() for one in reading(path)] == [True]
    assert [one.can_go_on() for one in reading(path, keep=False)] == [False]
    scan = scan_packets(path)
    data = bytearray(path.read_bytes())
    # The second packet, which frame 1 is predicted from.
    at = data.index(b"mdat") + 4 + scan.packet_bytes[0]
    data[at + 4 : at + scan.packet_bytes[1]] = bytes([0x5A]) * (scan.packet_bytes[1] - 4)
    (tmp_path / "damaged.mp4").write_bytes(data)
    assert [one.can_go_on() for one in reading(tmp_path / "damaged.mp4")] == [False]


@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "pieces"])
@pytest.mark.parametrize("name", ["a.mp4", "fragments.mp4", "a.mov", "a.mkv", "a.webm"])
def test_frames_far_apart_are_right(tmp_path: Path, name: str, pieces: bool) -> None:
    codec, options = "libx264", {"g": "12", "bf": "3"}
    if name == "a.webm":
        codec, options = "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "12"}
    in_fragments = {"movflags": "frag_keyframe+empty_moov"} if name == "fragments.mp4" else {}
    path = write_numbered_video(
        tmp_path / name, frames=150, codec=codec, options=options, container_options=in_fragments
    )
    limit_bytes = 40 * 288 * 192 * 3 if pieces else 2**27
    for first, step in ((0, 3), (0, 34), (7, 13), (34, 50), (1, 77)):
        wanted = set(range(first, 150, step))
        shown = [
            (frame.frame_index, read_number(frame.rgb))
            for frame in decord_frames(
                path,
                lambda index, time_s, wanted=wanted: index in wanted,  # type: ignore[misc]
                size_wh=(288, 192),
                threads=1,
                beat=lambda: None,
                memory_limit_bytes=limit_bytes,
            )
            if frame.rgb is not None
        ]
        assert shown == [(index, index) for index in sorted(wanted)]


@pytest.mark.parametrize("name", ["bframes.mp4", "open_gop.mp4", "vp9.webm", "vp8.webm", "rotated_90.mp4", "hevc.mp4"])
def test_a_long_video_in_pieces_gives_the_same_frames(tmp_path: Path, name: str) -> None:
    suffix, rotation = Path(name).suffix, 90 if "rotated" in name else 0
    codec, options = {
        "bframes.mp4": ("libx264", {"bf": "3", "g": "12"}),
        "open_gop.mp4": ("libx264", OPEN_GOP),
        "vp9.webm": ("libvpx-vp9", {**VP, "g": "12"}),
        "vp8.webm": ("libvpx", {**VP, "g": "12"}),
        "rotated_90.mp4": ("libx264", {"g": "12"}),
        "hevc.mp4": ("libx265", {"x265-params": "log-level=none:keyint=12:open-gop=0"}),
    }[name]
    path = write_numbered_video(tmp_path / f"long{suffix}", frames=100, codec=codec, options=options, rotation=rotation)
    scan = scan_packets(path)
    limit_bytes = 40 * 288 * 192 * 3
    assert len(plan(scan, 288 * 192 * 3, limit_bytes)) > 3
    if name == "open_gop.mp4":
        # Frames stored after a key frame and shown before it need the group before: no cut there.
        assert 0 < len(scan.cuts) < len(range(0, 100, 12))
    frames = list(
        decord_frames(
            path,
            lambda index, time_s: index % 3 != 1,
            size_wh=(288, 192),
            threads=1,
            beat=lambda: None,
            memory_limit_bytes=limit_bytes,
        )
    )
    assert [frame.timestamp_s for frame in frames] == list(scan.timestamps_s)
    assert [read_number(frame.rgb) if frame.rgb is not None else None for frame in frames] == [
        index if index % 3 != 1 else None for index in range(100)
    ]


def test_decord_refuses_pictures_whose_rows_it_pads(videos: dict[str, Path]) -> None:
    with pytest.raises(DecodeError, match="under 190 px"):
        list(decode(videos["bframes.mp4"], lambda index, time_s: True, backend="decord", size_wh=(48, 32)))


def test_decord_refuses_to_hold_a_long_video_without_key_frames(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "long.mp4", frames=100, options={"g": "1000", "sc_threshold": "0"})
    with pytest.raises(DecodeError, match="100 frames without a key frame"):
        list(
            decord_frames(
                path,
                lambda index, time_s: True,
                size_wh=(288, 192),
                threads=1,
                beat=lambda: None,
                memory_limit_bytes=20 * 288 * 192 * 3,
            )
        )


@pytest.mark.parametrize(
    ("size", "imgsz", "expected"),
    [
        ((1920, 1080), 640, (640, 360)),
        ((1080, 1920), 640, (360, 640)),
        ((300, 200), 640, (300, 200)),
        ((5000, 2), 640, (640, 1)),
        ((1, 1), 640, (1, 1)),
    ],
)
def test_scaled_size_keeps_aspect_and_never_enlarges(
    size: tuple[int, int], imgsz: int, expected: tuple[int, int]
) -> None:
    assert scaled_size(*size, imgsz) == expected
