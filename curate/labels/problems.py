"""What can be wrong with a label file, collected over the whole file and told in one line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curate.errors import CurateError

_NAMED = 3

# Each kind of problem, with what is allowed and what to do. The kinds are stable names.
ADVICE: Final[Mapping[str, str]] = {
    "not-json": "give the COCO JSON file as the labelling tool exported it",
    "not-coco": "a COCO detection file is an object with the lists images, annotations and categories",
    "bad-entry": "each entry is an object",
    "bad-id": "ids are whole numbers; export the file again with integer ids",
    "duplicate-image-id": "ids are unique in the file; export it again, or give the second image another id",
    "duplicate-annotation-id": "ids are unique in the file; export it again, or give the second annotation another id",
    "duplicate-category-id": "ids are unique in the file; give the second category another id",
    "duplicate-video-id": "ids are unique in the file; give the second video another id",
    "bad-category-name": "each category has a name; give it one",
    "duplicate-category-name": "names are unique; merge the two categories or rename one",
    "unknown-image": "give the folder that holds it as well, or take it out of the label file",
    "ambiguous-image": "write more of its path into file_name, so that one source ends in it",
    "unknown-video": "give the folder that holds it as well, or take its images out of the label file",
    "ambiguous-video": "write more of its path into file_name, so that one source ends in it",
    "unknown-video-id": "video_id is the id of an entry in videos; add the video or remove the image",
    "bad-frame-index": "frame_index is a whole number from 0, in presentation order; mend or remove the image",
    "frame-index-out-of-range": "frame_index counts from 0 in presentation order; mend or remove the image",
    "two-images-for-one-frame": "a frame is labelled once in a file; keep one of the two images",
    "bad-image-size": "width and height are whole numbers of pixels above 0, of the upright picture",
    "wrong-image-size": "label the upright picture as it is, or scaled without changing its shape",
    "unknown-image-id": "image_id is the id of an entry in images; add the image or remove the annotation",
    "unknown-category-id": "category_id is the id of an entry in categories; add it or mend the annotation",
    "bad-bbox": "bbox is [x, y, width, height] in pixels: four finite numbers, width and height above 0; "
    "mend or remove the annotation",
    "bbox-outside": "a box must overlap its image; mend or remove the annotation",
    "bad-iscrowd": "iscrowd is 0 or 1",
    "bad-segmentation": "a segmentation is a list of polygons [x1, y1, x2, y2, x3, y3, ...] or an RLE of the image's "
    "size; mend it, or remove it to keep the box alone",
}


@dataclass(frozen=True)
class Problem:
    """All problems of one kind: the first in words, up to three of the entries that have it, and how many have it."""

    kind: str
    first: str
    subjects: tuple[str, ...]
    count: int

    def __str__(self) -> str:
        text = f"{self.first}; {ADVICE[self.kind]}"
        if self.count > 1:
            more = ", ..." if self.count > len(self.subjects) else ""
            text += f" ({self.count} in all: {', '.join(self.subjects)}{more})"
        return text


class LabelError(CurateError):
    """A label file that was refused. Nothing of it was taken over; `problems` has each kind once, first found first."""

    def __init__(self, path: Path, problems: tuple[Problem, ...]) -> None:
        text = f"{path}: {problems[0]}"
        if len(problems) > 1:
            text += "; also " + ", ".join(f"{problem.kind} ({problem.count})" for problem in problems[1:])
        super().__init__(text)
        self.problems = problems


class Problems:
    """Collects the problems of one file, so that all are told and not the first alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[str, Problem] = {}

    def add(self, kind: str, subject: str, detail: str) -> None:
        """Note that `subject`, such as "annotation 7", has a problem of a kind in ADVICE; `detail` has the value."""
        found = self._found.get(kind)
        if found is None:
            self._found[kind] = Problem(kind, f"{subject}: {detail}" if subject else detail, (subject,), 1)
            return
        subjects = (*found.subjects, subject) if found.count < _NAMED else found.subjects
        self._found[kind] = Problem(kind, found.first, subjects, found.count + 1)

    def fatal(self, kind: str, detail: str) -> LabelError:
        """The error for a file of which nothing more can be read."""
        self.add(kind, "", detail)
        return LabelError(self.path, tuple(self._found.values()))

    def raise_if_any(self) -> None:
        """Raise LabelError if anything was noted."""
        if self._found:
            raise LabelError(self.path, tuple(self._found.values()))
