"""Folders that a file system can hold and no program can list, for tests."""

import os
from pathlib import Path


def deep_folder(folder: Path) -> Path:
    """A folder below `folder` whose path is longer than any that can be opened, which holds for root as well."""
    here = os.open(folder, os.O_RDONLY)
    while len(str(folder)) < os.pathconf(folder.anchor, "PC_PATH_MAX"):
        folder /= "d" * 250
        os.mkdir(folder.name, dir_fd=here)
        parent, here = here, os.open(folder.name, os.O_RDONLY, dir_fd=here)
        os.close(parent)
    os.close(here)
    return folder
