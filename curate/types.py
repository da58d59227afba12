"""What the stages pass to each other, and how sources and frames are named."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from curate.errors import UsageError

SourceKind = Literal["video", "image"]
SourceStatus = Literal["ok", "broken", "duplicate", "superseded"]
FrameState = Literal["unlabeled", "labeled", "ignored"]
BackendChoice = Literal["auto", "decord", "pyav"]
BACKEND_CHOICES = get_args(BackendChoice)
"""Who decides how a video is decoded: the probe and the checks while decoding, or the user for one decoder alone."""

_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")
_EXPORT_STEM = re.compile(r"(?P<source>.+-[0-9a-f]{8})(?:_f(?P<frame_index>\d{8}))?")


@dataclass(frozen=True)
class Source:
    """A video or an image: one row of index.parquet. Sizes are those of the upright picture, in pixels.

    `status`: "broken" could not be read to its end (`error` says why; `frames` of it were read), "duplicate" has the
    content and name of another source, "superseded" was at a path that now holds another file.
    `samplings` lists, joined by ";", how candidates were drawn from it so far. `time_base` is the unit in seconds in
    which a video's container counts its time stamps, as in "1/15360"; "" for images, and where it is not known.
    """

    source: str
    path: str
    sha256: str
    bytes: int
    mtime_ns: int
    kind: SourceKind
    width: int = 0
    height: int = 0
    rotation: int = 0
    codec: str = ""
    fps: float = 0.0
    frames: int = 0
    duration_s: float = 0.0
    backend: str = ""
    backend_reason: str = ""
    samplings: str = ""
    error: str = ""
    status: SourceStatus = "ok"
    time_base: str = ""


@dataclass(frozen=True)
class Frame:
    """A frame in the cache: one row of pool.parquet.

    `frame_index` counts from 0 in presentation order; `timestamp_s` is the decoder's time stamp; `width` and
    `height` are those of the cached JPEG.
    """

    frame_id: str
    source: str
    frame_index: int
    timestamp_s: float
    width: int
    height: int
    state: FrameState = "unlabeled"


@dataclass(frozen=True)
class SelectedFrame:
    """A picked frame: one row of selection.csv.

    Rank counts from 1. A higher utility means label sooner. `uncertainty` (Eq. 7) is None where no detector has
    scored the frame, as in a cold start. `reason` says in words why it was picked.
    """

    rank: int
    frame_id: str
    source: str
    frame_index: int
    timestamp_s: float
    uncertainty: float | None
    utility: float
    reason: str


@dataclass(frozen=True)
class Skipped:
    """An input that could not be read to its end. `kept_frames` of it were read before the error and are used."""

    path: str
    reason: str
    kept_frames: int = 0


@dataclass(frozen=True)
class Sampling:
    """Which frames of a video are candidates: one every `every_s` seconds, or each `stride`-th; exactly one is set."""

    every_s: float | None = None
    stride: int | None = None

    def __post_init__(self) -> None:
        if (self.every_s is None) == (self.stride is None):
            raise UsageError("frame sampling: give exactly one of --every, --fps, --stride and --all-frames")
        if self.every_s is not None and not 0 < self.every_s < float("inf"):
            raise UsageError(f"frame sampling: the interval is {self.every_s} s; give a number of seconds above 0")
        if self.stride is not None and self.stride < 1:
            raise UsageError(f"--stride is {self.stride}; give a whole number from 1")

    def __str__(self) -> str:
        if self.stride is not None:
            return "all frames" if self.stride == 1 else f"every {self.stride} frames"
        return f"every {self.every_s:g} s"


_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|min|h)?")
_UNITS_S = {"ms": 1e-3, "s": 1, None: 1, "m": 60, "min": 60, "h": 3600}


def duration_s(text: str) -> float | None:
    """Seconds of a duration such as 0.5s, 200ms, 2m, 1h; a bare number is seconds. None for any other text."""
    match = _DURATION.fullmatch(text.strip())
    return float(match[1]) * _UNITS_S[match[2]] if match else None


def printable(path: Path | str) -> str:
    r"""`path` as text that can be printed and stored: bytes that are not UTF-8 are escaped, as in `bad\xff.mp4`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def source_key(path: Path, sha256: str) -> str:
    """`<stem>-<first 8 hex of sha256>`, ASCII without spaces, so that it can name files and folders anywhere."""
    stem = _UNSAFE.sub("_", path.stem.encode("ascii", "replace").decode().replace("?", "_")).strip("._") or "source"
    return f"{stem[:80]}-{sha256[:8]}"


def frame_id(source: str, kind: SourceKind, frame_index: int = 0) -> str:
    """`<source>:<frame_index:08d>` for a frame of a video, `<source>` for an image."""
    return f"{source}:{frame_index:08d}" if kind == "video" else source


def export_stem(frame_id_: str) -> str:
    """The file name, without extension, under which a frame leaves the workspace: `<source>_f<frame_index:08d>`."""
    return frame_id_.replace(":", "_f")


def parse_export_stem(stem: str) -> str | None:
    """The frame_id that `export_stem` was given, or None if `stem` is not such a name."""
    match = _EXPORT_STEM.fullmatch(stem)
    if match is None:
        return None
    index = match["frame_index"]
    return match["source"] if index is None else f"{match['source']}:{index}"


def cache_path(frames_dir: Path, source: str, frame_index: int) -> Path:
    """Where a frame's JPEG lies in the frame cache: `frames/<source>/<frame_index:08d>.jpg`."""
    return frames_dir / source / f"{frame_index:08d}.jpg"


def cache_path_of(frames_dir: Path, frame_id_: str) -> Path:
    """`cache_path` of a frame_id."""
    source, _, index = frame_id_.partition(":")
    return cache_path(frames_dir, source, int(index or 0))
