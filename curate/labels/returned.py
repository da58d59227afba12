"""What a reader of a label format gives: named pictures with their objects, before anything is matched to a frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from curate.labels.bundle import Bundle
from curate.labels.problems import Problems
from curate.labels.types import BoxXyxy


@dataclass(frozen=True)
class ReturnedObject:
    """An object as its file has it. `subject` names it in messages ("annotation 7"), `stated` is its box there.

    The box (x1, y1, x2, y2) and the segmentation (as in COCO; None: there is none) are in pixels of the picture as
    the file states its size, or in parts of the picture from 0 to 1 where `ReturnedImage.fractions` says so.
    """

    subject: str
    stated: str
    category: str
    box_xyxy: BoxXyxy
    iscrowd: bool = False
    segmentation: Any = None


@dataclass(frozen=True)
class ReturnedVideo:
    """The video of a picture, with the names to find it by; None where the file lists no video of that id."""

    id: Any
    names: tuple[Any, ...] | None


@dataclass
class ReturnedImage:
    """A picture as its file names it. Names and sizes are unchecked: what the file has, of whatever type.

    `place` is the file's name in a folder or zip, "" where the return is that one file. `size_wh` is (None, None)
    where it is not stated. `frame_index` counts within `video`.
    """

    subject: str
    file_name: Any
    size_wh: tuple[Any, Any]
    place: str
    label_file: str
    label_file_sha256: str
    fractions: bool = False
    video: ReturnedVideo | None = None
    frame_index: Any = None
    objects: list[ReturnedObject] = field(default_factory=list)


@dataclass(frozen=True)
class Returned:
    """The pictures of a return, and the names of the classes that it lists, in its order."""

    categories: tuple[str, ...]
    images: tuple[ReturnedImage, ...]


class LabelFormat(Protocol):
    """A module of `curate/labels/formats/`."""

    # What it is and who writes it, for `--help` and the documentation.
    DESCRIPTION: str

    @staticmethod
    def find(bundle: Bundle) -> list[str]:
        """The names of the label files of this format in a return; none if it has none."""

    @staticmethod
    def read(bundle: Bundle, names: Sequence[str], problems: Problems) -> Returned:
        """Read those files. What is wrong with them is noted in `problems`; what cannot be read on is raised."""
