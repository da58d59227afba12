"""Pixels of any image file as 8-bit RGB. Loads neither torch nor, for most files, numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def to_rgb(image: Image) -> Image:
    """Return `image` as 8-bit RGB.

    Transparent parts become white; 16-bit levels are divided by 256, floating point ones taken as 0 to 1, or 0 to 255
    where they exceed 1.
    """
    from PIL import Image as pillow  # noqa: N813

    if image.mode.startswith("I") or image.mode == "F":
        # Few images need it, and it takes long to import.
        import numpy as np

        levels = np.asarray(image).astype(np.float64)
        highest = levels.max(initial=0)
        if image.mode == "F":
            levels = levels * 255 if highest <= 1 else levels
        elif highest > 255:
            levels = levels / 256
        return pillow.fromarray(np.clip(np.nan_to_num(levels), 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        white = pillow.new("RGBA", with_alpha.size, (255, 255, 255, 255))
        return pillow.alpha_composite(white, with_alpha).convert("RGB")
    return image.convert("RGB")
