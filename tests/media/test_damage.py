"""Damaged and interrupted files: what is left of them is right, and the end is noticed."""

from pathlib import Path

import pytest
from video_suite import BFRAMES, FASTSTART, FRAGMENTED, SHARP, cut
from videos import read_number, write_numbered_video

from curate.media.decode import DecodedFrame, DecodeError, decode
from curate.media.ends import cut_short
from curate.media.packets import open_video
from curate.media.probe import probe


def read(path: Path, threads: int = 1) -> tuple[list[DecodedFrame], str]:
    """All frames, and what is said of the file at the end."""
    frames = []
    try:
        for frame in decode(path, lambda index, time_s: True, backend="pyav", size_wh=(288, 192), threads=threads):
            frames.append(frame)
    except DecodeError as error:
        return frames, str(error)
    return frames, ""


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_damage_costs_the_frames_up_to_the_next_key_frame(tmp_path: Path, name: str) -> None:
    path = write_numbered_video(tmp_path / name, options=BFRAMES)
    with open_video(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    # A frame of the second group, which others are predicted from.
    hit = next(packet for packet in packets[15:] if packet.size > 60)
    data = bytearray(path.read_bytes())
    payload = bytes(hit)
    at = data.index(payload)
    data[at + 4 : at + len(payload)] = bytes([0x5A]) * (len(payload) - 4)
    path.write_bytes(data)
    frames, error = read(path)
    assert "damaged" in error
    assert "left out" in error
    shown = [frame for frame in frames if frame.rgb is not None]
    numbers = [read_number(frame.rgb) for frame in shown]
    assert [round(frame.timestamp_s * 30) for frame in shown] == numbers
    assert set(range(12)) <= set(numbers)
    assert set(range(24, 60)) <= set(numbers)
    assert len(numbers) < 60
    assert max(frame.frame_index for frame in frames) >= 58


def test_a_frame_that_damage_spoilt_is_not_offered(tmp_path: Path) -> None:
    path = cut(0.8, options=BFRAMES)(tmp_path / "a.ts")
    offered: list[int] = []

    def wanted(index: int, time_s: float) -> bool:
        offered.append(index)
        return False

    with pytest.raises(DecodeError, match="it ends within a transport packet"):
        list(decode(path, wanted, backend="pyav", size_wh=(288, 192)))
    frames, _ = read(path)
    assert offered == [frame.frame_index for frame in frames if frame.rgb is not None]


def test_the_end_of_a_file_that_breaks_off_is_the_same_with_more_threads(tmp_path: Path) -> None:
    path = cut(0.7, options=BFRAMES)(tmp_path / "a.mkv")
    one, four = read(path), read(path, threads=4)
    assert "breaks off" in one[1] == four[1]
    assert [frame.frame_index for frame in one[0]] == [frame.frame_index for frame in four[0]]


def test_a_recording_cut_between_two_frames_loses_only_what_is_out_of_order(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "a.ts", options=BFRAMES)
    data = path.read_bytes()
    gaps = 0
    # At every transport packet, so that nothing but the frames themselves can tell.
    for end in range(len(data) // 2, len(data) // 2 + 30 * 188, 188):
        path.write_bytes(data[: end // 188 * 188])
        assert cut_short(path) == ""
        frames, error = read(path)
        shown = [frame for frame in frames if frame.rgb is not None]
        assert len(shown) > 20
        assert [read_number(frame.rgb) for frame in shown] == [frame.frame_index for frame in shown]
        gaps += "frames are missing before its last" in error
    assert gaps


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a.mp4", {}),
        ("fast.mp4", {"container_options": FASTSTART}),
        ("parts.mp4", {"container_options": FRAGMENTED}),
        ("a.mov", {}),
        ("a.mkv", {}),
        ("a.webm", {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}}),
        ("live.mkv", {"container_options": {"live": "1"}}),
        ("a.avi", {"codec": "mpeg4", "options": SHARP}),
        ("a.ts", {}),
        ("a.m2ts", {}),
        ("a.mpg", {"codec": "mpeg2video"}),
        ("a.flv", {}),
    ],
)
def test_only_a_file_that_is_cut_is_cut_short(tmp_path: Path, name: str, settings: dict[str, object]) -> None:
    path = write_numbered_video(tmp_path / name, **settings)  # type: ignore[arg-type]
    assert cut_short(path) == ""
    data = path.read_bytes()
    path.write_bytes(data + bytes(188 * 192))
    assert cut_short(path) == ""
    path.write_bytes(data[: len(data) * 2 // 3 // 188 * 188 + 50])
    # A live recording and these two formats state no sizes.
    assert bool(cut_short(path)) == (name not in ("live.mkv", "a.mpg", "a.flv"))


@pytest.mark.parametrize("data", [b"", b"\0", b"RIFF", b"\x1a\x45\xdf\xa3", b"\0\0\0\1ftyp", b"G" * 7, bytes(999)])
def test_scraps_have_no_end_to_fall_short_of(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "scrap").write_bytes(data)
    assert cut_short(tmp_path / "scrap") in ("", "it ends after 9 bytes, its container announces 4294967296")


def test_a_header_that_is_cut_is_named(tmp_path: Path) -> None:
    data = write_numbered_video(tmp_path / "a.mp4").read_bytes()
    # The index lies at the end. Cut in its parts, the file has no stream, one without a codec, or one without frames.
    for end in range(data.index(b"moov"), len(data) - 1, 23):
        (tmp_path / "cut.mp4").write_bytes(data[:end])
        found = probe(tmp_path / "cut.mp4")
        # After the index come only remarks, such as the encoder's name.
        assert found.error or end > data.index(b"udta")
