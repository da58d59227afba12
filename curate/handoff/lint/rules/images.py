"""Rules about the entries of `images`: names that every file system takes, sizes, and where the frame comes from."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from curate.handoff.lint.document import Document, Entry, size_of
from curate.handoff.lint.types import RECEIVERS, Hit, rule
from curate.values import is_text, is_whole, shown

PROVENANCE = ("video", "video_sha256", "frame_index", "timestamp_s", "rank", "uncertainty", "reason")
_ABSOLUTE = re.compile(r"/|\\\\|[A-Za-z]:[\\/]|[a-z][a-z0-9+.-]*://")
_VIDEO = ".mp4 .m4v .mov .mkv .webm .avi .ts .mts .mpg .mpeg .wmv .flv .3gp .ogv .mxf"
_VIDEOS = frozenset(_VIDEO.split())


@rule("no-images", mend="list the images: a receiver has nothing to show without", warnings=RECEIVERS)
def no_images(document: Document) -> Iterator[Hit]:
    """An empty list of images."""
    if document.content is not None and not document.list_of("images"):
        yield Hit("images", "is empty")


@rule("bad-file-name", mend="give each image the name of its file")
def bad_file_name(document: Document) -> Iterator[Hit]:
    """Names that are missing or no text."""
    for image in document.images:
        if not is_text(image.value.get("file_name")):
            yield image.hit(f"file_name is {shown(image.value.get('file_name'))}")


@rule("absolute-path", mend="write the path relative to the images: it is another one at the receiver's")
def absolute_path(document: Document) -> Iterator[Hit]:
    """Paths from the root of a disk, and addresses."""
    return (image.hit("a path from the root") for image, name in _named(document) if _ABSOLUTE.match(name))


@rule("path-outside", mend="take the .. out: no receiver goes above its folder of images")
def path_outside(document: Document) -> Iterator[Hit]:
    """Paths that lead up."""
    for image, name in _named(document):
        if ".." in name.replace("\\", "/").split("/"):
            yield image.hit("leads out of the folder of images")


@rule("backslash", mend="write / between folders: elsewhere a backslash is part of the name", fixable=True)
def backslash(document: Document) -> Iterator[Hit]:
    """Paths as Windows writes them."""
    for image, name in _named(document):
        if "\\" in name and not _ABSOLUTE.match(name):
            yield image.hit("has a backslash")


@rule(
    "non-ascii-name",
    mend="rename file and entry to ASCII: zip files and web addresses spoil others",
    warnings=RECEIVERS,
)
def non_ascii_name(document: Document) -> Iterator[Hit]:
    """Names with other characters than ASCII's."""
    return (image.hit("is not ASCII") for image, name in _named(document) if not name.isascii())


@rule("blank-in-name", mend="rename file and entry: Label Studio makes a web address of the name", warnings=RECEIVERS)
def blank_in_name(document: Document) -> Iterator[Hit]:
    """Names with blanks."""
    return (image.hit("has a blank") for image, name in _named(document) if re.search(r"\s", name))


@rule("duplicate-file-name", mend="keep one entry for each file: receivers match on the name")
def duplicate_file_name(document: Document) -> Iterator[Hit]:
    """A name that another image has."""
    seen: dict[str, Entry] = {}
    for image, name in _named(document):
        if seen.setdefault(name, image) is not image:
            yield image.hit(f"is the file of number {seen[name].position + 1} of the list too")


@rule(
    "duplicate-stem",
    mend="rename one: CVAT, and curate when labels come back, match without folder and extension (cvat#7545)",
    errors=["cvat"],
    warnings=RECEIVERS,
)
def duplicate_stem(document: Document) -> Iterator[Hit]:
    """Different names that are the same without folder and extension."""
    seen: dict[str, tuple[str, Entry]] = {}
    for image, name in _named(document):
        stem = PurePosixPath(name.replace("\\", "/")).stem
        first, other = seen.setdefault(stem, (name, image))
        if first != name:
            yield image.hit(f"is {shown(stem)} without folder and extension, as {other} is")


@rule("video-file", mend="hand over images: no receiver finds a frame in a video by its number")
def video_file(document: Document) -> Iterator[Hit]:
    """Names of videos."""
    for image, name in _named(document):
        if PurePosixPath(name).suffix.lower() in _VIDEOS:
            yield image.hit("is a video")


@rule("bad-image-size", mend="width and height are whole numbers of pixels above 0, of the upright picture")
def bad_image_size(document: Document) -> Iterator[Hit]:
    """Sizes that are missing or none."""
    for image in document.images:
        if size_of(image) is None:
            yield image.hit(f"width {shown(image.value.get('width'))}, height {shown(image.value.get('height'))}")


@rule(
    "missing-provenance",
    mend="export with curate; without these keys nobody can tell which frame of which video it is",
    warnings=RECEIVERS,
)
def missing_provenance(document: Document) -> Iterator[Hit]:
    """Images that do not say which frame they are."""
    for image in document.images:
        missing = [key for key in PROVENANCE if key not in image.value]
        if missing:
            yield image.hit(f"has no {', '.join(missing)}")


@rule("bad-frame-index", mend="frame_index is a whole number from 0, in presentation order", warnings=RECEIVERS)
def bad_frame_index(document: Document) -> Iterator[Hit]:
    """Frame numbers that are none."""
    for image in document.images:
        value = image.value.get("frame_index", 0)
        if not (is_whole(value) and value >= 0):
            yield image.hit(f"frame_index is {shown(value)}")


def _named(document: Document) -> Iterator[tuple[Entry, str]]:
    for image in document.images:
        name = image.value.get("file_name")
        if is_text(name):
            yield image, name
