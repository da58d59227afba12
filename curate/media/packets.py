"""What a container says about its frames, read packet by packet without decoding one."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream


@dataclass(frozen=True)
class PacketScan:
    """The packets of one video stream. `timestamps_s` are sorted, so they are in presentation order.

    `irregular` is empty where each packet is one frame to show, with a time stamp of its own, from a key frame on;
    otherwise it says what is not so. `keyframe_gap` is the largest number of frames from one key frame to the next.
    """

    timestamps_s: tuple[float, ...]
    keyframe_gap: int
    irregular: str


def open_video(path: Path) -> "InputContainer":
    """Open `path` with PyAV; raises what PyAV raises."""
    import av

    # Metadata in an odd encoding is no reason not to see the pictures.
    return av.open(str(path), metadata_errors="ignore")


def video_streams(container: "InputContainer") -> "list[VideoStream]":
    """The video streams, without cover art."""
    from av.stream import Disposition

    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def scan_packets(path: Path, beat: Any = None) -> PacketScan:
    """Read every packet of the first video stream; `beat`, if given, is called now and then.

    A container that breaks off gives the packets up to there, and says so in `irregular`.
    """
    import av

    pts: list[int] = []
    key_positions: list[int] = []
    irregular = ""
    with open_video(path) as container:
        stream = video_streams(container)[0]
        announced = stream.frames
        time_base = stream.time_base
        try:
            for number, packet in enumerate(container.demux(stream)):
                if beat is not None and number % 256 == 0:
                    beat()
                if packet.size == 0:
                    continue
                irregular = irregular or _irregularity(packet, first=not pts)
                if packet.is_keyframe:
                    key_positions.append(len(pts))
                pts.append(packet.pts if packet.pts is not None else len(pts))
        except (av.error.FFmpegError, ValueError) as error:
            irregular = irregular or f"the file breaks off ({type(error).__name__})"
    if not irregular and len(set(pts)) != len(pts):
        irregular = "frames share time stamps"
    if not irregular and announced and announced != len(pts):
        irregular = f"the header announces {announced} frames, the file holds {len(pts)}"
    edges = [*key_positions, len(pts)]
    gap = max((after - before for before, after in pairwise(edges)), default=len(pts))
    seconds = float(time_base) if time_base else 0.0
    return PacketScan(tuple(value * seconds for value in sorted(pts)), gap, irregular)


def _irregularity(packet: Any, first: bool) -> str:
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
