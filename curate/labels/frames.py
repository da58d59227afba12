"""Which frame a returned picture is, and the size that its boxes refer to."""

from curate.labels.geometry import Canvas
from curate.labels.match import SourceMatcher
from curate.labels.problems import Problems
from curate.labels.returned import ReturnedImage, ReturnedVideo
from curate.labels.values import is_text, is_whole, shown
from curate.types import Source

# Frame ids and file names write the index with eight digits.
_MAX_FRAME_INDEX = 99_999_999


class FrameFinder:
    """Finds frames by what a picture is named. Each video is matched once, when a picture first needs it."""

    def __init__(self, matcher: SourceMatcher, problems: Problems) -> None:
        self._matcher = matcher
        self._problems = problems
        self._sources: dict[int, tuple[ReturnedVideo, Source | None]] = {}

    def find(self, image: ReturnedImage) -> tuple[Source, int] | None:
        """The source and frame index of a picture, index 0 for a still; None if not found, which is then noted."""
        name = image.file_name
        exported = self._matcher.exported(name) if is_text(name) else None
        if exported is not None:
            return exported
        if image.video is not None:
            source = self._source(image.video, image.subject)
            index = image.frame_index
            if not is_whole(index) or not 0 <= index <= _MAX_FRAME_INDEX:
                self._problems.add("bad-frame-index", image.subject, f"frame_index is {shown(index)}")
                return None
            return None if source is None else (source, index)
        candidates = self._matcher.candidates("image", name) if is_text(name) else []
        if len(candidates) == 1:
            return candidates[0], 0
        if candidates:
            self._problems.add("ambiguous-image", image.subject, _ambiguous(candidates))
        else:
            detail = "not among the sources" if is_text(name) else f"file_name is {shown(name)}"
            self._problems.add("unknown-image", image.subject, detail)
        return None

    def _source(self, video: ReturnedVideo, subject: str) -> Source | None:
        if video.names is None:
            self._problems.add("unknown-video-id", subject, f"video_id is {shown(video.id)}, no video has that id")
            return None
        if id(video) not in self._sources:
            # The video is kept beside its source: an id() may be given again once its object is gone.
            self._sources[id(video)] = (video, self._match(video, video.names))
        return self._sources[id(video)][1]

    def _match(self, video: ReturnedVideo, names: tuple[object, ...]) -> Source | None:
        subject = f"video {video.id} {shown(next((name for name in names if name), None))}"
        for name in names:
            candidates = self._matcher.candidates("video", name) if is_text(name) else []
            if len(candidates) > 1:
                self._problems.add("ambiguous-video", subject, _ambiguous(candidates))
            if candidates:
                return candidates[0] if len(candidates) == 1 else None
        self._problems.add("unknown-video", subject, "not among the sources")
        return None


def canvas_of(image: ReturnedImage, source: Source, problems: Problems, *, stretched: bool) -> Canvas | None:
    """The size that the picture's boxes refer to, and the source's; one stands for the other where it is not known.

    With `stretched` a picture may have been squeezed to another shape, but not turned.
    """
    width, height = image.size_wh
    if width is None and height is None and source.width:
        width, height = source.width, source.height
    if not (is_whole(width) and is_whole(height) and width > 0 and height > 0):
        problems.add("bad-image-size", image.subject, f"width {shown(width)}, height {shown(height)}")
        return None
    canvas = Canvas(width, height, source.width or width, source.height or height)
    turned = Canvas(height, width, canvas.width, canvas.height).same_shape
    if canvas.same_shape or (stretched and not turned):
        return Canvas(1, 1, canvas.width, canvas.height) if image.fractions else canvas
    detail = f"{width}x{height} in the file, but the source is {canvas.width}x{canvas.height}"
    if turned:
        detail += " (the sides are swapped: labelled before it was turned upright)"
    problems.add("wrong-image-size", image.subject, detail)
    return None


def _ambiguous(candidates: list[Source]) -> str:
    paths = ", ".join(source.path for source in candidates[:3])
    return f"{len(candidates)} sources fit: {paths}{', ...' if len(candidates) > 3 else ''}"
