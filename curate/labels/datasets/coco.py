"""COCO and CocoVID folders: `annotations/instances_*.json`, `_annotations.coco.json` a split, or JSON files.

Frames of a CocoVID file may be pictures in a folder a video, or frames of videos.
"""

from pathlib import Path

from curate.labels.bundle import Bundle
from curate.labels.formats import coco
from curate.labels.problems import Problems
from curate.labels.returned import Returned

DESCRIPTION = "COCO or CocoVID: annotations/instances_*.json, or _annotations.coco.json in a folder a split"
MATCHED_PARTS = None
_NAMED = ("annotations/instances_*.json", "*/_annotations.coco.json", "_annotations.coco.json")
# Under other names there may be anything; what lies beside `instances_*` are key points and captions of the same.
_ANY = ("annotations/*.json", "*.json")


def is_root(folder: Path) -> bool:
    """Whether there are label files at one of the usual places."""
    return bool(_label_files(folder))


def read(root: Path, problems: Problems) -> Returned:
    """Read the label files of one pattern, the first of which there are any."""
    names = [path.relative_to(root).as_posix() for path in _label_files(root)]
    bundle = Bundle(root, names, lambda name: (root / name).open("rb"), problems, single=False)
    return coco.read(bundle, names, problems)


def _label_files(root: Path) -> list[Path]:
    for pattern in (*_NAMED, *_ANY):
        found = sorted(path for path in root.glob(pattern) if path.is_file())
        if pattern in _ANY:
            found = [path for path in found if coco.has_the_lists(path.read_bytes())]
        if found:
            return found
    return []
