"""Tiny videos whose pictures carry their own frame number, for tests: about 0.05 s and 5 kB each.

The number is written as grey bands from left to right, one base-16 digit a band, so that lossy coding, scaling and
colour conversion leave it readable, and a picture that is not upright gives another number.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIGITS = 3
"""Bands in a picture: numbers up to 16 ** DIGITS - 1."""


def numbered_picture(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture of `number`, (height, width, 3) uint8; `size` is (width, height) in pixels."""
    width, height = size
    edges = np.linspace(0, width, DIGITS + 2).round().astype(int)
    picture = np.full((height, width, 3), 128, np.uint8)
    # The bands are the number's digits, then its check digit: a mirrored or turned picture does not pass.
    digits = [(number >> 4 * place) & 15 for place in reversed(range(DIGITS))]
    for band, digit in enumerate([*digits, (sum(digits) + 5) % 16]):
        picture[:, edges[band] : edges[band + 1]] = 20 + 14 * digit
    return picture


def read_number(rgb: NDArray[np.uint8]) -> int:
    """The number in a picture of `numbered_picture`, of any size; -1 where there is none."""
    height, width = rgb.shape[:2]
    edges = np.linspace(0, width, DIGITS + 2)
    digits = []
    for left, right in pairwise(edges):
        margin = (right - left) / 4
        band = rgb[height // 4 : max(height * 3 // 4, height // 4 + 1), int(left + margin) : int(right - margin) + 1]
        digits.append(round((float(np.median(band)) - 20) / 14))
    *number, check = digits
    if (sum(number) + 5) % 16 != check:
        return -1
    return sum(digit << 4 * place for place, digit in enumerate(reversed(number)))


def write_numbered_video(
    path: Path,
    *,
    frames: int = 60,
    codec: str = "libx264",
    fps: int | Fraction = 30,
    size: tuple[int, int] = (288, 192),
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    times_ms: Sequence[int] | None = None,
    first_number: int = 0,
) -> Path:
    """Write a video whose upright pictures show their index, counted from `first_number`.

    `size` is that of the upright picture; `rotation` is how far the stored picture has to be turned clockwise.
    `times_ms` gives each frame's time stamp (else the index over `fps`). `options` are the encoder's,
    `container_options` the muxer's; the container goes by the extension.
    """
    import av

    with av.open(str(path), "w", options=dict(container_options or {})) as container:
        stream = container.add_stream(codec, rate=Fraction(fps))
        stored = size[::-1] if rotation % 180 else size
        stream.width, stream.height = stored
        stream.pix_fmt = pix_fmt
        stream.options = dict(options or {})
        if rotation:
            stream.set_display_rotation(-rotation)
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index in range(frames):
            picture = np.rot90(numbered_picture(first_number + index, size), rotation // 90)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            if times_ms is not None:
                frame.time_base = Fraction(1, 1000)
                frame.pts = times_ms[index]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_trimmed_video(source: Path, path: Path, *, skip: int) -> Path:
    """Copy a video without its first `skip` frames as `ffmpeg -ss -c copy` does: an edit list hides them."""
    import av

    with av.open(str(source)) as given, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as trimmed:
        stream = given.streams.video[0]
        copy = trimmed.add_stream_from_template(stream)
        step = round(1 / (stream.average_rate * stream.time_base))
        for packet in given.demux(stream):
            if packet.size:
                packet.pts -= skip * step
                packet.dts -= skip * step
                packet.stream = copy
                trimmed.mux(packet)
    return path


def write_audio_only(path: Path) -> Path:
    """Write a short sound without pictures."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
