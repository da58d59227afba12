"""Decode with PyAV: its own current FFmpeg, every format, and damaged files up to the last good frame."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from curate.media.damage import Damage
from curate.media.decode import DecodedFrame, DecodeError, Span, Wanted
from curate.media.ends import cut_short
from curate.media.packets import open_video, packets_from, seconds, video_streams
from curate.media.pictures import Pictures

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# A file that yields this many undecodable packets in a row holds nothing more worth waiting for.
_GIVE_UP_AFTER = 5000
# Containers without sizes: their last packet goes as far as the file does, whole or not.
_UNSIZED = ("mpegts", "mpeg")
# Codecs whose decoder can be told, packet by packet, to leave out frames that no other refers to.
_LEAVES_OUT = ("h264", "hevc")


def frames(
    path: Path,
    wanted: Wanted,
    *,
    size_wh: tuple[int, int],
    threads: int,
    beat: Callable[[], None],
    span: Span | None = None,
) -> Generator[DecodedFrame, None, None]:
    """See `curate.media.decode.Backend`. What is damaged or missing is told at the end, after all frames there are.

    A frame that damage may have spoilt counts, as it does for FFmpeg, but is not offered and has no picture. Frames at
    the end of a file that breaks off do not count where others may be missing before them.
    """
    import av

    pictures = Pictures(size_wh, threads)
    try:
        if span and span.reading and threads == 1 and span.reading.can_go_on():
            yield from _of_span(span, wanted, pictures, span.reading.go_on)
            return
        with open_video(path) as container:
            stream = video_streams(container)[0]
            stream.codec_context.thread_count = threads
            stream.codec_context.thread_type = "AUTO"
            if span is None:
                yield from _of_file(path, container, stream, wanted, pictures, beat)
                return

            def from_the_key(needed: int, kept: frozenset[int] | None) -> "tuple[Tally, Iterator[VideoFrame]]":
                tally = Tally(announced=needed, kept=kept)
                packets = islice(packets_from(container, stream, span.scan.pts[0]), needed)
                return tally, decoded_frames(packets, stream, tally, beat)

            yield from _of_span(span, wanted, pictures, from_the_key)
    except (av.error.FFmpegError, OSError, ValueError, IndexError) as error:
        raise DecodeError(f"PyAV: {getattr(error, 'strerror', None) or error}") from error


def _of_file(
    path: Path,
    container: "InputContainer",
    stream: "VideoStream",
    wanted: Wanted,
    pictures: Pictures,
    beat: Callable[[], None],
) -> Generator[DecodedFrame, None, None]:
    """Every frame that can be decoded, whatever the packets are."""
    form = container.format.name
    tally = Tally(Damage(has_pts=form != "avi", sized=form not in _UNSIZED), cut_short(path))
    if tally.cut_short:
        # With one thread, the frames that come before the end of a file that breaks off are always the same.
        stream.codec_context.thread_count = 1
    if form == "avi":
        tally.due = []
    clock = _Clock(stream, tally.due)
    count = 0
    for frame in decoded_frames(container.demux(stream), stream, tally, beat):
        timestamp_s = clock(frame)
        good = tally.damage.is_good(frame)
        if not tally.damage.index_known:
            continue
        picture = pictures(frame) if good and wanted(count, timestamp_s) else None
        yield DecodedFrame(count, timestamp_s, picture)
        count += 1
    if problem := tally.problem():
        raise DecodeError(problem)


def _of_span(
    span: Span,
    wanted: Wanted,
    pictures: Pictures,
    decode: "Callable[[int, frozenset[int] | None], tuple[Tally, Iterator[VideoFrame]]]",
) -> Generator[DecodedFrame, None, None]:
    """The frames that the packets announce.

    One that is not wanted, and that no other refers to, is not decoded, nor is any that is stored after the last that
    is wanted. `decode` is told how many packets are needed, and which time stamps must come (see `Tally`).
    """
    scan = span.scan
    shown = [wanted(span.start + place, timestamp_s) for place, timestamp_s in enumerate(scan.timestamps_s)]
    place_of = {pts: place for place, pts in enumerate(scan.pts)}
    kept = None
    needed = len(scan.pts)
    if scan.codec in _LEAVES_OUT:
        kept = frozenset(pts for pts, show in zip(scan.pts, shown, strict=True) if show)
        # A frame refers only to such as are stored before it.
        needed = max((stored + 1 for stored, place in enumerate(scan.places) if shown[place]), default=0)
    reached = 0

    def pass_to(place: int) -> Iterator[DecodedFrame]:
        if True in shown[reached:place]:
            raise DecodeError(f"PyAV: frame {span.start + shown.index(True, reached)} is missing")
        for left_out in range(reached, place):
            yield DecodedFrame(span.start + left_out, scan.timestamps_s[left_out], None)

    if not needed:
        yield from pass_to(len(scan.pts))
        return
    tally, frames = decode(needed, kept)
    for frame in frames:
        place = place_of.get(frame.pts, -1) if frame.pts is not None else -1
        if place < reached:
            raise DecodeError(f"PyAV: a frame after frame {span.start + reached} is not one that the packets announce")
        yield from pass_to(place)
        good = tally.damage.is_good(frame)
        picture = pictures(frame) if good and shown[place] else None
        yield DecodedFrame(span.start + place, scan.timestamps_s[place], picture)
        reached = place + 1
    if problem := tally.problem():
        raise DecodeError(problem)
    yield from pass_to(len(scan.pts))


@dataclass
class Tally:
    """What was met while decoding. `cut_short` says how the file breaks off by the sizes in it, else is empty.

    `announced` is how many packets there should be; if 0, the header's number and that of its index (`indexed`) are
    looked up at the end. `due`, if a list, becomes a heap of the times of packets whose frames are still to come. With
    `kept`, the time stamps of frames that must come, others that no frame refers to may be left out.
    """

    damage: Damage = field(default_factory=Damage)
    cut_short: str = ""
    packets: int = 0
    announced: int = 0
    indexed: int = 0
    undecodable: int = 0
    due: list[int] | None = None
    kept: frozenset[int] | None = None

    def breaks_off(self) -> bool:
        """Whether packets are missing at the end; asked when there are no more."""
        # A header that counts the frames knows better than sizes, which may be those of sound or metadata.
        if 0 < self.announced <= self.packets:
            return False
        # An edit list can leave out whole groups of pictures: they are announced, but not in the index.
        return self.packets < min(self.announced, self.indexed or self.announced) or bool(self.cut_short)

    def problem(self) -> str:
        """Empty, or what was wrong with the file."""
        left_out = f"; {self.damage.spoilt} frames are left out, as they may be spoilt" if self.damage.spoilt else ""
        if self.breaks_off():
            how = self.cut_short
            if self.packets < self.announced:
                how = f"its header announces {self.announced} frames, {self.packets} are there"
            return f"the file breaks off: {how}{left_out}"
        if self.undecodable:
            return f"damaged: {self.undecodable} of {self.packets} packets could not be decoded{left_out}"
        if self.damage.gap:
            return f"the file breaks off: frames are missing before its last{left_out}"
        return f"damaged{left_out}" if left_out else ""


def decoded_frames(
    packets: "Iterator[Packet[VideoStream]]",
    stream: "VideoStream",
    tally: Tally,
    beat: Callable[[], None] = lambda: None,
) -> "Iterator[VideoFrame]":
    """The frames of `packets` in presentation order, past what cannot be decoded, which `tally` counts.

    A container that breaks off with an error counts as one damaged packet.
    """
    import av

    in_a_row = 0
    last_dts: int | None = None
    upcoming = _with_end(packets, tally)
    packet = next(upcoming)
    while in_a_row < _GIVE_UP_AFTER:
        beat()
        following = next(upcoming) if packet is not None else None
        if packet is not None:
            tally.packets += 1
            if tally.due is not None and packet.dts is not None:
                heappush(tally.due, packet.dts)
            whole = tally.damage.sized or following is not None or not tally.cut_short
            tally.damage.packet(packet, whole=whole)
            if whole and not packet.is_corrupt:
                last_dts = packet.dts
        else:
            if not tally.announced:
                tally.announced, tally.indexed = stream.frames, len(getattr(stream, "index_entries", ()))
            tally.damage.end(breaks_off=tally.breaks_off(), last_dts=last_dts)
        if tally.kept is not None and packet is not None:
            stream.codec_context.skip_frame = "DEFAULT" if packet.pts in tally.kept else "NONREF"
        try:
            # No packet: the end, and the decoder hands out what it held back for reordering.
            yield from stream.codec_context.decode(packet)
            in_a_row = 0
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            tally.undecodable += 1
            tally.damage.found()
            in_a_row += 1
        if packet is None:
            return
        packet = following


def _with_end(packets: "Iterator[Packet[VideoStream]]", tally: Tally) -> "Iterator[Packet[VideoStream] | None]":
    """The packets that hold something, then None."""
    import av

    try:
        yield from (packet for packet in packets if packet.size)
    except av.error.FFmpegError:
        tally.undecodable += 1
        tally.damage.found()
    yield None


class _Clock:
    """The time stamp of each frame in seconds; a frame without one follows the last by one frame's duration.

    AVI stores no presentation times, and what FFmpeg guesses for B-frames is out of order. Its frames are shown in
    order, at the times at which its packets are `due`.
    """

    def __init__(self, stream: "VideoStream", due: list[int] | None) -> None:
        rate = stream.average_rate or stream.guessed_rate
        self._step_s = float(1 / rate) if rate else 0.04
        self._time_base = stream.time_base
        self._last_s: float | None = None
        self._due = due

    def __call__(self, frame: "VideoFrame") -> float:
        pts = frame.pts
        if self._due is not None:
            pts = heappop(self._due) if self._due else None
        if pts is not None and self._time_base:
            timestamp_s = seconds(pts, self._time_base)
        else:
            timestamp_s = 0.0 if self._last_s is None else self._last_s + self._step_s
        self._last_s = timestamp_s
        return timestamp_s
