"""A COCO file as the rules see it: read whatever is in it, with what could not be read noted."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from curate.errors import UsageError
from curate.handoff.lint.pictures import Picture, folder_of_pictures, name_below, read_picture
from curate.handoff.lint.types import Hit
from curate.values import finite_numbers, is_text, is_whole, shown, type_name

MAX_BYTES = 2**29
"""COCO 2017 with all its polygons has 470 MB; Python needs several times a file's size to read it."""

LISTS = ("images", "annotations", "categories")
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Entry:
    """An object of one of the lists. `key` is its id as a number, also where that is written "7" or 7.0; else None."""

    word: str
    position: int
    value: dict[str, Any]
    key: int | None

    def __str__(self) -> str:
        if self.key is None:
            return f"{self.word} number {self.position + 1} of the list"
        name = self.value.get("file_name") if self.word == "image" else None
        return f"{self.word} {self.key}" + (f" {shown(name)}" if is_text(name) else "")

    def hit(self, detail: str) -> Hit:
        """A hit on this entry."""
        return Hit(str(self), detail)


@dataclass
class Document:
    """The content of a file, None where it is not COCO at all, and by rule what was found while reading it.

    `sha256` is that of the file, "" where the content has been changed since.
    """

    path: Path
    content: dict[str, Any] | None = None
    sha256: str = ""
    while_reading: dict[str, list[Hit]] = field(default_factory=lambda: defaultdict(list))

    @cached_property
    def images(self) -> list[Entry]:
        """The objects of `images`."""
        return list(self._entries("images", "image"))

    @cached_property
    def annotations(self) -> list[Entry]:
        """The objects of `annotations`."""
        return list(self._entries("annotations", "annotation"))

    @cached_property
    def categories(self) -> list[Entry]:
        """The objects of `categories`."""
        return list(self._entries("categories", "category"))

    @cached_property
    def images_by_key(self) -> dict[int, Entry]:
        """The images by their ids; of several with one id the first."""
        return _by_key(self.images)

    @cached_property
    def categories_by_key(self) -> dict[int, Entry]:
        """The categories by their ids; of several with one id the first."""
        return _by_key(self.categories)

    @cached_property
    def picture_folder(self) -> Path | None:
        """Where the pictures lie; None where none of them is found near the file."""
        names = (name_below(image.value.get("file_name")) for image in self.images)
        return folder_of_pictures(self.path, [name for name in names if name is not None])

    @cached_property
    def pictures(self) -> list[tuple[Entry, Picture]]:
        """The images whose names stay inside the folder of pictures, each with its picture; none without a folder."""
        named = [(image, name_below(image.value.get("file_name"))) for image in self.images]
        folder = self.picture_folder
        if folder is None:
            return []
        return [(image, read_picture(folder / name)) for image, name in named if name is not None]

    def list_of(self, key: str) -> list[Any]:
        """A list of the file; an empty one where it is missing or no list."""
        found = (self.content or {}).get(key)
        return found if isinstance(found, list) else []

    def size_of(self, annotation: Entry) -> tuple[int, int] | None:
        """Width and height of an annotation's image, in pixels; None where they are not known."""
        key = key_of(annotation.value.get("image_id"))
        image = None if key is None else self.images_by_key.get(key)
        return None if image is None else size_of(image)

    def _entries(self, key: str, word: str) -> Iterator[Entry]:
        for position, value in enumerate(self.list_of(key)):
            if isinstance(value, dict):
                yield Entry(word, position, value, key_of(value.get("id")))


def load(path: Path) -> Document:
    """Read a file; UsageError where there is none. Whatever is in it, a Document comes back."""
    document = Document(path.absolute())
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            document.while_reading["too-large"].append(Hit("", f"{size:,} bytes"))
            return document
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a COCO JSON file") from error
    document.sha256 = hashlib.sha256(data).hexdigest()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        why = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else f"byte {error.start}"
        document.while_reading["not-utf8"].append(Hit("", f"not UTF-8 ({why})"))
        return document
    if text.startswith("\ufeff"):
        document.while_reading["bom"].append(Hit("", "begins with a byte order mark"))
        text = text[1:]
    _parse(document, text)
    return document


