"""labels-history/: every earlier state of labels.parquet, numbered, so that no label is ever lost."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from curate.errors import CurateError, UsageError
from curate.labels.table import save_labels
from curate.labels.types import EMPTY
from curate.tables import atomic_replace
from curate.workspace import Workspace

_NAME = re.compile(r"(\d{4,})-([0-9a-f]{8})\.parquet")


@dataclass(frozen=True)
class Version:
    """An earlier state of the labelled set: a copy of labels.parquet with its number, from 1, oldest first."""

    number: int
    path: Path


def versions(workspace: Workspace) -> list[Version]:
    """The versions that are kept, oldest first."""
    folder = _folder(workspace)
    paths = folder.iterdir() if folder.is_dir() else ()
    matches = [(match, path) for path in paths if (match := _NAME.fullmatch(path.name))]
    return sorted((Version(int(match[1]), path) for match, path in matches), key=lambda version: version.number)


def keep_version(workspace: Workspace) -> Version:
    """Keep labels.parquet as it is now; before the first labels that is an empty set.

    A state that is the newest version already, as after a kill, is not kept twice.
    """
    if not workspace.labels.exists():
        save_labels(workspace, EMPTY)
    data = workspace.labels.read_bytes()
    kept = versions(workspace)
    if kept and kept[-1].path.read_bytes() == data:
        return kept[-1]
    number = kept[-1].number + 1 if kept else 1
    path = _folder(workspace) / f"{number:04d}-{hashlib.sha256(data).hexdigest()[:8]}.parquet"
    atomic_replace(path, data)
    return Version(number, path)


def find_version(workspace: Workspace, number: int) -> Version:
    """The version of that number, undamaged; UsageError with the choices where there is none."""
    kept = versions(workspace)
    for version in kept:
        if version.number == number:
            sha256 = hashlib.sha256(version.path.read_bytes()).hexdigest()
            if not version.path.stem.endswith(sha256[:8]):
                raise CurateError(f"{version.path}: changed since it was kept; restore another version")
            return version
    choices = f"there are 1 to {kept[-1].number}" if kept else "none is kept yet"
    raise UsageError(f"--restore {number}: no such version of the labels; {choices}")


def _folder(workspace: Workspace) -> Path:
    return workspace.root / "labels-history"
