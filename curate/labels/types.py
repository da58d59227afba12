"""The labelled set in memory: frames with their objects, and the categories that the objects may have."""

from dataclasses import dataclass

BoxXyxy = tuple[float, float, float, float]


@dataclass(frozen=True)
class LabeledFrame:
    """A frame that a person has looked at. No objects means that there are none in it, not that nobody looked.

    `width` and `height` are those of the upright source in pixels, and the boxes refer to them:
    0 <= x1 < x2 <= width, 0 <= y1 < y2 <= height. `boxes_xyxy`, `categories` (names), `iscrowd` and `segmentations`
    have one entry an object. A segmentation is the JSON text of the COCO value in the same pixels, "" where there is
    none. `label_file` is where the label was read from, with that file's sha256.
    """

    frame_id: str
    source: str
    frame_index: int
    width: int
    height: int
    boxes_xyxy: tuple[BoxXyxy, ...]
    categories: tuple[str, ...]
    iscrowd: tuple[bool, ...]
    segmentations: tuple[str, ...]
    label_file: str
    label_file_sha256: str

    def __post_init__(self) -> None:
        count = len(self.boxes_xyxy)
        for name in ("categories", "iscrowd", "segmentations"):
            if len(getattr(self, name)) != count:
                raise ValueError(f"{self.frame_id}: {len(getattr(self, name))} {name} for {count} boxes")


@dataclass(frozen=True)
class LabelSet:
    """Labelled frames, each at most once, and the categories in the order that gives them their class index."""

    categories: tuple[str, ...]
    frames: tuple[LabeledFrame, ...]

    def __post_init__(self) -> None:
        if len(set(self.categories)) != len(self.categories):
            raise ValueError(f"categories are not unique: {self.categories}")
        if len({frame.frame_id for frame in self.frames}) != len(self.frames):
            raise ValueError("a frame is in the label set more than once")
        unknown = {name for frame in self.frames for name in frame.categories} - set(self.categories)
        if unknown:
            raise ValueError(f"objects of categories that the label set does not list: {sorted(unknown)}")


EMPTY = LabelSet((), ())
