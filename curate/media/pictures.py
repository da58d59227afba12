"""Frames as PyAV decodes them, turned into pictures."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from PIL import Image


class Pictures:
    """Turns decoded frames into upright RGB pictures of `size_wh`."""

    def __init__(self, size_wh: tuple[int, int], threads: int) -> None:
        from av.video.reformatter import VideoReformatter

        self._size_wh, self._threads = size_wh, threads
        self._reformatter = VideoReformatter()

    def __call__(self, frame: "VideoFrame") -> "Image.Image":
        """The picture of one frame."""
        from av.video.reformatter import Interpolation
        from PIL import Image

        rotation = clockwise_rotation(frame)
        width, height = self._size_wh[::-1] if rotation % 180 else self._size_wh
        # Bilinear is what decord's filter graph does: both backends give the same picture.
        scaled = self._reformatter.reformat(
            frame, width, height, "rgb24", interpolation=Interpolation.BILINEAR, threads=self._threads
        )
        (plane,) = scaled.planes
        picture = Image.frombytes("RGB", (width, height), bytes(plane), "raw", "RGB", plane.line_size, 1)
        # Pillow counts turns anticlockwise.
        turns = {
            90: Image.Transpose.ROTATE_270,
            180: Image.Transpose.ROTATE_180,
            270: Image.Transpose.ROTATE_90,
        }
        return picture.transpose(turns[rotation]) if rotation else picture


def clockwise_rotation(frame: "VideoFrame") -> int:
    """How far to turn the stored picture clockwise, in degrees: 0, 90, 180 or 270.

    Other angles in a display matrix are damage or effects; the picture stays as stored.
    """
    degrees = -frame.rotation % 360
    return degrees if degrees in (90, 180, 270) else 0
