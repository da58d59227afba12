"""How long-running stages tell what they do, without knowing who listens (the command line draws it with Rich)."""

from typing import Protocol


class Progress(Protocol):
    """One bar at a time: `start`, any number of `advance`, then the next `start` or `finish`."""

    def start(self, title: str, total: int | None, unit: str) -> None:
        """Begin a stage of `total` units (None: unknown)."""

    def advance(self, count: int = 1, detail: str = "") -> None:
        """`count` more units are done; `detail` is a short text beside the rate, such as the losses."""

    def finish(self) -> None:
        """End the stage."""

    def say(self, text: str) -> None:
        """A line for the user: what was decided, what was found."""


class Silent:
    """A Progress that tells nobody."""

    def start(self, title: str, total: int | None, unit: str) -> None:
        """Do nothing."""

    def advance(self, count: int = 1, detail: str = "") -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""


SILENT: Progress = Silent()
