"""Measure a trained detector on labelled images outside the pool."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from curate.errors import CurateError, UsageError
from curate.labels.bundle import open_bundle
from curate.labels.formats import coco
from curate.labels.geometry import Canvas, parse_segmentation, to_source
from curate.labels.problems import Problems
from curate.labels.returned import ReturnedImage
from curate.labels.values import is_text, shown
from curate.pipeline.score import find_detector
from curate.workspace import Workspace


@dataclass(frozen=True)
class EvaluateResult:
    """What `detectors.evaluation.evaluate` measured of one detector over so many images."""

    detector: str
    images: int
    metrics: dict[str, Any]


def evaluate(workspace: Workspace, annotations: Path, images: Path, *, detector: str | None = None) -> EvaluateResult:
    """Evaluate a detector of the workspace (default: the one trained last) on a COCO file and its image folder.

    Raises UsageError for a path that does not exist and CurateError for labels that cannot be used.
    """
    if not annotations.is_file():
        raise UsageError(f"COCO.json {annotations}: no such file")
    if not images.is_dir():
        raise UsageError(f"--images {images}: no such folder")
    directory = find_detector(workspace, detector or _newest(workspace))
    _check(annotations, images)

    from detectors.data import load_coco
    from detectors.evaluation import evaluate as measure
    from detectors.inference import Scorer, load_detector

    scorer = Scorer(load_detector(directory))
    try:
        labeled, categories = load_coco(annotations, images, categories=scorer.categories)
    except ValueError as error:
        raise CurateError(str(error)) from error
    try:
        metrics = measure(scorer, labeled, categories)
    except (ValueError, OSError) as error:
        raise CurateError(f"--images {images}: {error}") from error
    if metrics["AP"] is None:
        raise CurateError(f"{annotations}: no boxes to measure with; give labels that have some")
    return EvaluateResult(directory.name, len(labeled), metrics)


def _check(annotations: Path, images: Path) -> None:
    """LabelError where `curate label` refuses the file too, or a picture is not in the folder or cannot be opened."""
    problems = Problems(annotations)
    with open_bundle(annotations, problems) as bundle:
        if not bundle.single:
            raise UsageError(f"COCO.json {annotations}: a zip; give the JSON file in it")
        returned = coco.read(bundle, bundle.names, problems)
    for image in returned.images:
        size = _size(image, images, problems)
        if size is None:
            continue
        canvas = Canvas(*size, *size)
        for one in image.objects:
            if to_source(one.box_xyxy, canvas) is None:
                detail = f"{one.stated}, outside its image of {size[0]}x{size[1]}"
                problems.add("bbox-outside", one.subject, detail)
            if parse_segmentation(one.segmentation, canvas) is None:
                problems.add("bad-segmentation", one.subject, f"segmentation is {shown(one.segmentation)}")
    problems.raise_if_any()


def _size(image: ReturnedImage, folder: Path, problems: Problems) -> tuple[int, int] | None:
    """Width and height of a picture's file; None where there is none that can be opened, which is noted."""
    from PIL import Image

    if not is_text(image.file_name):
        problems.add("unknown-image", image.subject, f"file_name is {shown(image.file_name)}")
        return None
    name = PurePosixPath(image.file_name)
    if name.is_absolute() or ".." in name.parts:
        problems.add("unsafe-name", image.subject, f"leads out of {folder}")
        return None
    try:
        with Image.open(folder / name) as picture:
            return picture.size
    except FileNotFoundError:
        problems.add("unknown-image", image.subject, f"no such file in {folder}")
    except Exception as error:  # Pillow lets out whatever its readers meet in a damaged file
        problems.add("bad-picture", image.subject, str(error) or type(error).__name__)
    return None


def _newest(workspace: Workspace) -> str:
    finished = sorted(workspace.detectors.glob("*/metrics.json"), key=lambda path: path.stat().st_mtime_ns)
    if not finished:
        raise CurateError("no trained detector in the workspace; train one with `curate train --labels FILE`")
    return finished[-1].parent.name
