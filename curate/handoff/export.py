"""Hand the selection over: a folder with images, labels for one receiver, a list, a manifest and checksums."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from curate.errors import CurateError, UsageError
from curate.handoff.folder import is_file_name, place_in, put, replaced_folder, write_checksums, write_text, write_zip
from curate.handoff.manifest import ManifestImage, write_manifest
from curate.handoff.readme import readme
from curate.handoff.registry import load_profile
from curate.handoff.types import Handoff, HandoffImage, Prediction, Predictions
from curate.types import SelectedFrame, Source, export_stem
from curate.types import frame_id as make_frame_id
from curate.workspace import Workspace

_AGAIN = "run `curate select` again"


@dataclass(frozen=True)
class ExportResult:
    """Where an export lies, and how many images and pre-annotations it has."""

    folder: Path
    profile: str
    run_id: str
    images: int
    annotations: int


def export(
    *,
    workspace: Workspace,
    selection: Sequence[SelectedFrame],
    sources: Mapping[str, Source],
    categories: Sequence[str],
    profile: str = "coco",
    predictions: Predictions | None = None,
    run_id: str | None = None,
    seed: int | None = None,
    detector: str | None = None,
    detector_sha256: str | None = None,
    min_score: float | None = None,
    with_images: bool = True,
    zipped: bool = False,
) -> ExportResult:
    """Write `exports/<profile>/` from the selection, replacing an older export when the new one is complete.

    The images are those of `selection/images/`, at full size; without `with_images` they are described but not put
    there. `sources` are by source key. `categories` are what the vendor labels, in the order of their ids.
    `predictions` (by frame id) become pre-annotations. `run_id`, `seed`, `detector`, the sha256 of its weights and
    `min_score` are written down; without a `run_id` it is a hash of the selection. `zipped` adds <profile>.zip with
    what the receiver reads. Equal arguments give equal bytes.

    Raises UsageError where no categories are given or the profile is unknown, CurateError where the selection is
    empty, has a frame twice, or an image is missing, and where somebody has worked in the older export.
    """
    receiver = load_profile(profile)
    names = _checked_categories(categories)
    if not selection:
        raise CurateError("nothing is selected; run `curate score PATHS --budget 5%` first")
    frames = sorted(selection, key=lambda frame: (frame.rank, frame.frame_id))
    twice = [id_ for id_, count in Counter(frame.frame_id for frame in frames).items() if count > 1]
    if twice:
        raise CurateError(f"the selection has {twice[0]} more than once ({len(twice)} such frames); {_AGAIN}")
    handoff = Handoff(
        run_id=run_id or _selection_id(frames),
        seed=seed,
        detector=detector,
        images=_images(frames, sources, workspace.selection / "images", predictions or {}, names),
        categories=names,
        detector_sha256=detector_sha256,
        min_score=min_score,
    )
    place = workspace.exports / profile
    with replaced_folder(place) as folder:
        paths = {image.name: f"{receiver.IMAGES}/{image.name}" for image in handoff.images}
        if with_images:
            for image in handoff.images:
                put(image.file, place_in(folder, paths[image.name]))
        annotations = receiver.write(handoff, folder)
        if zipped:
            write_zip(folder, f"{profile}.zip")
        write_text(folder, "selection.txt", "".join(f"{image.name}\n" for image in handoff.images))
        made_by = {
            "run_id": handoff.run_id,
            "seed": handoff.seed,
            "detector": handoff.detector,
            "detector_sha256": handoff.detector_sha256,
            "min_score": handoff.min_score,
            "profile": profile,
            "with_images": with_images,
            "counts": {
                "images": len(handoff.images),
                "annotations": annotations,
                "sources": len({image.source.source for image in handoff.images}),
            },
            "categories": list(handoff.categories),
        }
        listed = [
            ManifestImage(paths[i.name], i.frame.frame_id, i.source, i.frame.frame_index, i.frame.timestamp_s)
            for i in handoff.images
        ]
        write_manifest(folder, made_by, listed)
        images = receiver.IMAGES if with_images else None
        write_text(folder, "README.txt", readme(handoff, images=images, how_to_import=receiver.HOW_TO_IMPORT))
        write_checksums(folder)
    return ExportResult(place, profile, handoff.run_id, len(handoff.images), annotations)


def _checked_categories(categories: Sequence[str]) -> tuple[str, ...]:
    if not categories:
        raise UsageError("no classes are known, since there are no labels yet; give them with --classes car,person")
    for name, count in Counter(categories).items():
        if not name.strip() or not name.isprintable():
            raise UsageError(
                f"class {name!r} is not a name that every receiver can show; "
                "rename it, or give names as in --classes car,person"
            )
        if count > 1:
            raise UsageError(f"--classes: {name!r} is given {count} times; give each class once")
    return tuple(categories)


def _images(
    frames: Sequence[SelectedFrame],
    sources: Mapping[str, Source],
    folder: Path,
    predictions: Predictions,
    categories: tuple[str, ...],
) -> tuple[HandoffImage, ...]:
    stems = {frame.frame_id: export_stem(frame.frame_id) for frame in frames}
    for frame in frames:
        source = sources.get(frame.source)
        if source is None:
            raise CurateError(f"the selected frame {frame.frame_id} is of no source in the index; {_AGAIN}")
        # File names come from frame ids: one that was edited in a table must not name another file.
        if frame.frame_id != make_frame_id(source.source, source.kind, frame.frame_index):
            raise CurateError(f"the selected frame {frame.frame_id} is not frame {frame.frame_index} of it; {_AGAIN}")
        if not is_file_name(stems[frame.frame_id]):
            raise CurateError(f"the selected frame {frame.frame_id!r} cannot name a file; {_AGAIN}")
    files = {id_: folder / f"{stem}.jpg" for id_, stem in stems.items()}
    missing = [path for path in files.values() if not path.is_file()]
    if missing:
        raise CurateError(f"{missing[0]}: missing ({len(missing)} of {len(files)} images are); {_AGAIN}")
    images = []
    for frame in frames:
        file = files[frame.frame_id]
        width, height = _jpeg_size(file)
        predicted = tuple(predictions.get(frame.frame_id, ()))
        _check_predictions(frame.frame_id, predicted, categories)
        images.append(HandoffImage(file.name, frame, sources[frame.source], file, width, height, predicted))
    return tuple(images)


def _jpeg_size(path: Path) -> tuple[int, int]:
    """Width and height of a JPEG; CurateError if it is none, or if a viewer would turn it."""
    from PIL import ExifTags, Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            kind, size, orientation = image.format, image.size, image.getexif().get(ExifTags.Base.Orientation, 1)
    except (UnidentifiedImageError, OSError) as error:
        raise CurateError(f"{path}: not a readable image; delete it and {_AGAIN}") from error
    if kind != "JPEG" or orientation != 1:
        detail = f"a {kind}" if kind != "JPEG" else "turned by its EXIF orientation"
        raise CurateError(f"{path}: {detail}, but an upright JPEG is handed over; delete it and {_AGAIN}")
    return size


def _check_predictions(frame_id: str, predictions: Sequence[Prediction], categories: tuple[str, ...]) -> None:
    for box, category, score in predictions:
        if category not in categories:
            raise CurateError(
                f"the detector found {category!r} in {frame_id}, and the classes are {', '.join(categories)}; "
                "add it to --classes, or export without predictions"
            )
        if not (all(map(math.isfinite, box)) and 0 <= score <= 1):
            raise ValueError(
                f"{frame_id}: prediction {box} with score {score}; expected finite numbers, score in [0, 1]"
            )


def _selection_id(frames: Sequence[SelectedFrame]) -> str:
    content = json.dumps([asdict(frame) for frame in frames])
    return f"selection-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
