"""Frames of a video, forward, upright and scaled by the decoder; one backend behind one interface.

A backend is a module with a function `frames` of the signature of `Backend`, named in `BACKENDS`.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from curate.media.packets import PacketScan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from curate.media.reading import Reading

Wanted = Callable[[int, float], bool]
"""Called with (frame_index, timestamp_s) once a frame in presentation order; says whether the picture is wanted."""


@dataclass(frozen=True)
class DecodedFrame:
    """One frame. `frame_index` counts from 0, in presentation order, the frames that a forward decode delivers.

    `timestamp_s` is the container's time stamp, not index / fps. `picture` is upright RGB, or None for a frame that is
    not wanted.
    """

    frame_index: int
    timestamp_s: float
    picture: "Image.Image | None"

    @property
    def rgb(self) -> "NDArray[np.uint8] | None":
        """The picture as (height, width, 3) uint8."""
        if self.picture is None:
            return None
        # Filling the frame cache does without this library, which takes as long to import as two clips to read.
        import numpy as np

        return np.asarray(self.picture)


@dataclass(frozen=True)
class Span:
    """A part of a regular video that can be decoded alone: from one cut (see `PacketScan`) to another, or the end.

    `start` is the index in the video of its first frame, `scan` describes its frames alone. `whole`: the part is all of
    the video. `reading` is the video, where it is open.
    """

    start: int
    scan: PacketScan
    whole: bool = False
    reading: "Reading | None" = None

    @property
    def end(self) -> int:
        """One more than the index in the video of its last frame."""
        return self.start + len(self.scan.pts)


class DecodeError(Exception):
    """The backend cannot read this file, or cannot be trusted with it; the message is the reason."""


class Backend(Protocol):
    """Decode forward: yield every frame, with its picture where `wanted`.

    The picture is scaled to `size_wh` (upright, pixels). `threads` is how many the decoder may use. `beat` is called
    while there is progress but no frame yet. `span` decodes a part of the video; the frames are the same as those of
    the whole. Raises DecodeError, where it can after the frames that are good.
    """

    def __call__(  # noqa: D102
        self,
        path: Path,
        wanted: Wanted,
        *,
        size_wh: tuple[int, int],
        threads: int,
        beat: Callable[[], None],
        span: Span | None,
    ) -> Generator[DecodedFrame, None, None]: ...


BACKENDS = {"decord": "curate.media.decord_backend", "pyav": "curate.media.pyav_backend"}


def decode(
    path: Path,
    wanted: Wanted,
    *,
    backend: str,
    size_wh: tuple[int, int],
    threads: int = 1,
    beat: Callable[[], None] = lambda: None,
    span: Span | None = None,
) -> Generator[DecodedFrame, None, None]:
    """Every frame of `path`, or of a span of it, with `backend`, a name of `BACKENDS`, see `Backend`."""
    module = import_module(BACKENDS[backend])
    return cast(Backend, module.frames)(path, wanted, size_wh=size_wh, threads=threads, beat=beat, span=span)


def scaled_size(width: int, height: int, imgsz: int) -> tuple[int, int]:
    """(width, height) with the long side at most `imgsz` pixels: aspect kept, never larger, never below 1."""
    scale = min(1.0, imgsz / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
