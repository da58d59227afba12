"""Export the labelled set to train on: split by video, every object of it with a valid mask or a box."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from curate.errors import CurateError, UsageError
from curate.handoff.folder import is_file_name, place_in, replaced_folder
from curate.handoff.masks import Mask, MaskError, extent, valid_mask
from curate.handoff.splits import SPLITS, split_groups
from curate.handoff.subset import Remark, Subset, SubsetImage, SubsetObject, Task, image_path, write_subset
from curate.labels.table import labels_sha256, load_labels
from curate.labels.types import BoxXyxy, LabeledFrame
from curate.media.reread import write_all_full_size
from curate.pipeline.score import find_detector
from curate.pool import Pool
from curate.progress import SILENT, Progress
from curate.types import Skipped, Source, export_stem
from curate.workspace import Workspace

if TYPE_CHECKING:
    from detectors.inference import Scorer


@dataclass(frozen=True)
class SubsetResult:
    """Where the export lies, and what is in it. `left_out` counts frames with an object without a valid mask."""

    folder: Path
    images: Mapping[str, int]
    objects: int
    mended: int
    predicted: int
    left_out: int
    skipped: tuple[Skipped, ...]


@dataclass
class _Chosen:
    """A frame to export: its objects, None where a mask is still to be predicted, and what is to be told of them."""

    frame: LabeledFrame
    objects: list[SubsetObject | None]
    remarks: list[Remark] = field(default_factory=list)

    @property
    def to_predict(self) -> list[int]:
        return [number for number, found in enumerate(self.objects) if found is None]


def export_subset(
    workspace: Workspace,
    *,
    task: Task,
    shares: Sequence[float],
    seed: int = 0,
    predict_masks: bool = False,
    detector: str | None = None,
    zipped: bool = False,
    progress: Progress = SILENT,
) -> SubsetResult:
    """Write `exports/<task>/` from the labelled set, as COCO files a split over images at full size.

    For instance segmentation a frame is exported if each of its objects has a valid mask; masks are mended where that
    is possible (see `valid_mask`), and boxes and areas are those of the masks. `predict_masks` lets a Mask R-CNN of
    the workspace (`detector`, default the newest) draw the masks of objects that have a box alone. Frames without
    objects are exported too. `shares` and `seed` decide the splits, by content of the source, so that two copies of a
    video are in one. Raises CurateError where no frame is left, UsageError where the detector has learned no masks.
    """
    labels = load_labels(workspace)
    if not labels.frames:
        raise CurateError("no labels in the workspace; give a label file with `curate score PATHS --labels FILE`")
    masked = task == "instance-segmentation"
    mask_detector = _mask_detector(workspace, detector) if predict_masks else None
    remarks: list[Remark] = []
    chosen: list[_Chosen] = []
    for frame in labels.frames:
        one = _choose(frame, masked=masked, predict=predict_masks)
        if any(remark.what == "left out" for remark in one.remarks):
            remarks += [remark for remark in one.remarks if remark.what == "left out"]
        else:
            chosen.append(one)
    pool = Pool.load(workspace)
    times = dict(zip(pool.frames["frame_id"].to_pylist(), pool.frames["timestamp_s"].to_pylist(), strict=True))
    unknown = [frame.frame_id for frame in labels.frames if frame.frame_id not in times]
    if unknown:
        raise CurateError(
            f"the labelled frame {unknown[0]} is not in the pool ({len(unknown)} are not); "
            "run `curate score` on its file"
        )
    unsafe = [frame.frame_id for frame in labels.frames if not is_file_name(export_stem(frame.frame_id))]
    if unsafe:
        raise CurateError(f"the labelled frame {unsafe[0]!r} cannot name a file; was a table edited by hand?")
    content = {key: source.sha256 for key, source in pool.sources.items()}
    split_of = split_groups(Counter(content[one.frame.source] for one in chosen), shares, seed)
    with replaced_folder(workspace.exports / task) as folder:
        splits = {one.frame.frame_id: split_of[content[one.frame.source]] for one in chosen}
        skipped = _write_images(folder, chosen, splits, pool.sources, progress)
        lost = {key for key, source in pool.sources.items() if source.path in {one.path for one in skipped}}
        chosen = [one for one in chosen if one.frame.source not in lost]
        if mask_detector is not None:
            chosen, dropped = _predict(folder, chosen, splits, mask_detector, progress)
            remarks += dropped
        images = tuple(
            SubsetImage(
                frame_id=one.frame.frame_id,
                source=pool.sources[one.frame.source],
                frame_index=one.frame.frame_index,
                timestamp_s=times[one.frame.frame_id],
                width=one.frame.width,
                height=one.frame.height,
                split=splits[one.frame.frame_id],
                objects=tuple(found for found in one.objects if found is not None),
                label_file_sha256=one.frame.label_file_sha256,
            )
            for one in chosen
        )
        left_out = len({remark.frame_id for remark in remarks})
        if not images:
            raise CurateError(_nothing_left(remarks, skipped, predict=predict_masks))
        remarks += [remark for one in chosen for remark in one.remarks]
        made_by = {
            "task": task,
            "seed": seed,
            "split": list(shares),
            "mask_detector": mask_detector.name if mask_detector else None,
            "counts": {"images": len(images), "left_out": left_out, "unreadable_sources": len(skipped)},
        }
        names = SPLITS[: len(shares)]
        run_id = f"labels-{labels_sha256(labels)[:12]}"
        subset = Subset(task, run_id, names, labels.categories, images, tuple(remarks), made_by)
        write_subset(folder, subset, zipped=zipped)
    found = [found for image in images for found in image.objects]
    return SubsetResult(
        folder=workspace.exports / task,
        images={name: sum(image.split == name for image in images) for name in names},
        objects=len(found),
        mended=sum(remark.what == "mended" for remark in remarks),
        predicted=sum(one.predicted for one in found),
        left_out=left_out,
        skipped=tuple(skipped),
    )


def _choose(frame: LabeledFrame, *, masked: bool, predict: bool) -> _Chosen:
    """The objects of a frame with checked masks, and remarks on those that are mended, or why the frame is left out."""
    chosen = _Chosen(frame, [])
    rows = zip(frame.boxes_xyxy, frame.categories, frame.iscrowd, frame.segmentations, strict=True)
    for number, (box, category, crowd, text) in enumerate(rows):
        if not masked:
            chosen.objects.append(SubsetObject(category, _xywh(box), _area(box), [], crowd))
            continue
        if not text and not crowd and predict:
            chosen.objects.append(None)
            continue
        try:
            mask = _mask(frame, box, crowd, text)
        except MaskError as error:
            chosen.remarks.append(Remark(frame.frame_id, number, category, "left out", str(error)))
            continue
        chosen.objects.append(_object(category, mask, crowd))
        chosen.remarks += [Remark(frame.frame_id, number, category, "mended", reason) for reason in mask.mended]
    return chosen


def _mask(frame: LabeledFrame, box: BoxXyxy, crowd: bool, text: str) -> Mask:
    if text:
        return valid_mask(json.loads(text), width=frame.width, height=frame.height, crowd=crowd)
    if not crowd:
        raise MaskError("it has a box and no mask")
    # The box of a crowd is the region that is not to be judged.
    x1, y1, x2, y2 = box
    mask = valid_mask([[x1, y1, x2, y1, x2, y2, x1, y2]], width=frame.width, height=frame.height, crowd=True)
    return replace(mask, mended=("a crowd with a box alone: the box is its mask",))


def _object(category: str, mask: Mask, crowd: bool, *, predicted: bool = False) -> SubsetObject:
    return SubsetObject(category, mask.bbox, mask.area, mask.segmentation, crowd, predicted)


def _write_images(
    folder: Path,
    chosen: Sequence[_Chosen],
    splits: Mapping[str, str],
    sources: Mapping[str, Source],
    progress: Progress,
) -> list[Skipped]:
    """Write the frames at full size; returns the sources that could not be read again."""
    wanted: dict[str, dict[int, Path]] = defaultdict(dict)
    for one in chosen:
        name = image_path(one.frame.frame_id, splits[one.frame.frame_id])
        wanted[one.frame.source][one.frame.frame_index] = place_in(folder, name)
    skipped = []
    progress.start("Reading labelled frames at full size", len(chosen), "frames")
    for written in write_all_full_size([(sources[source], frames) for source, frames in sorted(wanted.items())]):
        original = written.source.path
        if written.reason:
            skipped.append(Skipped(original, written.reason.removeprefix(f"{original}: ")))
            for path in wanted[written.source.source].values():
                path.unlink(missing_ok=True)
        progress.advance(len(wanted[written.source.source]))
    progress.finish()
    return sorted(skipped, key=lambda one: one.path)


def _mask_detector(workspace: Workspace, name: str | None) -> Path:
    """The folder of the Mask R-CNN that draws masks; UsageError where there is none that has learned to."""
    teach = "`curate train --detector mask-rcnn` trains one, on labels that have masks"
    if name is not None:
        directory = find_detector(workspace, name)
        if not workspace.read_json(directory / "metrics.json").get("masks_learned"):
            kind = workspace.read_json(directory / "config.json").get("detector")
            raise UsageError(f"--detector {name}: a {kind} that has learned no masks; give one that has: {teach}")
        return directory
    finished = sorted(workspace.detectors.glob("*/metrics.json"), key=lambda path: path.stat().st_mtime_ns)
    for metrics in reversed(finished):
        if workspace.read_json(metrics).get("masks_learned"):
            return metrics.parent
    raise UsageError(f"--predict-masks: no mask-rcnn in the workspace has learned masks; {teach}")


def _predict(
    folder: Path, chosen: Sequence[_Chosen], splits: Mapping[str, str], detector: Path, progress: Progress
) -> tuple[list[_Chosen], list[Remark]]:
    """Fill in the masks that are missing; the frames that now are complete, and why others are left out."""
    from detectors.inference import Scorer, load_detector

    scorer = Scorer(load_detector(detector))
    complete, dropped = [], []
    waiting = sum(bool(one.to_predict) for one in chosen)
    progress.start(f"Predicting masks with {detector.name}", waiting, "frames")
    for one in chosen:
        if one.to_predict:
            path = place_in(folder, image_path(one.frame.frame_id, splits[one.frame.frame_id]))
            failed = _predict_one(scorer, path, one, by=detector.name)
            progress.advance()
            if failed:
                path.unlink()
                dropped += failed
                continue
        complete.append(one)
    progress.finish()
    return complete, dropped


def _predict_one(scorer: "Scorer", path: Path, chosen: _Chosen, *, by: str) -> list[Remark]:
    """Put masks into the boxes of one frame; why that failed, or nothing."""
    import numpy as np

    from detectors.box_masks import masks_of_boxes

    frame, numbers = chosen.frame, chosen.to_predict
    boxes = np.array([frame.boxes_xyxy[number] for number in numbers], np.float32)
    categories = [frame.categories[number] for number in numbers]
    try:
        masks = masks_of_boxes(scorer, path, boxes, categories)
    except ValueError as error:
        return [Remark(frame.frame_id, numbers[0], categories[0], "left out", f"no mask: {error}")]
    failed = []
    for number, category, runs in zip(numbers, categories, masks, strict=True):
        try:
            mask = valid_mask(runs, width=frame.width, height=frame.height)
        except MaskError:
            failed.append(Remark(frame.frame_id, number, category, "left out", "the detector sees no mask in its box"))
            continue
        chosen.objects[number] = _object(category, mask, crowd=False, predicted=True)
        chosen.remarks.append(Remark(frame.frame_id, number, category, "predicted", f"mask by {by}"))
    return failed


def _nothing_left(remarks: Sequence[Remark], skipped: Sequence[Skipped], *, predict: bool) -> str:
    if remarks:
        first = remarks[0]
        return (
            f"no labelled frame has valid masks for all its objects; the first: {first.frame_id}, object "
            f"{first.number} ({first.category}): {first.reason}; label masks, or give "
            + ("--task detection" if predict else "--predict-masks or --task detection")
        )
    return f"no labelled frame can be read again; the first: {skipped[0].path}: {skipped[0].reason}"


def _xywh(box: BoxXyxy) -> tuple[float, float, float, float]:
    return box[0], box[1], extent(box[0], box[2]), extent(box[1], box[3])


def _area(box: BoxXyxy) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
