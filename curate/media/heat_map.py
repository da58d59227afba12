"""Values of a detector's instances as heat maps over a frame, side by side with a title and a colour scale each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image, ImageFont

PANEL_WIDTH = 480
_MARGIN = 12
_TITLE = 26
_SCALE = 34
_BAR = 10
# Black, violet, red, orange, pale yellow: lightness rises evenly, so that it also reads in grey.
_STOPS = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
_BOX_COLOR = (0, 229, 255)


@dataclass(frozen=True)
class DrawnBox:
    """A box to draw on the frame: `xyxy` in its pixels."""

    xyxy: tuple[float, float, float, float]
    text: str


def heat(
    boxes_xyxy: "npt.NDArray[np.float32]", values: "npt.NDArray[np.float32]", size_wh: tuple[int, int]
) -> "npt.NDArray[np.float64]":
    """Sum at each pixel the values of the boxes over it, (height, width) (as Figs. 7 and 9 of the MIDL paper).

    boxes_xyxy: (N, 4) in pixels, each painted at least one pixel wide and high; parts outside are cut off.
    """
    import numpy as np

    width, height = size_wh
    left, top = (np.clip(np.rint(boxes_xyxy[:, k]).astype(int), 0, end - 1) for k, end in ((0, width), (1, height)))
    right, bottom = (
        np.clip(np.rint(boxes_xyxy[:, k]).astype(int), start + 1, end)
        for k, start, end in ((2, left, width), (3, top, height))
    )
    # The four corners of each box, then running sums: as fast for a hundred thousand boxes as for one.
    corners = np.zeros((height + 1, width + 1))
    for rows, columns, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
        np.add.at(corners, (rows, columns), sign * values.astype(np.float64))
    # What the sums leave of zero is rounding.
    return np.asarray(np.maximum(corners.cumsum(axis=0).cumsum(axis=1)[:height, :width], 0))


def panels(
    frame: "Image.Image", boxes: Sequence[DrawnBox], maps: "Sequence[tuple[str, npt.NDArray[np.float64]]]"
) -> "Image.Image":
    """The frame with its boxes, then each map (title, (height, width)) over the frame in grey, in one row."""
    from PIL import Image, ImageDraw

    height = max(1, round(PANEL_WIDTH * frame.height / frame.width))
    step = PANEL_WIDTH + _MARGIN
    sheet = Image.new("RGB", (_MARGIN + step * (1 + len(maps)), _TITLE + height + _SCALE + _MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    large = frame.convert("RGB").resize((PANEL_WIDTH, height), Image.Resampling.BICUBIC)
    titled = [("frame and boxes", _with_boxes(large, boxes, PANEL_WIDTH / frame.width))]
    titled += [(title, _over(large, values)) for title, values in maps]
    for n, (title, panel) in enumerate(titled):
        x = _MARGIN + n * step
        draw.text((x, 5), title, fill="black", font=_font(15))
        sheet.paste(panel, (x, _TITLE))
        if n:
            _draw_scale(sheet, (x, _TITLE + height + 6), float(maps[n - 1][1].max(initial=0)))
    return sheet


def _with_boxes(frame: "Image.Image", boxes: Sequence[DrawnBox], scale: float) -> "Image.Image":
    from PIL import ImageDraw

    drawn = frame.copy()
    draw = ImageDraw.Draw(drawn)
    for box in boxes:
        x1, y1, x2, y2 = (value * scale for value in box.xyxy)
        draw.rectangle((x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)), outline=_BOX_COLOR, width=2)
        at = (min(x1, drawn.width - draw.textlength(box.text, font=_font(12))), max(y1 - 15, 0))
        draw.rectangle(draw.textbbox(at, box.text, font=_font(12)), fill="black")
        draw.text(at, box.text, fill=_BOX_COLOR, font=_font(12))
    return drawn


def _over(frame: "Image.Image", values: "npt.NDArray[np.float64]") -> "Image.Image":
    """The colours of the values over the frame in grey, clearer where they are high."""
    import numpy as np
    from PIL import Image

    share = values / max(float(values.max(initial=0)), 1e-300)
    large = np.asarray(Image.fromarray(share.astype(np.float32)).resize(frame.size, Image.Resampling.BILINEAR))
    grey = np.asarray(frame.convert("L"), np.float32)[..., None]
    opacity = 0.35 + 0.5 * large[..., None]
    return Image.fromarray(np.rint(grey * (1 - opacity) + _colors()[_levels(large)] * opacity).astype(np.uint8))


def _draw_scale(sheet: "Image.Image", at: tuple[int, int], highest: float) -> None:
    import numpy as np
    from PIL import Image, ImageDraw

    x, y = at
    ramp = _colors()[_levels(np.linspace(0, 1, PANEL_WIDTH))].astype(np.uint8)
    sheet.paste(Image.fromarray(np.repeat(ramp[None], _BAR, axis=0)), at)
    draw = ImageDraw.Draw(sheet)
    draw.text((x, y + _BAR + 2), "0", fill="black", font=_font(12))
    text = f"{highest:.3g}"
    draw.text(
        (x + PANEL_WIDTH - draw.textlength(text, font=_font(12)), y + _BAR + 2), text, fill="black", font=_font(12)
    )


def _levels(share: "npt.NDArray[np.floating]") -> "npt.NDArray[np.intp]":
    import numpy as np

    return np.asarray(np.clip(np.rint(share * 255), 0, 255), dtype=np.intp)


def _colors() -> "npt.NDArray[np.float64]":
    """(256, 3) RGB in 0-255."""
    import numpy as np

    places = np.linspace(0, 255, len(_STOPS))
    return np.stack([np.interp(np.arange(256), places, channel) for channel in zip(*_STOPS, strict=True)], axis=1)


def _font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)
