"""Predicted boxes as every receiver gets them: inside the image, rounded alike, the best first."""

from dataclasses import dataclass

from curate.handoff.types import HandoffImage, Prediction

MIN_SCORE = 0.3
"""Predictions of a lower score are more work to remove than to draw."""

# Boxes are rounded to 1/128 px: x + width is then exact in binary, so no box passes the edge of its image by a rounding
# error, and no side moves by more than 0.004 px.
_GRID = 128


@dataclass(frozen=True)
class PreAnnotation:
    """A predicted box to start labelling from, in pixels: 0 <= x1 < x2 <= width, 0 <= y1 < y2 <= height."""

    x1: float
    y1: float
    x2: float
    y2: float
    category: str
    score: float

    @property
    def width(self) -> float:
        """In pixels, above 0."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """In pixels, above 0."""
        return self.y2 - self.y1


def pre_annotations(image: HandoffImage) -> list[PreAnnotation]:
    """The predictions of an image; those that are outside it, or thinner than the rounding, are left out."""
    found = []
    for (x1, y1, x2, y2), category, score in sorted(image.predictions, key=_best_first):
        x1, x2 = _to_grid(x1, image.width), _to_grid(x2, image.width)
        y1, y2 = _to_grid(y1, image.height), _to_grid(y2, image.height)
        if x1 < x2 and y1 < y2:
            found.append(PreAnnotation(x1, y1, x2, y2, category, round(score, 6)))
    return found


def _best_first(prediction: Prediction) -> tuple[float, str, tuple[float, ...]]:
    box, category, score = prediction
    return -score, category, box


def _to_grid(value: float, limit: int) -> float:
    return round(min(max(value, 0.0), float(limit)) * _GRID) / _GRID
