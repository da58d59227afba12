"""What a container says about its frames, read packet by packet without decoding one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from curate.media.ends import cut_short

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

# Packets of a video that are held in memory at most.
_KEPT_BYTES = 32 * 2**20


@dataclass(frozen=True)
class PacketScan:
    """The packets of one video stream. `timestamps_s` and `pts`, in ticks, are sorted: in presentation order.

    `irregular` is empty where each packet is one frame to show, with a time stamp of its own, from a key frame on;
    otherwise it says what is not so. `places` and `packet_bytes` are in the order of the file: the index of each
    packet's frame, and its size. `cuts` are the key frames that no frame reaches across: all that is stored before one
    is shown before it, and all after it after. `closed` is whether all key frames are such. `container`, `codec` and
    `pixel_format` are FFmpeg's names, `streams` is the number of video streams.
    """

    timestamps_s: tuple[float, ...]
    pts: tuple[int, ...]
    places: tuple[int, ...]
    packet_bytes: tuple[int, ...]
    cuts: tuple[int, ...]
    closed: bool
    irregular: str
    container: str
    codec: str
    pixel_format: str
    streams: int

    def part(self, start: int, end: int) -> "PacketScan":
        """The frames from `start` to before `end`, both cuts (or the end), as if they were a video."""
        cuts = tuple(cut - start for cut in self.cuts if start <= cut < end)
        return replace(
            self,
            timestamps_s=self.timestamps_s[start:end],
            pts=self.pts[start:end],
            places=tuple(place - start for place in self.places[start:end]),
            packet_bytes=self.packet_bytes[start:end],
            cuts=cuts,
        )


def open_video(path: Path) -> "InputContainer":
    """Open `path` with PyAV; raises what PyAV raises."""
    import av

    # Metadata in an odd encoding is no reason not to see the pictures.
    return av.open(str(path), metadata_errors="ignore")


def video_streams(container: "InputContainer") -> "list[VideoStream]":
    """The video streams, without cover art."""
    from av.stream import Disposition

    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def video_packets(container: "InputContainer", stream: "VideoStream") -> "Iterator[Packet[VideoStream]]":
    """The packets of `stream` in the order of the file, without the empty one that marks the end."""
    return (packet for packet in container.demux(stream) if packet.size)


def packets_from(container: "InputContainer", stream: "VideoStream", key_pts: int) -> "Iterator[Packet[VideoStream]]":
    """The packets of `stream` from the key frame with this time stamp on, in the order of the file.

    The container is asked to seek there. Where it lands behind, as it may where groups are shorter than the
    reordering of their frames, the file is read from its start.
    """
    container.seek(key_pts, stream=stream)
    found = False
    for packet in video_packets(container, stream):
        found = found or (packet.is_keyframe and packet.pts == key_pts)
        if found:
            yield packet
        elif packet.is_keyframe and packet.pts is not None and packet.pts > key_pts:
            break
    if found:
        return
    container.seek(0)
    for packet in video_packets(container, stream):
        found = found or (packet.is_keyframe and packet.pts == key_pts)
        if found:
            yield packet


def scan_packets(path: Path, beat: Callable[[], None] = lambda: None, *, head_bytes: int | None = None) -> PacketScan:
    """Read every packet of the first video stream; `beat` is called now and then.

    A container that breaks off gives the packets up to there, and says so in `irregular`. With `head_bytes`, only so
    many bytes of packets are read, and nothing is said of the rest.
    """
    with open_video(path) as container:
        return PacketReader(path, container, beat).scan(head_bytes=head_bytes)


class PacketReader:
    """The packets of the first video stream of an open container, from its start: iterate over them, or `scan` them.

    What was iterated over is part of the scan, so that a file is read once. With `keep`, `kept` are the packets that
    were read so far, until they are more than should be held in memory, or `keep_none` is called; then it is None.
    """

    def __init__(
        self,
        path: Path,
        container: "InputContainer",
        beat: Callable[[], None] = lambda: None,
        *,
        keep: bool = False,
    ) -> None:
        self._path, self._container, self._beat = path, container, beat
        self.streams = video_streams(container)
        self._announced = self.streams[0].frames
        # As in the header: with a frame, a decoder may come to know another.
        self._pixel_format = self.streams[0].codec_context.pix_fmt or ""
        self._pts: list[int] = []
        self._sizes: list[int] = []
        self._keys: list[int] = []
        self._irregular = ""
        self._kept_bytes = 0
        self.kept: list[Packet[VideoStream]] | None = [] if keep else None
        self._packets = self._read()

    def __iter__(self) -> "Iterator[Packet[VideoStream]]":
        return self._packets

    def keep_none(self) -> None:
        """Packets are not read again."""
        self.kept = None

    def _read(self) -> "Iterator[Packet[VideoStream]]":
        import av

        pts, keys = self._pts, self._keys
        try:
            for packet in video_packets(self._container, self.streams[0]):
                if len(pts) % 256 == 0:
                    self._beat()
                self._irregular = self._irregular or _irregularity(packet, first=not pts)
                if packet.is_keyframe:
                    keys.append(len(pts))
                pts.append(packet.pts if packet.pts is not None else len(pts))
                self._sizes.append(packet.size)
                self._keep(packet)
                yield packet
        except (av.error.FFmpegError, ValueError) as error:
            self._irregular = self._irregular or f"the file breaks off ({type(error).__name__})"

    def _keep(self, packet: "Packet[VideoStream]") -> None:
        if self.kept is None:
            return
        self._kept_bytes += packet.size
        if self._kept_bytes > _KEPT_BYTES:
            self.kept = None
        else:
            self.kept.append(packet)

    def scan(self, *, head_bytes: int | None = None) -> PacketScan:
        """Read what is left, or up to `head_bytes` bytes of packets, and put all together; see `scan_packets`."""
        stream = self.streams[0]
        read = 0
        for packet in self:
            read += packet.size
            if head_bytes is not None and read >= head_bytes:
                self._announced = 0
                break
        stored_at = sorted(range(len(self._pts)), key=self._pts.__getitem__)
        in_order = [self._pts[position] for position in stored_at]
        places = [0] * len(stored_at)
        for place, position in enumerate(stored_at):
            places[position] = place
        irregular = self._irregular
        # Where the header counts the frames, the count is compared below.
        if not irregular and not self._announced and (how := cut_short(self._path)):
            irregular = f"the file breaks off: {how}"
        if not irregular and any(before == after for before, after in pairwise(in_order)):
            irregular = "frames share time stamps"
        if not irregular and self._announced and self._announced != len(in_order):
            irregular = f"the header announces {self._announced} frames, the file holds {len(in_order)}"
        tick = stream.time_base or Fraction(0)
        cuts = _cuts(self._pts, self._keys)
        return PacketScan(
            timestamps_s=tuple(seconds(value, tick) for value in in_order),
            pts=tuple(in_order),
            places=tuple(places),
            packet_bytes=tuple(self._sizes),
            cuts=cuts,
            closed=len(cuts) == len(self._keys),
            irregular=irregular,
            container=self._container.format.name,
            codec=stream.codec_context.codec.canonical_name,
            pixel_format=self._pixel_format,
            streams=len(self.streams),
        )


def time_base_of(stream: "VideoStream") -> str:
    """The unit in seconds in which the stream counts its time stamps, as in "1/15360"; "" where it has none."""
    return f"{stream.time_base.numerator}/{stream.time_base.denominator}" if stream.time_base else ""


def seconds(pts: int, time_base: Fraction) -> float:
    """A time stamp in seconds; the same float wherever it is computed."""
    return pts * time_base.numerator / time_base.denominator


def _cuts(pts: list[int], keys: list[int]) -> tuple[int, ...]:
    """The key frames with no earlier packet shown after them and no later one before."""
    latest_before = list(accumulate(pts, max))
    earliest_from = list(accumulate(reversed(pts), min))[::-1]
    return tuple(
        key for key in keys if earliest_from[key] == pts[key] and (not key or latest_before[key - 1] < pts[key])
    )


def _irregularity(packet: "Packet[VideoStream]", first: bool) -> str:
    if packet.is_discard:
        return "an edit list leaves out frames"
    if packet.pts is None:
        return "frames without a time stamp"
    if packet.pts < 0:
        return "an edit list or time stamps before 0"
    if packet.is_corrupt:
        return "damaged packets"
    if first and not packet.is_keyframe:
        return "does not start with a key frame"
    return ""
