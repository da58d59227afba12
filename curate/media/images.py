"""Still images: upright, 8-bit RGB, whatever the file holds."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION_TAG = 0x0112
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


def describe(path: Path) -> tuple[int, int, int, str]:
    """Width and height of the upright picture in pixels, its EXIF rotation clockwise in degrees, and the format.

    Raises what Pillow raises for a file that is not an image: OSError, ValueError or SyntaxError.
    """
    with _open(path) as image:
        rotation = _CLOCKWISE.get(image.getexif().get(_ORIENTATION_TAG, 1), 0)
        width, height = image.size[::-1] if rotation % 180 else image.size
        return width, height, rotation, (image.format or "").lower()


def load(path: Path, imgsz: int | None = None) -> "Image.Image":
    """The upright picture in RGB, its long side at most `imgsz` pixels (None: full size). Of an animation, the first.

    Transparent parts become white; 16-bit levels are divided by 256, floating point ones taken as 0 to 1, or 0 to
    255 where they exceed 1. Raises as `describe` does, also for a file that breaks off.
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
        turn = _TRANSPOSE.get(image.getexif().get(_ORIENTATION_TAG, 1))
        return picture if turn is None else picture.transpose(Image.Transpose[turn])


def is_upright_jpeg(path: Path) -> bool:
    """Whether the file is, as it is, what `load` gives at full size: a JPEG in RGB or grey without a rotation."""
    with _open(path) as image:
        upright = image.getexif().get(_ORIENTATION_TAG, 1) == 1
        return upright and image.format == "JPEG" and image.mode in ("RGB", "L")


def to_rgb(image: "Image.Image") -> "Image.Image":
    """`image` as 8-bit RGB."""
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        levels = np.asarray(image).astype(np.float64)
        highest = levels.max(initial=0)
        if image.mode == "F":
            levels = levels * 255 if highest <= 1 else levels
        elif highest > 255:
            levels = levels / 256
        return Image.fromarray(np.clip(np.nan_to_num(levels), 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        white = Image.new("RGBA", with_alpha.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, with_alpha).convert("RGB")
    return image.convert("RGB")


def _open(path: Path) -> "Image.Image":
    from PIL import Image

    # An aerial mosaic of 100 megapixels is no attack; Pillow still refuses twice that.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    try:
        return Image.open(path)
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
