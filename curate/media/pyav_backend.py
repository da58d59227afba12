"""Decode with PyAV: its own current FFmpeg, every format, and damaged files up to the last good frame."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from curate.media.decode import DecodedFrame, DecodeError, Span, Wanted
from curate.media.packets import open_video, packets_from, seconds, video_streams

if TYPE_CHECKING:
    import numpy as np
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

# A file that yields this many undecodable packets in a row holds nothing more worth waiting for.
_GIVE_UP_AFTER = 5000


def frames(
    path: Path,
    wanted: Wanted,
    *,
    size_wh: tuple[int, int],
    threads: int,
    beat: Callable[[], None],
    span: Span | None = None,
) -> Generator[DecodedFrame, None, None]:
    """See `curate.media.decode.Backend`. What is damaged or missing is told at the end, after all frames there are."""
    import av

    pictures = Pictures(size_wh, threads)
    tally = Tally()
    first = span.start if span else 0
    count = 0
    try:
        with open_video(path) as container:
            stream = video_streams(container)[0]
            stream.codec_context.thread_count = threads
            stream.codec_context.thread_type = "AUTO"
            if container.format.name == "avi":
                tally.due = []
            clock = _Clock(stream, tally.due)
            packets: Iterator[Packet[VideoStream]] = container.demux(stream)
            if span:
                packets = islice(packets_from(container, stream, span.scan.pts[0]), len(span.scan.pts))
            for frame in decoded_frames(packets, stream, tally, beat):
                if span and (count == len(span.scan.pts) or frame.pts != span.scan.pts[count]):
                    raise DecodeError(f"PyAV: frame {first + count} is not the one that the packets announce")
                timestamp_s = clock(frame)
                rgb = pictures(frame) if wanted(first + count, timestamp_s) else None
                yield DecodedFrame(first + count, timestamp_s, rgb)
                count += 1
            announced = len(span.scan.pts) if span else _announced(stream)
    except (av.error.FFmpegError, OSError, ValueError, IndexError) as error:
        raise DecodeError(f"PyAV: {getattr(error, 'strerror', None) or error}") from error
    if tally.packets < announced:
        raise DecodeError(f"the file breaks off: its header announces {announced} frames, {tally.packets} are there")
    if tally.damaged:
        raise DecodeError(f"damaged: {tally.damaged} of {tally.packets} packets could not be decoded")
    if span and count < announced:
        raise DecodeError(f"PyAV: {count} frames from {announced} packets")


class Pictures:
    """Turns decoded frames into upright pictures of `size_wh`, (height, width, 3) uint8 RGB."""

    def __init__(self, size_wh: tuple[int, int], threads: int) -> None:
        from av.video.reformatter import VideoReformatter

        self._size_wh, self._threads = size_wh, threads
        self._reformatter = VideoReformatter()

    def __call__(self, frame: "VideoFrame") -> "NDArray[np.uint8]":
        """The picture of one frame."""
        import numpy as np
        from av.video.reformatter import Interpolation

        rotation = clockwise_rotation(frame)
        width, height = self._size_wh[::-1] if rotation % 180 else self._size_wh
        # Bilinear is what decord's filter graph does: both backends give the same picture.
        picture = self._reformatter.reformat(
            frame, width, height, "rgb24", interpolation=Interpolation.BILINEAR, threads=self._threads
        )
        return np.ascontiguousarray(np.rot90(picture.to_ndarray(), -rotation // 90), dtype=np.uint8)


@dataclass
class Tally:
    """Packets met, how many of them could not be decoded, and, if asked for, when those to come are due (a heap)."""

    packets: int = 0
    damaged: int = 0
    due: list[int] | None = None


def decoded_frames(
    packets: "Iterator[Packet[VideoStream]]",
    stream: "VideoStream",
    tally: Tally,
    beat: Callable[[], None] = lambda: None,
) -> "Iterator[VideoFrame]":
    """The frames of `packets` in presentation order, past what cannot be decoded, which `tally` counts.

    A container that breaks off counts as one damaged packet.
    """
    import av

    in_a_row = 0
    while in_a_row < _GIVE_UP_AFTER:
        beat()
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            packet = None
            tally.damaged += 1
        if packet is not None and packet.size:
            tally.packets += 1
            if tally.due is not None and packet.dts is not None:
                heappush(tally.due, packet.dts)
        try:
            # No packet, or an empty one: the end, and the decoder hands out what it held back for reordering.
            yield from stream.codec_context.decode(packet)
            in_a_row = 0
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            tally.damaged += 1
            in_a_row += 1
        if packet is None:
            return


def clockwise_rotation(frame: "VideoFrame") -> int:
    """How far to turn the stored picture clockwise, in degrees: 0, 90, 180 or 270.

    Other angles in a display matrix are damage or effects; the picture stays as stored.
    """
    degrees = -frame.rotation % 360
    return degrees if degrees in (90, 180, 270) else 0


class _Clock:
    """The time stamp of each frame in seconds; a frame without one follows the last by one frame's duration.

    AVI stores no presentation times, and what FFmpeg guesses for B-frames is out of order. Its frames are shown in
    order, at the times at which its packets are `due`.
    """

    def __init__(self, stream: "VideoStream", due: list[int] | None) -> None:
        rate = stream.average_rate or stream.guessed_rate
        self._step_s = float(1 / rate) if rate else 0.04
        self._last_s: float | None = None
        self._due = due

    def __call__(self, frame: "VideoFrame") -> float:
        pts = frame.pts
        if self._due is not None:
            pts = heappop(self._due) if self._due else None
        if pts is not None and frame.time_base:
            timestamp_s = seconds(pts, frame.time_base)
        else:
            timestamp_s = 0.0 if self._last_s is None else self._last_s + self._step_s
        self._last_s = timestamp_s
        return timestamp_s


def _announced(stream: "VideoStream") -> int:
    """How many packets there should be by the header; 0 where it does not say."""
    # An edit list can leave out whole groups of pictures: they are announced, but not in the index.
    indexed = len(getattr(stream, "index_entries", ()))
    return min(stream.frames, indexed) if indexed else stream.frames
