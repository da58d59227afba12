"""What is in a file beyond its header: how its packets lie, what is wrong with it, and which decoder is trusted why."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from curate.media.children import Children, default_workers
from curate.media.packets import PacketScan, open_video, scan_packets, seconds, video_streams
from curate.media.probe import SHORT_REASON, Probe, kind_of, probe

if TYPE_CHECKING:
    from av.video.stream import VideoStream

# Without `deep`, so many bytes of packets are looked at: some seconds of video, also of a file of 100 GB.
_HEAD_BYTES = 16 * 2**20
# Of an index, so many entries at each end.
_INDEX_ENDS = 1000
# In a head that was cut, frames that are stored late and shown early are missing among the last.
_REORDERED = 16
# Whole milliseconds, as Matroska stores them, put frames of a constant rate up to 1 ms nearer or farther.
_SAME_INTERVAL_S = 2e-3


@dataclass(frozen=True)
class Inspection:
    """A probe, with `backend` and `backend_reason` as the packets leave them, and what else was seen.

    `trust` says why that decoder is trusted with the file. `start_s` is when the video starts. `b_frames`, `edit_list`
    and `variable_rate`: whether frames are stored in another order than shown, left out by the container, and unevenly
    spaced. `packets` are counted, None where not all of the file was looked at. `problems` says what
    is wrong with the file, `remarks` what is unusual and harmless.
    """

    probe: Probe
    trust: str = ""
    start_s: float = 0.0
    b_frames: bool = False
    edit_list: bool = False
    variable_rate: bool = False
    packets: int | None = None
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class InspectOne:
    """A request: inspect a file; with `deep`, all of its packets, or all of an image. Returns the Inspection."""

    path: Path
    deep: bool

    def run(self, report: Callable[[object], None]) -> Inspection:
        """See the class."""
        found = probe(self.path)
        if found.error:
            return Inspection(found, problems=(found.error,))
        if found.kind == "image":
            return self._image(found)
        return self._video(found, lambda: report(None))

    def _image(self, found: Probe) -> Inspection:
        from curate.media.images import load

        if not self.deep:
            return Inspection(found)
        try:
            load(self.path)
        except (OSError, ValueError, SyntaxError, MemoryError) as error:
            return Inspection(found, problems=(f"damaged: {error}",))
        return Inspection(found, trust="all of it was decoded")

    def _video(self, found: Probe, beat: Callable[[], None]) -> Inspection:
        import av

        size = self.path.stat().st_size
        try:
            with open_video(self.path) as container:
                stream = video_streams(container)[0]
                header = _Header.read(stream)
            whole = self.deep or size <= _HEAD_BYTES
            scan = scan_packets(self.path, beat, head_bytes=None if whole else _HEAD_BYTES)
        except (av.error.FFmpegError, OSError, ValueError, OverflowError) as error:
            return Inspection(found, problems=(f"packets cannot be read ({error})",))
        if found.backend_reason in ("", SHORT_REASON) and scan.irregular:
            found = replace(found, backend="pyav", backend_reason=scan.irregular)
        return _put_together(found, header, scan, whole=whole, size=size)


@dataclass(frozen=True)
class _Header:
    """Of a video stream: `announced` and `indexed` frames (0: not said), and where the last indexed one ends.

    `left_out` is whether indexed frames are not to be shown.
    """

    announced: int
    indexed: int
    last_byte: int
    left_out: bool
    b_frames: bool
    start_s: float

    @staticmethod
    def read(stream: "VideoStream") -> "_Header":
        index = stream.index_entries
        ends = {*range(min(len(index), _INDEX_ENDS)), *range(max(0, len(index) - _INDEX_ENDS), len(index))}
        entries = [index[position] for position in sorted(ends)]
        return _Header(
            announced=max(stream.frames, 0),
            indexed=len(index),
            last_byte=max((entry.pos + entry.size for entry in entries), default=0),
            left_out=any(entry.is_discard for entry in entries),
            b_frames=bool(stream.codec_context.has_b_frames),
            start_s=seconds(stream.start_time, stream.time_base) if stream.start_time and stream.time_base else 0.0,
        )


def _put_together(found: Probe, header: _Header, scan: PacketScan, *, whole: bool, size: int) -> Inspection:
    times_s = scan.timestamps_s
    steady = times_s if whole else times_s[:-_REORDERED]
    gaps_s = [after - before for before, after in pairwise(steady)]
    varies = bool(gaps_s) and max(gaps_s) - min(gaps_s) > _SAME_INTERVAL_S
    edit_list = header.left_out or "edit list" in scan.irregular
    problems = []
    if header.last_byte > size:
        problems.append(f"breaks off: its index goes to byte {header.last_byte:,}, the file to {size:,}")
    # An edit list can leave out whole groups of pictures: announced, but not in the index.
    expected = min(header.announced, header.indexed) if header.indexed else header.announced
    if whole and expected and len(times_s) != expected:
        problems.append(f"its header announces {expected:,} frames, {len(times_s):,} are there")
    if "breaks off" in scan.irregular or "damaged" in scan.irregular:
        problems.append(scan.irregular)
    remarks = []
    if abs(header.start_s) > _SAME_INTERVAL_S:
        remarks.append(f"starts at {header.start_s:.3f} s")
    if edit_list and "edit list" not in found.backend_reason:
        remarks.append("edit list")
    if header.b_frames:
        remarks.append("B-frames")
    if varies:
        remarks.append(f"frames {min(gaps_s) * 1000:.0f} to {max(gaps_s) * 1000:.0f} ms apart")
    return Inspection(
        found,
        trust=_trust(found, whole),
        start_s=header.start_s,
        b_frames=header.b_frames,
        edit_list=edit_list,
        variable_rate=varies,
        packets=len(times_s) if whole else None,
        problems=tuple(problems),
        remarks=tuple(remarks),
    )


def _trust(found: Probe, whole: bool) -> str:
    if found.backend != "decord":
        return found.backend_reason
    looked_at = "all packets are regular" if whole else "its first packets are regular"
    return f"decord is proven with {found.codec} in {container_name(found)}, and {looked_at}"


def container_name(found: Probe) -> str:
    """One name of the container: FFmpeg names families, as in "mov,mp4,m4a,3gp,3g2,mj2"; the extension decides."""
    names = found.container.split(",")
    extension = Path(found.path).suffix.lower().removeprefix(".")
    return extension if extension in names else names[0]


def inspect(
    paths: Sequence[Path], *, deep: bool = False, workers: int | None = None, stall_timeout_s: float = 60
) -> Iterator[Inspection]:
    """Inspect files in child processes; yields them as they complete. Never raises for what a file holds."""
    if not paths:
        return
    with Children[InspectOne](workers or default_workers(len(paths)), stall_timeout_s) as children:
        for path in paths:
            children.submit(InspectOne(path, deep))
        for event in children.events():
            if event.kind == "result":
                yield event.value
            elif event.kind != "report":
                path = event.request.path
                yield Inspection(Probe(str(path), kind_of(path), error=event.value), problems=(event.value,))
