"""labels-history/: every state of labels.parquet, numbered, so that no label is ever lost."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from curate.errors import CurateError, UsageError
from curate.labels.table import load_labels_file, save_labels
from curate.labels.types import EMPTY
from curate.tables import atomic_replace
from curate.workspace import Workspace

_NAME = re.compile(r"(\d{4,})-([0-9a-f]{8})\.parquet")


@dataclass(frozen=True)
class Version:
    """A state of the labelled set: a copy of labels.parquet with its number, from 1, oldest first."""

    number: int
    path: Path


def versions(workspace: Workspace) -> list[Version]:
    """The versions that are kept, oldest first."""
    folder = workspace.labels_history
    paths = folder.iterdir() if folder.is_dir() else ()
    matches = [(match, path) for path in paths if (match := _NAME.fullmatch(path.name))]
    return sorted((Version(int(match[1]), path) for match, path in matches), key=lambda version: version.number)


def keep_version(workspace: Workspace) -> Version:
    """Keep labels.parquet as it is now; before the first labels that is an empty set.

    A state that is the newest version already is not kept twice. Where labels.parquet is gone, the newest version is
    what is left of it.
    """
    kept = versions(workspace)
    if not workspace.labels.exists():
        if kept:
            return kept[-1]
        save_labels(workspace, EMPTY)
    data = workspace.labels.read_bytes()
    if kept and kept[-1].path.read_bytes() == data:
        return kept[-1]
    number = kept[-1].number + 1 if kept else 1
    path = workspace.labels_history / f"{number:04d}-{hashlib.sha256(data).hexdigest()[:8]}.parquet"
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


def set_damaged_aside(workspace: Workspace) -> Path | None:
    """Move a labels.parquet that cannot be read to labels-history/damaged-<n>.parquet; None where there is none."""
    if not workspace.labels.exists():
        return None
    try:
        load_labels_file(workspace.labels)
    except CurateError:
        folder = workspace.labels_history
        aside = folder / f"damaged-{len(list(folder.glob('damaged-*'))) + 1}.parquet"
        os.replace(workspace.labels, aside)
        return aside
    return None
