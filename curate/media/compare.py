"""Which of several decoded pictures an exported JPEG shows.

Measured on H.264, HEVC and VP9 in 8 bits, upright and turned: decord and PyAV decode the same pixels, so that all of
the difference is the JPEG's. The same compression is therefore done to the decoded picture first: the right frame
then differs by 0.00 levels, and its neighbour in a still scene with a little noise by 0.02 to 0.9.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_DIFFERENCE = 2.0
"""Mean absolute difference, in levels of 0 to 255, up to which two pictures can be of the same frame."""

# A neighbour counts as nearer only if it takes away this much of the mean squared difference: less is noise. Not so
# if it is the very same picture: that is no chance.
_CLEARLY_LESS = 0.02
_CLEARLY_LESS_SHARE = 0.1


@dataclass(frozen=True)
class Difference:
    """Between two pictures, over all pixels and channels: mean absolute and mean squared, in levels of 0 to 255."""

    absolute: float
    squared: float


@dataclass(frozen=True)
class ExportedPicture:
    """An exported JPEG: `rgb` is (height, width, 3) uint8.

    `tables` and `subsampling` are how it was compressed; `tables` is None where that cannot be done again.
    """

    rgb: "NDArray[np.uint8]"
    tables: dict[int, list[int]] | None
    subsampling: int

    def difference(self, decoded: "NDArray[np.uint8]") -> Difference:
        """How far a decoded picture of the same size is from this one, once it is compressed as this one is."""
        import numpy as np
        from PIL import Image

        if self.tables is not None:
            file = io.BytesIO()
            Image.fromarray(decoded).save(file, format="JPEG", qtables=self.tables, subsampling=self.subsampling)
            with Image.open(file) as compressed:
                decoded = np.asarray(compressed)
        apart = self.rgb.astype(np.int16) - decoded
        return Difference(float(np.abs(apart).mean()), float(np.square(apart, dtype=np.float32).mean()))


def read_picture(path: Path) -> ExportedPicture:
    """Read an exported JPEG. Raises OSError, ValueError or SyntaxError where it is none, or is damaged."""
    import numpy as np
    from PIL import Image, JpegImagePlugin

    with Image.open(path) as image:
        subsampling = JpegImagePlugin.get_sampling(image) if image.format == "JPEG" else -1
        # Grey, CMYK and uncommon subsamplings come from elsewhere: compared as they are.
        again = subsampling >= 0 and image.mode == "RGB"
        tables = dict(image.quantization) if isinstance(image, JpegImagePlugin.JpegImageFile) and again else None
        return ExportedPicture(np.asarray(image.convert("RGB")), tables, subsampling)


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) by the header alone; raises as `read_picture` does."""
    from PIL import Image

    with Image.open(path) as image:
        return image.size


def shown(differences: Mapping[int, Difference], expected: int) -> int | None:
    """Which frame a picture shows, given how far it is from each; None where it is far from all of them.

    That is `expected`, unless another frame is clearly nearer: frames that cannot be told apart count as the same.
    """
    nearest = min(differences, key=lambda index: (differences[index].squared, index))
    least = differences[nearest].squared
    if expected in differences:
        squared = differences[expected].squared
        noise = max(_CLEARLY_LESS, _CLEARLY_LESS_SHARE * squared) if least else 0.0
        if squared - least <= noise:
            nearest = expected
    return nearest if differences[nearest].absolute <= MAX_DIFFERENCE else None
