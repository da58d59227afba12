"""manifest.json of an export: what made it, and which frame of which source each of its images is."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from curate.errors import CurateError
from curate.handoff.folder import write_json
from curate.report import versions
from curate.types import Source, export_stem

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ManifestImage:
    """An image to write down. `path` is where it lies, relative to the export's folder."""

    path: str
    frame_id: str
    source: Source
    frame_index: int
    timestamp_s: float


@dataclass(frozen=True)
class HandedOver:
    """An image of an export and the identity of its frame.

    `sha256` is that of the source's file, `file_name` the source's own; `frame_index` counts from 0 in presentation
    order; `time_base` is the unit of the container's time stamps, "" for images and where it is not known.
    """

    image: Path
    frame_id: str
    source: str
    file_name: str
    sha256: str
    frame_index: int
    timestamp_s: float
    time_base: str


def write_manifest(folder: Path, made_by: Mapping[str, Any], images: Sequence[ManifestImage]) -> None:
    """Write manifest.json: `made_by`, the versions at work, the sources, and the frame that each image is."""
    sources = {image.source.source: image.source for image in images}
    frames_of = Counter(image.source.source for image in images)
    manifest = {
        **made_by,
        "versions": versions(),
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
        # What `curate verify` checks, whatever the receiver's format.
        "frames": [
            {
                "file_name": PurePosixPath(image.path).name,
                "path": image.path,
                "frame_id": image.frame_id,
                "source": image.source.source,
                "frame_index": image.frame_index,
                "timestamp_s": image.timestamp_s,
            }
            for image in images
        ],
    }
    write_json(folder, MANIFEST, manifest, indent=2)


def read_manifest(folder: Path) -> list[HandedOver]:
    """The images of the export in `folder`, in its order, whether their files are there or not.

    Raises CurateError where the folder is no export, or its manifest is damaged.
    """
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return [_handed_over(frame, manifest["sources"][frame["source"]], folder) for frame in manifest["frames"]]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CurateError(f"{folder}: not an export, it has no {MANIFEST}; give a folder of `curate export`") from error
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CurateError(f"{path}: damaged or of another version ({error!r}); run `curate export` again") from error


def _handed_over(frame: dict[str, Any], source: dict[str, Any], folder: Path) -> HandedOver:
    place = PurePosixPath(frame["path"])
    # The manifest may have been edited: a name must not lead out of the folder.
    if place.name != f"{export_stem(frame['frame_id'])}.jpg" or place.is_absolute() or ".." in place.parts:
        raise ValueError(f"{place} is not the name of {frame['frame_id']}")
    return HandedOver(
        image=folder / place,
        frame_id=frame["frame_id"],
        source=frame["source"],
        file_name=source["file_name"],
        sha256=source["sha256"],
        frame_index=int(frame["frame_index"]),
        timestamp_s=float(frame["timestamp_s"]),
        time_base=source["time_base"] or "",
    )
