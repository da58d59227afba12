"""Which frames of a video a sampling takes, decided frame by frame in presentation order."""

from collections.abc import Collection

from curate.types import Sampling

# Matroska and WebM store whole milliseconds: the frame due at 0.5 s may carry 0.499 s, and counts as on time.
_TOLERANCE_S = 1e-3 + 1e-9


class FramePicker:
    """Called once a frame, in presentation order; says whether the frame is wanted.

    With `every_s`, the first frame at or after each multiple of it, counted from the first time stamp of the video
    (a gap in the time stamps gives one frame, not several). With `stride`, frames 0, stride, 2 * stride and so on.
    Frames whose index is in `extra` are wanted as well.
    """

    def __init__(self, sampling: Sampling | None, extra: Collection[int] = frozenset()) -> None:
        self._sampling = sampling
        self._extra = extra
        self._first_s: float | None = None
        self._next_multiple = 0
        # The last index that can be wanted, None where the sampling runs to the end of the video.
        self.last_index = None if sampling is not None else max(extra, default=-1)

    def __call__(self, frame_index: int, timestamp_s: float) -> bool:
        """Whether the frame is wanted."""
        # Not short-circuited: the sampling has to see every frame.
        sampled = self._sampled(frame_index, timestamp_s)
        return sampled or frame_index in self._extra

    def _sampled(self, frame_index: int, timestamp_s: float) -> bool:
        if self._sampling is None:
            return False
        if self._sampling.stride is not None:
            return frame_index % self._sampling.stride == 0
        assert self._sampling.every_s is not None
        every_s = self._sampling.every_s
        if self._first_s is None:
            self._first_s = timestamp_s
        elapsed_s = timestamp_s - self._first_s + min(_TOLERANCE_S, every_s / 10)
        if elapsed_s < self._next_multiple * every_s:
            return False
        self._next_multiple = int(elapsed_s // every_s) + 1
        return True


def add_sampling(samplings: str, sampling: Sampling | None) -> str:
    """A source's `samplings` (";"-joined) with one more, each once and in the order they were made."""
    names = [name for name in samplings.split(";") if name]
    if sampling is not None and str(sampling) not in names:
        names.append(str(sampling))
    return ";".join(names)
