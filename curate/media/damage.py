"""Which decoded frames show what was filmed: damage spoils all frames up to the next key frame."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


class Damage:
    """Follows packets and frames of one stream; told of each packet before it is decoded.

    A decoder conceals what it cannot decode with parts of other pictures, and the frames that are predicted from such
    a picture are spoilt as well. None is good from the first sign of damage to the next key frame. Where a file
    breaks off, frames stored later than the end may belong before those that the decoder still holds. `has_pts` is
    whether packets and frames carry presentation times, `sized` whether the container states sizes. `spoilt` counts
    the frames that are not good; `gap` is whether frames are missing at the end of a file that seems complete, and
    `index_known` whether the index of the last frame is: none can be missing before it.
    """

    def __init__(self, *, has_pts: bool = True, sized: bool = True) -> None:
        self.spoilt = 0
        self.gap = False
        self.index_known = True
        self.sized = sized
        self._has_pts = has_pts
        # Spoilt now; then, once a key frame has come, the presentation time from which frames are good again.
        self._spoilt = False
        self._good_from: int | None = None
        self._key_is_due = False
        self._known_until: int | None = None
        self._at_the_end = False
        self._previous: int | None = None
        self._longest_step = 0

    def packet(self, packet: "Packet[VideoStream]", *, whole: bool) -> None:
        """`packet` is decoded next; `whole` is whether all of it is there."""
        if packet.is_corrupt or not whole:
            self.found()
        elif self._spoilt and packet.is_keyframe and not self._key_is_due:
            self._key_is_due, self._good_from = True, packet.pts

    def found(self) -> None:
        """The decoder gave an error, or a picture with concealed parts."""
        self._spoilt, self._key_is_due, self._good_from = True, False, None

    def end(self, *, breaks_off: bool, last_dts: int | None) -> None:
        """No packet is left; the decoder hands out what it held back. `last_dts` is that of the last whole packet."""
        self._at_the_end = True
        if breaks_off:
            # What is missing is decoded later, and shown later still.
            self._known_until = last_dts if self._has_pts and last_dts is not None else -(2**63)

    @property
    def is_spoilt(self) -> bool:
        """Whether there was a sign of damage, and no good frame since."""
        return self._spoilt

    def is_good(self, frame: "VideoFrame") -> bool:
        """Whether `frame`, the next in presentation order, is to be shown; counts those that are not."""
        if frame.is_corrupt or self._leaves_a_gap(frame):
            self.found()
        elif self._key_is_due and self._reaches_key(frame):
            self._spoilt = self._key_is_due = False
        if self._known_until is not None and (frame.pts is None or frame.pts > self._known_until):
            self.index_known = False
        good = self.index_known and not self._spoilt
        self.spoilt += not good
        return good

    def _reaches_key(self, frame: "VideoFrame") -> bool:
        if self._has_pts and self._good_from is not None and frame.pts is not None:
            return frame.pts >= self._good_from
        return frame.key_frame

    def _leaves_a_gap(self, frame: "VideoFrame") -> bool:
        """Whether frames seem to be missing before one that was held back to the end.

        That is how a recording ends that was cut between packets: nothing else tells.
        """
        if self.sized or not self._has_pts or frame.pts is None:
            return False
        step = frame.pts - self._previous if self._previous is not None else 0
        self._previous = frame.pts
        if self._at_the_end and self._longest_step and step > 1.5 * self._longest_step:
            self.gap, self.index_known = True, False
        self._longest_step = max(self._longest_step, step)
        return self.gap
