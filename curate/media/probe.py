"""What a file is, from its header and first frame, and which decoder can be trusted with it."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.media.decord_trust import distrust
from curate.media.discover import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from curate.media.packets import PacketReader, PacketScan, open_video, time_base_of, video_streams
from curate.media.pictures import clockwise_rotation
from curate.media.reading import Reading
from curate.types import SourceKind

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Frames that are decoded to see what a video is, and that decord's pictures are then held against.
_HEAD_FRAMES = 2
# Of a video of so many frames or fewer, PyAV has read all before decord has, and is checked (docs/decoding.md).
SHORT_FRAMES = 300
SHORT_REASON = f"short: PyAV has read {SHORT_FRAMES} frames or fewer before decord is checked"


@dataclass(frozen=True)
class Probe:
    """What is known of a file before it is decoded. Sizes are those of the upright picture, in pixels.

    `rotation` is how far the stored picture is turned clockwise to stand upright: 0, 90, 180 or 270 degrees. Pixels
    are taken as square. `header_frames` is what the header claims, 0 where it claims nothing; `time_base` is that of
    the video stream, as in "1/15360". `backend_reason` says why a video is not left to decord, or what of an image
    file is not used; `error` is empty or says why the file cannot be read.
    """

    path: str
    kind: SourceKind
    width: int = 0
    height: int = 0
    rotation: int = 0
    codec: str = ""
    container: str = ""
    pixel_format: str = ""
    fps: float = 0.0
    duration_s: float = 0.0
    header_frames: int = 0
    time_base: str = ""
    backend: str = ""
    backend_reason: str = ""
    error: str = ""


@dataclass(frozen=True)
class Examined:
    """What one reading of a file tells; `scan` and `reading`, of a video that decord could read, which is `opened`."""

    probe: Probe
    scan: PacketScan | None = None
    reading: "Reading | None" = None
    opened: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Close the file."""
        self.opened.close()


def probe(path: Path) -> Probe:
    """Describe a file. Never raises for what the file holds: `error` then says what is wrong with it."""
    return _examine(path, None).probe


def examine(path: Path, beat: Callable[[], None] = lambda: None) -> Examined:
    """Describe a file as `probe` does, and all packets of one that decord could read; `beat` is called now and then.

    What is returned is to be closed after use.
    """
    return _examine(path, beat)


def _examine(path: Path, beat: Callable[[], None] | None) -> Examined:
    kind = kind_of(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        return Examined(Probe(str(path), kind, error=f"cannot be read ({error.strerror or error})"))
    if size == 0:
        return Examined(Probe(str(path), kind, error="empty file (0 bytes)"))
    if not head.strip(b"\0"):
        return Examined(Probe(str(path), kind, error="starts with zeros, as an unfinished copy or download does"))
    return Examined(_probe_image(path)) if kind == "image" else _examine_video(path, beat)


def kind_of(path: Path) -> SourceKind:
    """ "video" or "image": by extension, and by a look inside where the extension says neither."""
    extension = path.suffix.lower()
    if extension in VIDEO_EXTENSIONS:
        return "video"
    if extension in IMAGE_EXTENSIONS:
        return "image"
    from curate.media.images import is_image

    return "image" if is_image(path) else "video"


def _probe_image(path: Path) -> Probe:
    from curate.media.images import describe

    try:
        found = describe(path)
    except (OSError, ValueError, SyntaxError) as error:
        return Probe(str(path), "image", error=f"not a readable image ({_one_line(error)})")
    return Probe(
        str(path),
        "image",
        found.width,
        found.height,
        found.rotation,
        found.format,
        header_frames=1,
        backend="pillow",
        backend_reason=found.remark,
    )


def _examine_video(path: Path, beat: Callable[[], None] | None) -> Examined:
    """With `beat`, the packets are all read where decord could read the file."""
    import av

    found = Probe(str(path), "video")
    try:
        with ExitStack() as stack:
            container = stack.enter_context(open_video(path))
            streams = video_streams(container)
            if not streams:
                what = "audio only" if container.streams.audio else "no video in it"
                return Examined(replace(found, container=container.format.name, error=f"not a video: {what}"))
            if streams[0].codec_context is None:
                error = "not a readable video (no codec is named)"
                return Examined(replace(found, container=container.format.name, error=error))
            found = _from_header(found, container, streams[0])
            packets = PacketReader(path, container, beat or _no_beat, keep=beat is not None)
            reading = Reading(packets, frames=1 if beat is None else _HEAD_FRAMES, beat=beat or _no_beat)
            if not reading.head:
                return Examined(replace(found, error="no frame of the video could be decoded"))
            found = _from_frame(found, reading.head[0])
            reason = distrust(found.container, found.codec, found.pixel_format, width=found.width, streams=len(streams))
            if not reason and _is_short(found):
                reason = SHORT_REASON
            found = replace(found, backend="pyav" if reason else "decord", backend_reason=reason)
            if beat is None or reason not in ("", SHORT_REASON):
                return Examined(found)
            if reason != SHORT_REASON:
                packets.keep_none()
            return Examined(found, packets.scan(), reading, stack.pop_all())
    except (av.error.FFmpegError, OSError, ValueError, OverflowError, UnicodeDecodeError) as error:
        return Examined(replace(found, error=f"not a readable video ({_one_line(error)})"))


def _is_short(found: Probe) -> bool:
    """Whether the header tells of so few frames; where it tells of none the video is taken for a long one."""
    return 0 < found.fps * found.duration_s < SHORT_FRAMES + 1


def _from_header(found: Probe, container: "InputContainer", stream: "VideoStream") -> Probe:
    rate = stream.average_rate or stream.guessed_rate
    duration_s = 0.0
    if stream.duration and stream.time_base:
        duration_s = float(stream.duration * stream.time_base)
    elif container.duration:
        duration_s = container.duration / 1_000_000
    return replace(
        found,
        codec=stream.codec_context.codec.canonical_name,
        container=container.format.name,
        fps=float(rate) if rate else 0.0,
        duration_s=max(duration_s, 0.0),
        header_frames=max(stream.frames, 0),
        time_base=time_base_of(stream),
    )


def _from_frame(found: Probe, frame: "VideoFrame") -> Probe:
    """Size and rotation as decoded: a header can claim any size, and only frames carry the rotation."""
    rotation = clockwise_rotation(frame)
    width, height = (frame.height, frame.width) if rotation % 180 else (frame.width, frame.height)
    return replace(found, width=width, height=height, rotation=rotation, pixel_format=frame.format.name)


def _no_beat() -> None:
    pass


def _one_line(error: Any) -> str:
    text = str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
