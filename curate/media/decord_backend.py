"""Decode with decord: fast, forward only, and only as long as it agrees with what the container says."""

import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from curate.media.decode import DecodedFrame, DecodeError, Span, Wanted
from curate.media.decord_trust import distrust
from curate.media.packets import scan_packets
from curate.media.segments import cost_bytes, plan, split
from curate.media.spot_check import SpotCheck

# decord reads and decodes ahead of its reader without limit. What it is given at once must fit in this.
MEMORY_LIMIT_BYTES = 128 * 2**20
_SKIP_AT_ONCE = 32
_SOURCE_POSITION = re.compile(r"\[\d+:\d+:\d+\] \S+:\d+: ")
_FILE_NAME = re.compile(r"^\[/.*?\] ")


def frames(
    path: Path,
    wanted: Wanted,
    *,
    size_wh: tuple[int, int],
    threads: int,
    beat: Callable[[], None],
    span: Span | None = None,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
) -> Generator[DecodedFrame, None, None]:
    """See `curate.media.decode.Backend`.

    decord gives frames without their time stamps. The packets give one time stamp a frame; the two are put together
    only where the container is regular, decord finds the same number of frames at the same times, the forward
    decode then delivers exactly that many, and a few of them are those that PyAV sees. A long video is given to decord
    in pieces, so that memory stays bounded.
    """
    scan = span.scan if span else scan_packets(path, beat)
    reason = distrust(scan.container, scan.codec, scan.pixel_format, width=size_wh[0], streams=scan.streams)
    if reason or scan.irregular:
        raise DecodeError(reason or scan.irregular)
    frame_bytes = size_wh[0] * size_wh[1] * 3
    starts = plan(scan, frame_bytes, memory_limit_bytes)
    for start, end in pairwise(starts):
        if cost_bytes(scan, start, end, frame_bytes) > 2 * memory_limit_bytes:
            raise DecodeError(f"{end - start} frames without a key frame to cut at, more than decord should hold")
    whole = len(starts) == 2 and (span is None or span.whole)
    pieces: Iterable[Any] = [str(path)] if whole else split(path, starts, scan.pts[0])
    decord = library()
    first = span.start if span else 0
    # Told to skip past a key frame, decord seeks to it, and without an index of all frames, as in fragments, lands
    # elsewhere. Around the key frame of an open group, it skips other frames than it is told to in any case.
    before_keys = {first + cut - 1 for cut in scan.cuts}

    def may_skip(frame_index: int) -> bool:
        return scan.closed and frame_index not in before_keys

    check = SpotCheck(path, scan, size_wh, first=first, head=span.reading.head if span and span.reading else ())
    try:
        for start, end, piece in zip(starts, starts[1:], pieces, strict=False):
            reader = decord.VideoReader(piece, width=size_wh[0], height=size_wh[1], num_threads=threads)
            times_s = scan.timestamps_s[start:end]
            _check_times(reader, times_s)
            beat()
            yield from _forward(reader, wanted, first + start, times_s, size_wh, may_skip, check, beat)
    except (decord.DECORDError, RuntimeError, AssertionError, OSError) as error:
        raise DecodeError(f"decord: {_first_line(error)}") from error


def library() -> Any:
    """The decord module, quiet."""
    # decord reads its variables when the library loads.
    os.environ.setdefault("DECORD_EOF_RETRY_MAX", "20480")
    import decord
    from decord._ffi.base import DECORDError

    decord.DECORDError = DECORDError
    decord.logging.set_level(decord.logging.QUIET)
    return decord


def _forward(
    reader: Any,
    wanted: Wanted,
    start: int,
    timestamps_s: tuple[float, ...],
    size_wh: tuple[int, int],
    may_skip: Callable[[int], bool],
    check: SpotCheck,
    beat: Callable[[], None],
) -> Iterator[DecodedFrame]:
    from PIL import Image

    skipped = 0
    for index, timestamp_s in enumerate(timestamps_s):
        take = wanted(start + index, timestamp_s)
        checked = start + index in check.wanted
        # The last frame is read in any case: only if it is there do the frames before it have the right index.
        if not take and not checked and index < len(timestamps_s) - 1 and may_skip(start + index):
            skipped += 1
            if skipped == _SKIP_AT_ONCE:
                reader.skip_frames(skipped)
                skipped = 0
                beat()
            yield DecodedFrame(start + index, timestamp_s, None)
            continue
        if skipped:
            reader.skip_frames(skipped)
            skipped = 0
        rgb = _next(reader)
        if rgb is None:
            raise DecodeError(f"decord ends after {start + index} frames, the file holds more")
        if rgb.shape != (size_wh[1], size_wh[0], 3):
            raise DecodeError(f"decord gives a picture of shape {rgb.shape}, asked for {size_wh[0]}x{size_wh[1]}")
        if checked:
            check.take(start + index, rgb)
        yield DecodedFrame(start + index, timestamp_s, Image.fromarray(rgb) if take else None)


def _check_times(reader: Any, timestamps_s: tuple[float, ...]) -> None:
    if len(reader) != len(timestamps_s):
        raise DecodeError(f"decord counts {len(reader)} frames, the file holds {len(timestamps_s)}")
    found_s = reader.get_frame_timestamp(list(range(len(reader))))[:, 0].tolist()
    # decord counts from the stream's start time, in 32-bit floats; WebM pieces hold whole milliseconds.
    late_s = timestamps_s[0] - found_s[0]
    for index, (ours_s, theirs_s) in enumerate(zip(timestamps_s, found_s, strict=True)):
        if abs(ours_s - theirs_s - late_s) > 2e-3 + abs(ours_s) * 1e-6:
            raise DecodeError(f"decord puts frame {index} at {theirs_s + late_s:.3f} s, the file at {ours_s:.3f} s")


def _next(reader: Any) -> Any:
    try:
        return reader.next().asnumpy()
    except StopIteration:
        return None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # "[09:00:25] /github/workspace/src/video/x.cc:292: " says nothing to a user.
    # The file is named by whoever shows the reason.
    return _FILE_NAME.sub("", _SOURCE_POSITION.sub("", lines[0]).strip())[:160]