def _parse(document: Document, text: str) -> None:
    constants: list[str] = []

    def note(constant: str) -> float:
        constants.append(constant)
        return float(constant.replace("Infinity", "inf"))

    try:
        content = json.loads(text, parse_constant=note)
    except RecursionError:
        document.while_reading["too-deep"].append(Hit("", "lists or objects nested hundreds of times"))
        return
    except ValueError as error:
        document.while_reading["not-json"].append(Hit("", f"not JSON ({error})" if text.strip() else "empty"))
        return
    if not isinstance(content, dict):
        document.while_reading["not-coco"].append(Hit("", f"a JSON {type_name(content)}, not an object"))
        return
    for key in LISTS:
        if not isinstance(content.get(key), list):
            detail = f"is a JSON {type_name(content[key])}, not a list" if key in content else "is missing"
            document.while_reading["not-coco"].append(Hit(key, detail))
    if document.while_reading["not-coco"]:
        return
    if constants:
        document.while_reading["nan"].extend(not_finite(content))
    document.content = content


def not_finite(content: dict[str, Any]) -> Iterator[Hit]:
    """The entries that hold NaN or an infinity anywhere, with the key."""
    for name, value in content.items():
        if name not in LISTS or not isinstance(value, list):
            if any_not_finite(value):
                yield Hit(name, "holds NaN or Infinity")
            continue
        for position, entry in enumerate(value):
            if not isinstance(entry, dict):
                if any_not_finite(entry):
                    yield Hit(f"{name} number {position + 1}", "holds NaN or Infinity")
                continue
            for key, inner in entry.items():
                if any_not_finite(inner):
                    word = {"images": "image", "annotations": "annotation", "categories": "category"}[name]
                    yield Entry(word, position, entry, key_of(entry.get("id"))).hit(f"{key} is {shown(inner)}")


def any_not_finite(value: Any) -> bool:
    """Whether NaN or an infinity is anywhere in a JSON value."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, float) and (one != one or one in (float("inf"), float("-inf"))):
            return True
        if isinstance(one, list):
            stack.extend(one)
        elif isinstance(one, dict):
            stack.extend(one.values())
    return False


def key_of(value: Any) -> int | None:
    """An id as a whole number: 7, "7" and 7.0 are 7; None for anything else."""
    if is_whole(value):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else None


def size_of(image: Entry) -> tuple[int, int] | None:
    """Width and height of an image in pixels; None unless both are whole numbers above 0."""
    width, height = image.value.get("width"), image.value.get("height")
    return (width, height) if is_whole(width) and is_whole(height) and width > 0 and height > 0 else None


def box_of(annotation: Entry) -> Box | None:
    """The bbox as (x1, y1, x2, y2); None unless it is four finite numbers with a positive size."""
    numbers = finite_numbers(annotation.value.get("bbox"))
    if numbers is None or len(numbers) != 4 or numbers[2] <= 0 or numbers[3] <= 0:
        return None
    x, y, width, height = numbers
    return (x, y, x + width, y + height)


def polygons_of(annotation: Entry) -> list[tuple[float, ...]]:
    """The polygons that can be drawn: at least three points, finite numbers; none where it has run lengths."""
    segmentation = annotation.value.get("segmentation")
    if not isinstance(segmentation, list):
        return []
    found = (finite_numbers(polygon) for polygon in segmentation)
    return [polygon for polygon in found if polygon is not None and len(polygon) >= 6 and len(polygon) % 2 == 0]


def _by_key(entries: list[Entry]) -> dict[int, Entry]:
    found: dict[int, Entry] = {}
    for entry in entries:
        if entry.key is not None:
            found.setdefault(entry.key, entry)
    return found
