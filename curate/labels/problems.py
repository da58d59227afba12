"""What can be wrong with a label file, collected over the whole file and told in one line."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curate.errors import CurateError

_NAMED = 3

# Each kind of problem, with what is allowed and what to do. The kinds are stable names.
ADVICE: Final[Mapping[str, str]] = {
    "no-labels": "give COCO JSON, a YOLO folder with its class names, or Pascal VOC XML, as a file, folder or zip",
    "several-formats": "name the one to read with --format, or give its files alone",
    "too-large": "give the label files alone, in parts",
    "blank": "label files have no such gaps: it was cut or padded on the way; get it again",
    "bad-zip": "the zip is damaged; get it again, or unpack it and give the folder",
    "encrypted-zip": "unpack it with its password and give the folder",
    "zip-bomb": "label files do not shrink that much; do not unpack it, ask who sent it",
    "unsafe-name": "names in a return are plain and stay inside it; ask who sent it",
    "link-outside": "a return holds its files itself; put the file in place of the link",
    "not-utf8": "save the file as UTF-8",
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
    "wrong-image-size": "label the upright picture as it is, or scaled without changing its shape (--stretched says "
    "that it was squeezed as a whole, without borders or cuts)",
    "unknown-class": "use the known names, or accept new ones with --add-classes",
    "unknown-image-id": "image_id is the id of an entry in images; add the image or remove the annotation",
    "unknown-category-id": "category_id is the id of an entry in categories; add it or mend the annotation",
    "bad-bbox": "bbox is [x, y, width, height] in pixels: four finite numbers, width and height above 0; "
    "mend or remove the annotation",
    "bbox-outside": "a box must overlap its image; mend or remove the annotation",
    "bbox-past-edge": "boxes end at the edge of the picture, 2 pixels or 1% of its side allowed: check the size that "
    "was labelled, then mend the box",
    "bad-iscrowd": "iscrowd is 0 or 1",
    "bad-segmentation": "a segmentation is a list of polygons [x1, y1, x2, y2, x3, y3, ...] or an RLE of the image's "
    "size; mend it, or remove it to keep the box alone",
    "yolo-classes": "class names are the list `names` in data.yaml, or the lines of classes.txt or obj.names",
    "yolo-line": "a line is `class x y width height`, or `class x1 y1 x2 y2 x3 y3 ...` for a polygon, with finite "
    "numbers; mend it",
    "yolo-class-index": "the first number is the place of the class in the list of names, from 0; mend it",
    "yolo-range": "coordinates are parts of the picture's width and height, from 0 to 1, not pixels",
    "bad-picture": "the picture beside the labels cannot be read; get it again, or take it out",
    "bad-xml": "give Pascal VOC XML as the labelling tool exported it",
    "xml-doctype": "label files need no DOCTYPE; take it out",
    "bad-mask": "masks are as Pascal VOC and SBD publish them; get the file again, or take it out",
    "not-voc": "the root of a Pascal VOC file is <annotation>",
}


@dataclass(frozen=True)
class Problem:
    """All problems of one kind: the first in words, up to three of the entries that have it, and how many have it."""

    kind: str
    first: str
    subjects: tuple[str, ...]
    count: int

    def __str__(self) -> str:
        text = f"{self.first}; {ADVICE[self.kind]} [{self.kind}]"
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
        self.path = path
        self.problems = problems


class Problems:
    """Collects the problems of one file, so that all are told and not the first alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[str, Problem] = {}
        self._place = ""

    @contextmanager
    def inside(self, place: str) -> Iterator[None]:
        """Within this, subjects are of the file of that name in a folder or zip; "" is the return itself."""
        before, self._place = self._place, place
        try:
            yield
        finally:
            self._place = before

    def add(self, kind: str, subject: str, detail: str) -> None:
        """Note that `subject`, such as "annotation 7", has a problem of a kind in ADVICE; `detail` has the value."""
        subject = ": ".join(part for part in (self._place, subject) if part)
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
