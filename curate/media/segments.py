"""A long video as short ones: packets copied, not encoded again, into files in memory, cut at key frames."""

import io
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from curate.media.packets import PacketScan, open_video, packets_from, video_streams

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream


def plan(scan: PacketScan, frame_bytes: int, limit_bytes: int) -> list[int]:
    """Where to cut, so that each piece costs at most `limit_bytes`.

    Returns the first frame of each piece, then the number of frames. A piece without a key frame to cut at may cost
    more.
    """
    edges = [*scan.cuts, len(scan.timestamps_s)]
    starts = [0]
    held = 0
    for start, end in pairwise(edges):
        piece = cost_bytes(scan, start, end, frame_bytes)
        if held and held + piece > limit_bytes:
            starts.append(start)
            held = 0
        held += piece
    return [*starts, len(scan.timestamps_s)]


def cost_bytes(scan: PacketScan, start: int, end: int, frame_bytes: int) -> int:
    """What a piece can come to hold in memory: its frames decoded, and its packets in four copies.

    The copies: as read, in the new file, in decord's buffer and in its queue.
    """
    return (end - start) * frame_bytes + 4 * sum(scan.packet_bytes[start:end])


def split(path: Path, starts: Sequence[int], key_pts: int) -> Iterator[io.BytesIO]:
    """The pieces of the first video stream of `path` that `plan` gave, each a file of its own that starts at 0 s.

    key_pts: time stamp, in ticks, of the key frame that the first piece starts with.
    """
    with open_video(path) as container:
        stream = video_streams(container)[0]
        packets = packets_from(container, stream, key_pts)
        for start, end in pairwise(starts):
            yield _copy(stream, [next(packets) for _ in range(end - start)])


def _copy(stream: "VideoStream", packets: "list[Packet[VideoStream]]") -> io.BytesIO:
    import av

    file = io.BytesIO()
    # MP4 holds no VP8; Matroska rounds time stamps to milliseconds, and older FFmpegs find no rotation in it.
    form = "webm" if stream.codec_context.codec.canonical_name == "vp8" else "mp4"
    with av.open(file, "w", format=form) as output:
        copy = output.add_stream_from_template(stream)
        first_pts = min(packet.pts for packet in packets if packet.pts is not None)
        for packet in packets:
            packet.pts = packet.pts - first_pts if packet.pts is not None else None
            packet.dts = packet.dts - first_pts if packet.dts is not None else None
            packet.stream = copy
            output.mux(packet)
    file.seek(0)
    return file
