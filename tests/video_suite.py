"""The suite of numbered videos: whatever a decoder may trip over, and what must come out of each.

`tests/media/test_frames.py` asserts it, `benchmarks/decode_suite.py` prints it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from videos import read_number, write_numbered_video, write_trimmed_video

SIZE = (288, 192)
BFRAMES = {"bf": "3", "g": "12", "sc_threshold": "0"}
OPEN_GOP = {"x264-params": "open-gop=1:keyint=12:bframes=3:scenecut=0"}
HEVC = {"x265-params": "log-level=none:keyint=24"}
VP = {"deadline": "realtime", "cpu-used": "8"}
AV1 = {"preset": "12", "crf": "20"}
SHARP = {"b": "4000000", "bf": "2", "g": "12"}
FASTSTART = {"movflags": "faststart"}
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}

EVEN = [index / 30 for index in range(60)]
# Containers without edit lists show the two frames of delay that B-frames need.
DELAYED = [time_s + 2 / 30 for time_s in EVEN]
UNEVEN_MS = [33 * index + 3 * (index % 7) + (500 if index > 30 else 0) for index in range(60)]
# As a screen recorder ends: nothing moved for a while.
PAUSE_MS = [33 * index + (5000 if index > 58 else 0) for index in range(60)]
LATE_MS = [2000 + 40 * index for index in range(60)]
# Where files are cut, as shares of their bytes: within groups of pictures, near their ends, and near the file's.
CUTS = (0.36, 0.52, 0.675, 0.83, 0.97)


@dataclass(frozen=True)
class SuiteVideo:
    """A file and what is true of it.

    `make` writes it. `decord` is whether decord reads it; PyAV always does, unless `unreadable` says with which
    words the probe refuses it. Frame k shows the number `first` + k at `times_s[k]`. A video that is `cut` gives its
    first frames, then an error with the words "breaks off".
    """

    make: Callable[[Path], Path]
    decord: bool = False
    first: int = 0
    times_s: Sequence[float] = tuple(EVEN)
    size: tuple[int, int] = SIZE
    cut: bool = False
    unreadable: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a backend delivered: frames, those with a picture, how many of these are wrong, its last word, if any."""

    counted: int
    delivered: int
    wrong_frames: int
    wrong_times: int
    error: str


def numbered(**settings: object) -> Callable[[Path], Path]:
    return lambda path: write_numbered_video(path, **settings)  # type: ignore[arg-type]


def trimmed(skip: int, **settings: object) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        whole = write_numbered_video(path.with_name(f"whole_{path.name}"), **settings)  # type: ignore[arg-type]
        return write_trimmed_video(whole, path, skip=skip)

    return make


def cut(share: float, **settings: object) -> Callable[[Path], Path]:
    """The first `share` of a file, as an interrupted copy leaves it."""

    def make(path: Path) -> Path:
        data = write_numbered_video(path, **settings).read_bytes()  # type: ignore[arg-type]
        end = int(len(data) * share)
        if settings.get("container_options") == FRAGMENTED:
            # Among the pictures of a fragment: FFmpeg does not open a file that ends in a fragment's header.
            start = data.rindex(b"mdat", 0, end)
            end = start + int.from_bytes(data[start - 4 : start]) * 2 // 3
        path.write_bytes(data[:end])
        return path

    return make


