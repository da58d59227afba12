"""Which frame an entry of `images` is, and the size that its boxes refer to."""

from typing import Any

from curate.labels.geometry import Canvas
from curate.labels.match import SourceMatcher
from curate.labels.problems import Problems
from curate.labels.values import entries, is_text, is_whole, shown
from curate.types import Source

# Frame ids and file names write the index with eight digits.
_MAX_FRAME_INDEX = 99_999_999


class Videos:
    """The entries of `videos`. Each is matched when an image first needs it: a file may list videos it does not use."""

    def __init__(self, document: dict[str, Any], matcher: SourceMatcher, problems: Problems) -> None:
        self._entries = dict(entries(document, "videos", "video", problems))
        self._matcher = matcher
        self._problems = problems
        self._sources: dict[int, Source | None] = {}

    def entry(self, image: dict[str, Any]) -> dict[str, Any]:
        """The video entry of an image; an empty one if it has none."""
        video_id = image.get("video_id")
        return self._entries.get(video_id, {}) if is_whole(video_id) else {}

    def source(self, image: dict[str, Any], subject: str) -> Source | None:
        """The video of an image that has a video_id; None if it was not found, which is then noted."""
        video_id = image["video_id"]
        if not is_whole(video_id) or video_id not in self._entries:
            self._problems.add("unknown-video-id", subject, f"video_id is {shown(video_id)}, no video has that id")
            return None
        if video_id not in self._sources:
            self._sources[video_id] = self._find(video_id)
        return self._sources[video_id]

    def _find(self, video_id: int) -> Source | None:
        names = [self._entries[video_id].get(key) for key in ("file_name", "name")]
        subject = f"video {video_id} {shown(names[0] or names[1])}"
        for name in names:
            candidates = self._matcher.candidates("video", name) if is_text(name) else []
            if len(candidates) > 1:
                self._problems.add("ambiguous-video", subject, _ambiguous(candidates))
            if candidates:
                return candidates[0] if len(candidates) == 1 else None
        self._problems.add("unknown-video", subject, "not among the sources")
        return None


def find_frame(
    entry: dict[str, Any], subject: str, matcher: SourceMatcher, videos: Videos, problems: Problems
) -> tuple[Source, int] | None:
    """The source and frame index of an image, index 0 for a still; None if not found, which is then noted."""
    name = entry.get("file_name")
    exported = matcher.exported(name) if is_text(name) else None
    if exported is not None:
        return exported
    if entry.get("video_id") is not None:
        index = entry.get("frame_index")
        source = videos.source(entry, subject)
        if not is_whole(index) or not 0 <= index <= _MAX_FRAME_INDEX:
            problems.add("bad-frame-index", subject, f"frame_index is {shown(index)}")
            return None
        return None if source is None else (source, index)
    candidates = matcher.candidates("image", name) if is_text(name) else []
    if len(candidates) == 1:
        return candidates[0], 0
    if candidates:
        problems.add("ambiguous-image", subject, _ambiguous(candidates))
    else:
        detail = "not among the sources" if is_text(name) else f"file_name is {shown(name)}"
        problems.add("unknown-image", subject, detail)
    return None


def canvas_of(
    image: dict[str, Any], video: dict[str, Any], subject: str, source: Source, problems: Problems
) -> Canvas | None:
    """The size that the image's boxes refer to, and the source's; one stands for the other where it is not known."""
    sizes = [(entry.get("width"), entry.get("height")) for entry in (image, video)]
    width, height = next((size for size in sizes if size != (None, None)), (None, None))
    if width is None and height is None and source.width:
        width, height = source.width, source.height
    if not (is_whole(width) and is_whole(height) and width > 0 and height > 0):
        problems.add("bad-image-size", subject, f"width {shown(width)}, height {shown(height)}")
        return None
    canvas = Canvas(width, height, source.width or width, source.height or height)
    if canvas.same_shape:
        return canvas
    detail = f"{width}x{height} in the file, but the source is {canvas.width}x{canvas.height}"
    if Canvas(height, width, canvas.width, canvas.height).same_shape:
        detail += " (the sides are swapped: labelled before it was turned upright)"
    problems.add("wrong-image-size", subject, detail)
    return None


def _ambiguous(candidates: list[Source]) -> str:
    paths = ", ".join(source.path for source in candidates[:3])
    return f"{len(candidates)} sources fit: {paths}{', ...' if len(candidates) > 3 else ''}"
