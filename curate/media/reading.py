"""A video that is opened once: the decoder that told what it is goes on, with the packets that were read to know it."""

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

from curate.media.packets import PacketReader
from curate.media.pyav_backend import Tally, decoded_frames

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


class Reading:
    """A video of which PyAV has decoded the first `frames`, its `head`, and can decode the others, once.

    The container of `packets` is to stay open. `beat` is called while there is progress.
    """

    def __init__(self, packets: PacketReader, *, frames: int, beat: Callable[[], None]) -> None:
        self._packets = packets
        self._needed: int | None = None
        self._tally = Tally()
        stream = packets.streams[0]
        stream.codec_context.thread_count = 1
        self._frames = decoded_frames(self._feed(), stream, self._tally, beat)
        self.head = tuple(islice(self._frames, frames))

    def can_go_on(self) -> bool:
        """Whether all packets are at hand, and nothing was wrong with the first."""
        return self._packets.kept is not None and not self._tally.undecodable and not self._tally.damage.is_spoilt

    def go_on(self, needed: int, kept: frozenset[int] | None) -> "tuple[Tally, Iterator[VideoFrame]]":
        """The frames of the first `needed` packets, those of the head among them, and what is met while decoding.

        For `kept` see `Tally`. All packets must have been read.
        """
        self._needed = self._tally.announced = needed
        self._tally.kept = kept
        return self._tally, chain(self.head, self._frames)

    def _feed(self) -> "Iterator[Packet[VideoStream]]":
        fed = 0
        for packet in self._packets:
            fed += 1
            yield packet
        # The others have been read meanwhile, to scan them.
        yield from (self._packets.kept or [])[fed : self._needed]
