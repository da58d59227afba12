"""Every frame that is delivered is the right one, at the right time, with every backend that accepts the file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from videos import read_number, write_numbered_video, write_trimmed_video

from curate.media.decode import BACKENDS, DecodeError, decode, scaled_size
from curate.media.decord_backend import frames as decord_frames
from curate.media.packets import scan_packets
from curate.media.probe import probe
from curate.media.segments import plan

OPEN_GOP = {"x264-params": "open-gop=1:keyint=12:bframes=3:scenecut=0"}
VP = {"deadline": "realtime", "cpu-used": "8"}
UNEVEN_MS = [33 * index + 3 * (index % 7) + (500 if index > 30 else 0) for index in range(60)]


def trimmed(path: Path, skip: int = 5, **settings: object) -> Path:
    return write_trimmed_video(write_numbered_video(path.with_name("whole.mp4"), **settings), path, skip=skip)


# name -> (how it is made, what the probe must choose, number of the first frame shown, time stamps in seconds)
EVEN = [index / 30 for index in range(60)]
SUITE: dict[str, tuple[Callable[[Path], Path], str, int, list[float]]] = {
    "bframes.mp4": (lambda p: write_numbered_video(p, options={"bf": "3", "g": "12"}), "decord", 0, EVEN),
    "open_gop.mp4": (lambda p: write_numbered_video(p, options=OPEN_GOP), "decord", 0, EVEN),
    "open_gop.mkv": (lambda p: write_numbered_video(p, options=OPEN_GOP), "decord", 0, EVEN),
    "h264.mov": (write_numbered_video, "decord", 0, EVEN),
    "hevc.mp4": (
        lambda p: write_numbered_video(p, codec="libx265", options={"x265-params": "log-level=none:keyint=24"}),
        "decord",
        0,
        EVEN,
    ),
    "vp8.webm": (lambda p: write_numbered_video(p, codec="libvpx", options=VP), "decord", 0, EVEN),
    "vp9.webm": (lambda p: write_numbered_video(p, codec="libvpx-vp9", options=VP), "decord", 0, EVEN),
    "odd_size.mkv": (lambda p: write_numbered_video(p, size=(259, 193), pix_fmt="yuv444p"), "decord", 0, EVEN),
    "fragmented.mp4": (
        lambda p: write_numbered_video(p, container_options={"movflags": "frag_keyframe+empty_moov"}),
        "decord",
        0,
        [time_s + 2 / 30 for time_s in EVEN],
    ),
    "rate_varies.mp4": (
        lambda p: write_numbered_video(p, times_ms=UNEVEN_MS),
        "decord",
        0,
        [time_ms / 1000 for time_ms in UNEVEN_MS],
    ),
    "late_start.mp4": (
        lambda p: write_numbered_video(p, times_ms=[2000 + 40 * index for index in range(60)]),
        "decord",
        0,
        [2 + 0.04 * index for index in range(60)],
    ),
    "rotated_90.mp4": (lambda p: write_numbered_video(p, rotation=90), "decord", 0, EVEN),
    "rotated_180.mov": (lambda p: write_numbered_video(p, rotation=180), "decord", 0, EVEN),
    "rotated_270.mp4": (lambda p: write_numbered_video(p, rotation=270), "decord", 0, EVEN),
    "av1.mp4": (
        lambda p: write_numbered_video(p, codec="libsvtav1", options={"preset": "12", "crf": "20"}),
        "pyav",
        0,
        EVEN,
    ),
    "10_bit.mp4": (lambda p: write_numbered_video(p, pix_fmt="yuv420p10le"), "pyav", 0, EVEN),
    "mpeg4.avi": (lambda p: write_numbered_video(p, codec="mpeg4"), "pyav", 0, EVEN),
    "h264.avi": (write_numbered_video, "pyav", 0, EVEN),
    "transport.ts": (write_numbered_video, "pyav", 0, [time_s + 2 / 30 for time_s in EVEN]),
    "edit_list.mp4": (trimmed, "pyav", 5, EVEN[:55]),
    "edit_list_gops.mp4": (lambda p: trimmed(p, 20, options=OPEN_GOP), "pyav", 20, EVEN[:40]),
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, (make, *_) in SUITE.items():
        made[name] = make(tmp_path_factory.mktemp("video") / name)
    return made


@pytest.mark.parametrize("name", SUITE)
def test_every_frame_and_time_stamp_is_right(videos: dict[str, Path], name: str) -> None:
    _, chosen, first, times_s = SUITE[name]
    path = videos[name]
    found = probe(path)
    assert found.error == ""
    assert (found.width, found.height) == ((259, 193) if name == "odd_size.mkv" else (288, 192))
    # decord refuses an edit list only when it reads the packets.
    assert found.backend == chosen or "edit_list" in name
    for backend in [chosen, "pyav"]:
        frames = list(decode(path, lambda index, time_s: True, backend=backend, size_wh=(found.width, found.height)))
        assert [frame.frame_index for frame in frames] == list(range(len(times_s)))
        assert [read_number(frame.rgb) - first for frame in frames] == list(range(len(times_s)))
        tolerance_s = 0.001 if path.suffix in (".mkv", ".webm") else 1e-4
        assert [frame.timestamp_s for frame in frames] == pytest.approx(times_s, abs=tolerance_s)


@pytest.mark.parametrize("name", [name for name, (_, chosen, *_) in SUITE.items() if chosen == "decord"])
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


@pytest.mark.parametrize("name", ["edit_list.mp4", "edit_list_gops.mp4", "av1.mp4"])
def test_decord_refuses_what_it_cannot_be_trusted_with(videos: dict[str, Path], name: str) -> None:
    with pytest.raises(DecodeError, match=r"edit list|decord"):
        list(decode(videos[name], lambda index, time_s: True, backend="decord", size_wh=(288, 192)))


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
