"""Hand the selection over: a folder with images, labels for one receiver, a list, a manifest and checksums."""

import hashlib
import json
import math
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

from curate import __version__
from curate.errors import CurateError, UsageError
from curate.handoff.folder import put, replaced_folder, write_checksums
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
) -> ExportResult:
    """Write `exports/<profile>/` from the selection, replacing an older export when the new one is complete.

    The images are those of `selection/images/`, at full size. `sources` are by source key. `categories` are what the
    vendor labels, in the order of their ids. `predictions` (by frame id) become pre-annotations. `run_id`, `seed`
    and `detector` are written down; without a `run_id` it is a hash of the selection. Equal arguments give equal
    bytes.

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
    )
    place = workspace.exports / profile
    with replaced_folder(place) as folder:
        for image in handoff.images:
            put(image.file, folder / receiver.IMAGES / image.name)
        annotations = receiver.write(handoff, folder)
        listed = "".join(f"{image.name}\n" for image in handoff.images)
        (folder / "selection.txt").write_text(listed, encoding="utf-8")
        (folder / "manifest.json").write_text(_manifest(handoff, profile, annotations), encoding="utf-8")
        text = readme(handoff, images=receiver.IMAGES, how_to_import=receiver.HOW_TO_IMPORT)
        (folder / "README.txt").write_text(text, encoding="utf-8")
        write_checksums(folder)
    return ExportResult(place, profile, handoff.run_id, len(handoff.images), annotations)


def _checked_categories(categories: Sequence[str]) -> tuple[str, ...]:
    if not categories:
        raise UsageError("no classes are known, since there are no labels yet; give them with --classes car,person")
    for name, count in Counter(categories).items():
        if not name.strip() or not name.isprintable():
            raise UsageError(f"--classes: {name!r} is not a name; give names as in --classes car,person")
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
        # File names come from frame ids: one that was edited in selection.csv must not name another file.
        if frame.frame_id != make_frame_id(source.source, source.kind, frame.frame_index):
            raise CurateError(f"the selected frame {frame.frame_id} is not frame {frame.frame_index} of it; {_AGAIN}")
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


def _manifest(handoff: Handoff, profile: str, annotations: int) -> str:
    sources = {image.source.source: image.source for image in handoff.images}
    frames_of = Counter(image.source.source for image in handoff.images)
    manifest: dict[str, Any] = {
        "run_id": handoff.run_id,
        "seed": handoff.seed,
        "detector": handoff.detector,
        "profile": profile,
        "versions": {"curate": __version__, "python": platform.python_version()},
        "counts": {"images": len(handoff.images), "annotations": annotations, "sources": len(sources)},
        "categories": list(handoff.categories),
        "sources": {
            key: {
                "file_name": PurePath(source.path).name,
                "sha256": source.sha256,
                "kind": source.kind,
                "time_base": source.time_base or None,
                "images": frames_of[key],
            }
            for key, source in sorted(sources.items())
        },
        # Which frame of which source each image is: what `curate verify` checks, whatever the receiver's format.
        "frames": [
            {
                "file_name": image.name,
                "frame_id": image.frame.frame_id,
                "source": image.source.source,
                "frame_index": image.frame.frame_index,
                "timestamp_s": image.frame.timestamp_s,
            }
            for image in handoff.images
        ],
    }
    return json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