def joined_late(share: float, **settings: object) -> Callable[[Path], Path]:
    """A recording that begins in the middle of a transmission."""

    def make(path: Path) -> Path:
        data = write_numbered_video(path, **settings).read_bytes()  # type: ignore[arg-type]
        path.write_bytes(data[int(len(data) * share) // 188 * 188 :])
        return path

    return make


def _whole() -> dict[str, SuiteVideo]:
    return {
        "bframes.mp4": SuiteVideo(numbered(options=BFRAMES), decord=True),
        "open_gop.mp4": SuiteVideo(numbered(options=OPEN_GOP), decord=True),
        "open_gop.mkv": SuiteVideo(numbered(options=OPEN_GOP), decord=True),
        "h264.mov": SuiteVideo(numbered(), decord=True),
        "hevc.mp4": SuiteVideo(numbered(codec="libx265", options=HEVC), decord=True),
        "hevc.mkv": SuiteVideo(numbered(codec="libx265", options=HEVC), decord=True),
        "vp8.webm": SuiteVideo(numbered(codec="libvpx", options=VP), decord=True),
        "vp9.webm": SuiteVideo(numbered(codec="libvpx-vp9", options=VP), decord=True),
        "vp9.mp4": SuiteVideo(numbered(codec="libvpx-vp9", options=VP), decord=True),
        "odd_size.mkv": SuiteVideo(numbered(size=(259, 193), pix_fmt="yuv444p"), decord=True, size=(259, 193)),
        "fragmented.mp4": SuiteVideo(numbered(container_options=FRAGMENTED), decord=True, times_s=DELAYED),
        "rate_varies.mp4": SuiteVideo(
            numbered(times_ms=UNEVEN_MS), decord=True, times_s=[time_ms / 1000 for time_ms in UNEVEN_MS]
        ),
        "rate_varies.mkv": SuiteVideo(
            numbered(times_ms=UNEVEN_MS), decord=True, times_s=[time_ms / 1000 for time_ms in UNEVEN_MS]
        ),
        "pause_before_the_end.mp4": SuiteVideo(
            numbered(times_ms=PAUSE_MS), decord=True, times_s=[time_ms / 1000 for time_ms in PAUSE_MS]
        ),
        "late_start.mp4": SuiteVideo(
            numbered(times_ms=LATE_MS), decord=True, times_s=[time_ms / 1000 for time_ms in LATE_MS]
        ),
        "rotated_90.mp4": SuiteVideo(numbered(rotation=90), decord=True),
        "rotated_180.mov": SuiteVideo(numbered(rotation=180), decord=True),
        "rotated_270.mp4": SuiteVideo(numbered(rotation=270), decord=True),
        "av1.mp4": SuiteVideo(numbered(codec="libsvtav1", options=AV1)),
        "av1.mkv": SuiteVideo(numbered(codec="libsvtav1", options=AV1)),
        "10_bit.mp4": SuiteVideo(numbered(pix_fmt="yuv420p10le")),
        "mpeg4.avi": SuiteVideo(numbered(codec="mpeg4")),
        "mpeg4_bframes.avi": SuiteVideo(numbered(codec="mpeg4", options=SHARP)),
        "h264.avi": SuiteVideo(numbered()),
        "h264.ts": SuiteVideo(numbered(options=BFRAMES), times_s=DELAYED),
        "open_gop.ts": SuiteVideo(numbered(options=OPEN_GOP), times_s=DELAYED),
        "hevc.ts": SuiteVideo(numbered(codec="libx265", options=HEVC), times_s=DELAYED),
        "mpeg2.ts": SuiteVideo(
            numbered(codec="mpeg2video", options=SHARP), times_s=[time_s + 1 / 30 for time_s in EVEN]
        ),
        # Its first key frame is that of the second group.
        "joined_late.ts": SuiteVideo(joined_late(0.1, options=BFRAMES), first=12, times_s=DELAYED[12:]),
        "edit_list.mp4": SuiteVideo(trimmed(5), first=5, times_s=EVEN[:55]),
        "edit_list_gops.mp4": SuiteVideo(trimmed(20, options=OPEN_GOP), first=20, times_s=EVEN[:40]),
    }


def cut_videos(shares: Sequence[float]) -> dict[str, SuiteVideo]:
    """Each kind of file that is cut, cut at `shares` of its bytes."""
    kinds: dict[str, tuple[Mapping[str, object], Sequence[float]]] = {
        "bframes.mp4": ({"options": BFRAMES, "container_options": FASTSTART}, EVEN),
        "open_gop.mp4": ({"options": OPEN_GOP, "container_options": FASTSTART}, EVEN),
        "fragmented.mp4": ({"options": BFRAMES, "container_options": FRAGMENTED}, DELAYED),
        "av1.mp4": ({"codec": "libsvtav1", "options": AV1, "container_options": FASTSTART}, EVEN),
        "open_gop.mkv": ({"options": OPEN_GOP}, EVEN),
        "vp9.webm": ({"codec": "libvpx-vp9", "options": VP}, EVEN),
        "h264.ts": ({"options": BFRAMES}, DELAYED),
        "open_gop.ts": ({"options": OPEN_GOP}, DELAYED),
        "hevc.ts": ({"codec": "libx265", "options": HEVC}, DELAYED),
        "mpeg4.avi": ({"codec": "mpeg4", "options": SHARP}, EVEN),
    }
    return {
        f"cut_{round(share * 1000)}_{name}": SuiteVideo(cut(share, **settings), times_s=times_s, cut=True)
        for name, (settings, times_s) in kinds.items()
        for share in shares
    }


SUITE: dict[str, SuiteVideo] = {
    **_whole(),
    **cut_videos(CUTS),
    # Its index was to come last: without it, nothing can be found.
    "cut_900_index_at_end.mp4": SuiteVideo(cut(0.9, options=BFRAMES), unreadable="not a readable video"),
}


def decode_and_compare(path: Path, video: SuiteVideo, backend: str) -> Outcome:
    """Decode all frames at full size and compare each with what is true."""
    from curate.media.decode import DecodeError, decode

    counted = delivered = wrong_frames = wrong_times = 0
    error = ""
    # Matroska stores whole milliseconds.
    tolerance_s = 1e-3 if path.suffix in (".mkv", ".webm") else 1e-4
    try:
        for frame in decode(path, lambda index, time_s: True, backend=backend, size_wh=video.size):
            counted += 1
            if frame.rgb is None:
                continue
            delivered += 1
            # The length of `times_s` is also that of the video: a frame beyond it is wrong.
            index = frame.frame_index
            wrong_frames += index >= len(video.times_s) or read_number(frame.rgb) != video.first + index
            wrong_times += index >= len(video.times_s) or abs(frame.timestamp_s - video.times_s[index]) > tolerance_s
    except DecodeError as problem:
        error = str(problem)
    return Outcome(counted, delivered, wrong_frames, wrong_times, error)
