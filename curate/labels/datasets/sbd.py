"""SBD, the Semantic Boundaries Dataset: `img/*.jpg` and the instances of VOC's 20 classes in `inst/*.mat`."""

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from curate.labels.datasets._masks import masks_of
from curate.labels.datasets.voc import CLASSES
from curate.labels.problems import Problems
from curate.labels.returned import Returned, ReturnedImage, ReturnedObject
from curate.labels.values import shown

if TYPE_CHECKING:
    import numpy as np

DESCRIPTION = "SBD: img/*.jpg and inst/*.mat with instances of VOC's classes"
MATCHED_PARTS = 1


def is_root(folder: Path) -> bool:
    """Whether the folder is SBD's `dataset`, with `img` and `inst`."""
    return (folder / "img").is_dir() and (folder / "inst").is_dir()


def read(root: Path, problems: Problems) -> Returned:
    """Read every file of instances; boxes are those around the masks."""
    images = []
    for path in sorted((root / "inst").glob("*.mat")):
        with problems.inside(path.relative_to(root).as_posix()):
            data = path.read_bytes()
            found = _instances(data, problems)
            if found is None:
                continue
            numbers, classes = found
            height, width = numbers.shape
            image = ReturnedImage(
                subject=shown(f"{path.stem}.jpg"),
                file_name=f"img/{path.stem}.jpg",
                size_wh=(width, height),
                place="",
                label_file=str(path.absolute()),
                label_file_sha256=hashlib.sha256(data).hexdigest(),
            )
            for mask in masks_of(numbers):
                subject = f"instance {mask.number}"
                index = classes[mask.number - 1] if mask.number <= len(classes) else 0
                if not 1 <= index <= len(CLASSES):
                    problems.add("bad-mask", subject, f"its class is {index}, of {len(CLASSES)}")
                    continue
                name = CLASSES[index - 1]
                image.objects.append(ReturnedObject(subject, "mask", name, mask.box_xyxy, segmentation=mask.rle))
        images.append(image)
    names = {object_.category for image in images for object_ in image.objects}
    return Returned(tuple(sorted(names)), tuple(images))


def _instances(data: bytes, problems: Problems) -> "tuple[np.ndarray, list[int]] | None":
    """The picture of instance numbers, (H, W), and the class index of each from 1; None where it is no such file."""
    from scipy.io import loadmat  # type: ignore[import-untyped]

    try:
        truth = loadmat(io.BytesIO(data), variable_names=["GTinst"])["GTinst"][0, 0]
        numbers, classes = truth["Segmentation"], truth["Categories"].reshape(-1).astype(int).tolist()
        if numbers.ndim == 2 and numbers.dtype.kind == "u":
            return numbers, classes
        detail = f"a segmentation of shape {numbers.shape} and type {numbers.dtype}"
    except Exception as error:  # what loadmat lets out for a damaged file depends on where the damage is
        detail = f"not SBD's GTinst ({str(error) or type(error).__name__})"
    problems.add("bad-mask", "", detail)
    return None
