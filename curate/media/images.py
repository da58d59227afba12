"""Still images: upright, 8-bit RGB, whatever the file holds."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from detectors.pixels import to_rgb

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION_TAG, _WIDTH_TAG, _HEIGHT_TAG = 0x0112, 0x0100, 0x0101
_TRANSPOSE = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
# Clockwise, as video rotations are; Pillow's ROTATE_* turn the other way. A mirrored picture has the turn alone.
_CLOCKWISE = {3: 180, 5: 90, 6: 90, 7: 270, 8: 270}
# What Pillow's readers let out for a damaged file, beside OSError, ValueError and SyntaxError.
_MORE_ERRORS = (RuntimeError, EOFError, LookupError, TypeError, ArithmeticError, struct.error, zlib.error)


@dataclass(frozen=True)
class Described:
    """A still image, undecoded. Sizes are those of the upright picture in pixels, the rotation is clockwise.

    `remark` is empty, or says what of the file is not used.
    """

    width: int
    height: int
    rotation: int
    format: str
    remark: str


def describe(path: Path) -> Described:
    """What is in an image file, from its headers.

    Raises OSError, ValueError or SyntaxError for a file that is not an image.
    """
    with _open(path) as image:
        rotation = _CLOCKWISE.get(_orientation(image), 0)
        width, height = _stored_size(image)
        if rotation % 180:
            width, height = height, width
        return Described(width, height, rotation, (image.format or "").lower(), _remark(image))


def is_image(path: Path) -> bool:
    """Whether Pillow knows the format of the file."""
    try:
        with _open(path):
            return True
    except (OSError, ValueError, SyntaxError):
        return False


def load(path: Path, imgsz: int | None = None) -> "Image.Image":
    """The upright picture in RGB, its long side at most `imgsz` pixels (None: full size). Of several, the first.

    Transparent parts and deep pixels are as `to_rgb` has them. Raises as `describe` does, also for a file that breaks
    off.
    """
    from PIL import Image

    from curate.media.decode import scaled_size

    with _open(path) as image:
        size_wh = image.size if imgsz is None else scaled_size(*image.size, imgsz)
        if size_wh != image.size:
            # JPEG alone heeds this: it decodes at 1/2, 1/4 or 1/8 of the size, at least twice what is asked for.
            image.draft(None, (size_wh[0] * 2, size_wh[1] * 2))
        picture = to_rgb(image)
        if picture.size != size_wh:
            picture = picture.resize(size_wh, Image.Resampling.BILINEAR)
        # Asked after loading: Pillow turns TIFF files itself while it loads them, and then says so.
        turn = _TRANSPOSE.get(_orientation(image))
        return picture if turn is None else picture.transpose(Image.Transpose[turn])


def is_upright_jpeg(path: Path) -> bool:
    """Whether the file is, as it is, what `load` gives at full size: a JPEG in RGB or grey without a rotation."""
    with _open(path) as image:
        return _orientation(image) == 1 and image.format == "JPEG" and image.mode in ("RGB", "L")


@contextmanager
def _open(path: Path) -> "Iterator[Image.Image]":
    """The image while the block runs; whatever Pillow makes of a damaged file comes out as one of three exceptions."""
    from PIL import Image

    # An aerial mosaic of 100 megapixels is no attack; Pillow still refuses twice that.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", message="Corrupt EXIF data", category=UserWarning)
    try:
        with Image.open(path) as image:
            yield image
    except (Image.DecompressionBombError, *_MORE_ERRORS) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _orientation(image: "Image.Image") -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or it cannot be read."""
    try:
        found = image.getexif().get(_ORIENTATION_TAG, 1)
    except (OSError, ValueError, SyntaxError, *_MORE_ERRORS):
        # Damaged remarks of a camera are no reason not to see the picture.
        return 1
    return found if found in _TRANSPOSE else 1


def _stored_size(image: "Image.Image") -> tuple[int, int]:
    """(width, height) before any turn."""
    tags = getattr(image, "tag_v2", {})
    # Of a TIFF file, Pillow gives the size after the turn.
    return (int(tags[_WIDTH_TAG]), int(tags[_HEIGHT_TAG])) if _WIDTH_TAG in tags else image.size


def _remark(image: "Image.Image") -> str:
    try:
        pictures = int(getattr(image, "n_frames", 1))
    except (OSError, ValueError, SyntaxError, *_MORE_ERRORS):
        # Only the pictures after the first are damaged.
        return "several pictures: the first is used"
    what = {"TIFF": "pages", "MPO": "pictures"}.get(image.format or "", "pictures of an animation")
    return f"{pictures} {what}: the first is used" if pictures > 1 else ""
