"""report.json: what a command read, skipped and why, what it decided, how long each stage took, with which versions."""

import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from curate import __version__
from curate.errors import CurateError
from curate.types import Skipped
from curate.workspace import Workspace

_PACKAGES = ("torch", "torchvision", "timm", "decord", "av", "fiftyone", "numpy", "pyarrow")


class Report:
    """Collects while a command runs; `write` may be called at any time and always leaves a whole file."""

    def __init__(self, command: str, options: Mapping[str, Any]) -> None:
        self.command = command
        self.options = dict(options)
        self.skipped: list[Skipped] = []
        self.results: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; its time is kept also where the stage fails."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0) + time.perf_counter() - begin, 3)

    @contextmanager
    def kept_in(self, workspace: Workspace) -> Iterator[None]:
        """Write report.json when the block ends, also where it fails.

        Then its error is what is raised, even if the report cannot be written.
        """
        try:
            yield
        except BaseException:
            with suppress(CurateError):
                self.write(workspace)
            raise
        self.write(workspace)

    def write(self, workspace: Workspace) -> None:
        """Write report.json; CurateError where it cannot be written."""
        workspace.write_json(
            workspace.report,
            {
                "command": self.command,
                "options": self.options,
                "results": self.results,
                "skipped": [asdict(skipped) for skipped in self.skipped],
                "seconds": self.seconds,
                "versions": versions(),
            },
        )


def versions() -> dict[str, str]:
    """The versions that a result depends on, without importing the packages."""
    found = {"curate": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
