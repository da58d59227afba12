"""Exported pictures beside the frames that a decoder has near them, in one forward pass."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from curate.media.compare import Difference, ExportedPicture, read_picture, shown
from curate.media.decode import DecodeError, decode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Verdict = Literal["agrees", "unconfirmed", "differs", "unreadable"]

# Containers keep whole ticks, Matroska whole milliseconds, and exports microseconds.
_SAME_TIME_S = 1e-3
# What Pillow raises for a file that is not a picture, or not a whole one.
NOT_A_PICTURE = (OSError, ValueError, SyntaxError)


@dataclass(frozen=True)
class ExportedFrame:
    """A frame as it was exported: which one it is said to be, and its picture."""

    frame_index: int
    timestamp_s: float
    picture: Path


@dataclass(frozen=True)
class Checked:
    """What came of one exported frame.

    `verdict`: "agrees" with the original (a video: as a second decoder reads it), "unconfirmed": agrees, but only
    with the decoder that read it first, "differs", or "unreadable": the picture or the original cannot be read.
    `decoder` is the one it was last compared with, `shows` the index of the frame that the picture shows (None: none
    that was looked at), `difference` the mean absolute one from the frame it should show, in levels of 0 to 255
    (None: not compared). `reason` says in words what differs, cannot be read or could not be confirmed.
    """

    frame_index: int
    verdict: Verdict
    decoder: str = ""
    shows: int | None = None
    difference: float | None = None
    reason: str = ""


@dataclass
class Seen:
    """What one decoder has near the exported frames.

    `around` is how many frames to each side of its own a picture was compared with; `problem` is "" or why the
    decoder stopped; `count` how many frames it gave until then.
    """

    decoder: str
    around: int
    problem: str = ""
    count: int = 0
    times_s: dict[int, float] = field(default_factory=dict)
    differences: dict[int, dict[int, Difference]] = field(default_factory=dict)
    broken: dict[int, Exception] = field(default_factory=dict)
    _open: dict[int, ExportedPicture] = field(default_factory=dict)

    def compare(self, frame: ExportedFrame, index: int, rgb: "NDArray[np.uint8]", *, last: int) -> None:
        """Compare `frame`'s picture with the decoded frame `index`; after `last` the picture is not kept."""
        if frame.frame_index in self.broken:
            return
        try:
            if frame.frame_index not in self._open:
                self._open[frame.frame_index] = read_picture(frame.picture)
        except NOT_A_PICTURE as error:
            self.broken[frame.frame_index] = error
            return
        difference = self._open[frame.frame_index].difference(rgb)
        self.differences.setdefault(frame.frame_index, {})[index] = difference
        if index >= last:
            del self._open[frame.frame_index]

    def reached(self, frame: ExportedFrame) -> bool:
        """Whether the decoder came as far as the frame."""
        return frame.frame_index in self.times_s

    def differs(self, frame: ExportedFrame) -> bool:
        """Whether the picture could be compared, or the video has ended before it, and there is a fault."""
        if frame.frame_index in self.broken:
            return False
        return bool(self.fault(frame)) and (self.reached(frame) or not self.problem)

    def fault(self, frame: ExportedFrame) -> str:
        """What is wrong with an exported frame, in words; "" if nothing is."""
        index = frame.frame_index
        if index in self.broken:
            return not_readable(self.broken[index])
        if index not in self.times_s:
            return self.problem or f"the original has {self.count} frames, none with index {index}"
        if abs(self.times_s[index] - frame.timestamp_s) > _SAME_TIME_S:
            return f"frame {index} is at {self.times_s[index]:.4f} s, not at {frame.timestamp_s:.4f} s"
        near = self.differences[index]
        shows = shown(near, index)
        if shows is None:
            return (
                f"shows none of frames {min(near)} to {max(near)}; "
                f"{near[index].absolute:.1f} levels from frame {index} on average"
            )
        if shows == index:
            return ""
        # Of three frames, the nearest is not yet the one that it shows.
        return f"shows frame {shows}" if self.around > 1 else f"is nearer to frame {shows} than to frame {index}"

    def checked(self, frame: ExportedFrame, verdict: Verdict, reason: str = "") -> Checked:
        """The verdict with what was seen."""
        near = self.differences.get(frame.frame_index, {})
        own = near.get(frame.frame_index)
        shows = shown(near, frame.frame_index) if near else None
        if self.around == 1 and shows != frame.frame_index:
            shows = None
        return Checked(frame.frame_index, verdict, self.decoder, shows, own.absolute if own else None, reason)


def redecode(
    path: Path,
    frames: Sequence[ExportedFrame],
    *,
    decoder: str,
    size_wh: tuple[int, int],
    around: int,
    threads: int,
    beat: Callable[[], None],
) -> Seen:
    """One forward pass that compares each picture with the frames up to `around` to each side of its own.

    `size_wh` is the pictures' size in pixels; `beat` is called while there is progress.
    """
    near: dict[int, list[ExportedFrame]] = {}
    for frame in frames:
        for index in range(max(0, frame.frame_index - around), frame.frame_index + around + 1):
            near.setdefault(index, []).append(frame)
    seen = Seen(decoder, around)
    if not near:
        return seen
    last = max(near)
    try:
        decoded = decode(
            path,
            lambda index, _: index in near,
            backend=decoder,
            size_wh=size_wh,
            threads=threads,
            beat=beat,
        )
        with closing(decoded):
            for found in decoded:
                seen.count = found.frame_index + 1
                seen.times_s[found.frame_index] = found.timestamp_s
                rgb = found.rgb
                for frame in near.get(found.frame_index, ()):
                    assert rgb is not None
                    seen.compare(frame, found.frame_index, rgb, last=frame.frame_index + around)
                    beat()
                if found.frame_index >= last:
                    break
    except DecodeError as error:
        seen.problem = str(error)
    return seen


def not_readable(error: Exception) -> str:
    """Why an exported picture could not be compared."""
    if isinstance(error, FileNotFoundError):
        return "the exported picture is missing"
    return f"the exported picture cannot be read ({error})"
