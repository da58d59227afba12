"""Whether decord and PyAV agree on what is in a video: a few frames, seen by both."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from curate.media.decode import DecodeError
from curate.media.packets import PacketScan, open_video, packets_from, video_streams

if TYPE_CHECKING:
    import numpy as np
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

# Frames in a row from each of the first, the middle and the last key frame that is a cut, where PyAV decodes hardly
# more than those. Two tell a shift by a frame either way: one of them is then closer to the other's picture.
_IN_A_ROW = 2
# Packets that PyAV may need to show as many, for frames that are stored in another order.
_PACKETS = _IN_A_ROW + 16
# Mean difference of levels, 0-255. Both scalers give the same picture within 1.5, other colour matrices within 10.
_SAME_PICTURE = 16.0
_PIXELS_IN_A_ROW = 100
# A frame may be as close to its neighbour, where nothing moves, but not closer by more than this.
_NOISE = 0.75


class SpotCheck:
    """Takes decord's pictures of the frames that are `wanted`, and holds them against PyAV's.

    `scan` describes frames of the video from index `first` on. `head` are frames that PyAV has decoded already.
    """

    def __init__(
        self,
        path: Path,
        scan: PacketScan,
        size_wh: tuple[int, int],
        *,
        first: int,
        head: "tuple[VideoFrame, ...]" = (),
    ) -> None:
        self._path, self._scan, self._size_wh, self._first, self._head = path, scan, size_wh, first, head
        cuts = sorted({scan.cuts[i] for i in (0, len(scan.cuts) // 2, -1)}) if scan.cuts else []
        self._rows = [range(first + cut, first + min(cut + _IN_A_ROW, len(scan.pts))) for cut in cuts]
        self.wanted = frozenset(index for row in self._rows for index in row)
        self._seen: dict[int, NDArray[np.uint8]] = {}

    def take(self, frame_index: int, rgb: "NDArray[np.uint8]") -> None:
        """Keep decord's picture of a wanted frame. With the last, DecodeError unless PyAV has the same pictures."""
        self._seen[frame_index] = rgb
        if len(self._seen) < len(self.wanted):
            return
        for row in self._rows:
            self._compare(row)
        self._seen.clear()

    def _compare(self, row: range) -> None:
        theirs = [_thinned(picture) for picture in self._pictures(row)]
        for index in row:
            ours = _thinned(self._seen[index])
            distances = [float(abs(ours - other).mean()) for other in theirs]
            own = distances[index - row.start]
            if own > _SAME_PICTURE or own > min(distances) + _NOISE:
                raise DecodeError(f"decord and PyAV see different pictures in frame {index}")

    def _pictures(self, row: range) -> "list[NDArray[np.uint8]]":
        """PyAV's pictures of a row of frames."""
        import av
        import numpy as np

        from curate.media.pictures import Pictures
        from curate.media.pyav_backend import Tally, decoded_frames

        pictures = Pictures(self._size_wh, threads=1)
        wanted = [self._scan.pts[index - self._first] for index in row]
        if [frame.pts for frame in self._head] == wanted:
            return [np.asarray(pictures(frame)) for frame in self._head]
        found = {}
        try:
            with open_video(self._path) as container:
                stream = video_streams(container)[0]
                stream.codec_context.thread_count = 1
                packets = islice(packets_from(container, stream, wanted[0]), _PACKETS)
                for frame in decoded_frames(packets, stream, Tally()):
                    if frame.pts in wanted:
                        found[frame.pts] = np.asarray(pictures(frame))
                    if len(found) == len(wanted):
                        break
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise DecodeError(f"PyAV: {getattr(error, 'strerror', None) or error}") from error
        if len(found) < len(wanted):
            raise DecodeError(f"PyAV does not find frame {row.start} and those after it")
        return [found[pts] for pts in wanted]


def _thinned(picture: "NDArray[np.uint8]") -> "NDArray[np.int16]":
    """Each so-many-th pixel, about a hundred in a row: enough for a mean, and a fraction of the time."""
    step = max(1, min(picture.shape[:2]) // _PIXELS_IN_A_ROW)
    return picture[::step, ::step].astype("int16")
