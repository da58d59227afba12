"""Read an export back: which frame of which source each of its images is."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.errors import CurateError
from curate.handoff.registry import load_profile
from curate.types import export_stem

MANIFEST = "manifest.json"


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


def read_manifest(folder: Path) -> list[HandedOver]:
    """The images of the export in `folder`, in its order, whether their files are there or not.

    Raises CurateError where the folder is no export, or its manifest is damaged.
    """
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        images = folder / load_profile(manifest["profile"]).IMAGES
        return [_handed_over(frame, manifest["sources"][frame["source"]], images) for frame in manifest["frames"]]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CurateError(f"{folder}: not an export, it has no {MANIFEST}; give a folder of `curate export`") from error
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CurateError(f"{path}: damaged or of another version ({error!r}); run `curate export` again") from error


def _handed_over(frame: dict[str, Any], source: dict[str, Any], images: Path) -> HandedOver:
    name = str(frame["file_name"])
    # The manifest may have been edited: a name must not lead out of the folder of images.
    if name != f"{export_stem(frame['frame_id'])}.jpg":
        raise ValueError(f"{name} is not the name of {frame['frame_id']}")
    return HandedOver(
        image=images / name,
        frame_id=frame["frame_id"],
        source=frame["source"],
        file_name=source["file_name"],
        sha256=source["sha256"],
        frame_index=int(frame["frame_index"]),
        timestamp_s=float(frame["timestamp_s"]),
        time_base=source["time_base"] or "",
    )
