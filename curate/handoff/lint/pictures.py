"""The pictures that a COCO file names: where they lie, and what is in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from curate.values import is_text

_ORIENTATION_TAG = 0x0112
_SAMPLE = 50


@dataclass(frozen=True)
class Picture:
    """A picture on disk, by its headers: (width, height) in pixels, whether EXIF turns it, or why it cannot be read."""

    missing: bool = False
    size_wh: tuple[int, int] | None = None
    turned: bool = False
    error: str = ""


def folder_of_pictures(path: Path, names: Sequence[str]) -> Path | None:
    """The folder that most of the names lead into: that of the file at `path`, `images/`, `images/<subset>/` and such.

    None where not one of the names is found in any of them.
    """
    subset = path.stem.removeprefix("instances_")
    beside, above = path.parent, path.parent.parent
    places = (beside, beside / "images", beside / subset, above / "images" / subset, above / "images", above / subset)
    # A few from all over the list: a disk is slow, and a folder that has none of them has none of the others.
    sample = names[:: max(1, len(names) // _SAMPLE)]
    found = {place: sum((place / name).is_file() for name in sample) for place in places}
    best = max(places, key=lambda place: found[place])
    return best if found[best] else None


def read_picture(path: Path) -> Picture:
    """What is at `path`, undecoded."""
    from PIL import Image

    if not path.is_file():
        return Picture(missing=True)
    try:
        with Image.open(path) as image:
            return Picture(size_wh=image.size, turned=image.getexif().get(_ORIENTATION_TAG, 1) not in (0, 1))
    except Exception as error:  # Pillow lets out whatever its readers of some thirty formats meet in a damaged file
        return Picture(error=f"cannot be read ({str(error) or type(error).__name__})")


def name_below(value: Any) -> str | None:
    """A file name as a path below a folder; None where it is none, or leads elsewhere."""
    if not is_text(value) or len(value.encode()) > 255:
        return None
    path = PurePosixPath(value.replace("\\", "/"))
    is_below = path.parts and not path.is_absolute() and ".." not in path.parts and ":" not in path.parts[0]
    return str(path) if is_below else None
