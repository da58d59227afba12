"""What the commands print: progress with rate and time left, lines, and skipped inputs."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from curate.types import Skipped

_LOG_EVERY_S = 30.0
_SKIPPED_SHOWN = 5
_SLOW = 0.1


def pace(per_second: float, unit: str) -> str:
    """Return "12.3 steps/s", or where a step takes more than ten seconds "12.3 s each". per_second: above 0."""
    return f"{per_second:,.1f} {unit}/s" if per_second >= _SLOW else f"{1 / per_second:,.1f} s each"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(pace(speed, task.fields["unit"]) if speed else "")


class ConsoleProgress:
    """curate.progress.Progress on a terminal; in a log, a line every half a minute and one at each stage's end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None

    def start(self, title: str, total: int | None, unit: str) -> None:
        """Begin a bar."""
        self._title, self._total, self._unit, self._done, self._detail = title, total, unit, 0, ""
        self._began = self._logged = time.monotonic()
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
            self._bar = Progress(
                *columns,
                TimeRemainingColumn(),
                TextColumn("[dim]{task.fields[detail]}"),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(title, total=total, unit=unit, detail="")

    def advance(self, count: int = 1, detail: str = "") -> None:
        """Move the bar."""
        self._done += count
        self._detail = detail or self._detail
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, advance=count, detail=self._detail)
        elif self._done and now - self._logged >= _LOG_EVERY_S:
            self._logged = now
            rate = self._done / (now - self._began)
            left = f", {(self._total - self._done) / rate:,.0f} s left" if self._total else ""
            of = f" of {self._total:,}" if self._total else ""
            done = f"{self._done:,}{of} {self._unit}, {pace(rate, self._unit)}"
            self.say(f"  {self._title}: {done}{left}  {self._detail}".rstrip())

    def finish(self) -> None:
        """End the bar with a line of what was done."""
        self.stop()
        elapsed = time.monotonic() - self._began
        rate = f", {pace(self._done / elapsed, self._unit)}" if self._done and elapsed > 0 else ""
        self.say(f"{self._title}: {self._done:,} {self._unit} in {elapsed:,.1f} s{rate}")

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Take the bar away, also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextmanager
def console_progress() -> Iterator[ConsoleProgress]:
    """A ConsoleProgress that leaves the terminal clean whatever happens."""
    progress = ConsoleProgress(Console())
    try:
        yield progress
    finally:
        progress.stop()


def exit_with_skipped(skipped: Sequence[Skipped], report: str) -> None:
    """Name the inputs that were skipped, and end with exit code 3 if there are any."""
    if not skipped:
        return
    typer.echo(f"Skipped: {len(skipped)} inputs could not be read to their end (all are named in {report}):", err=True)
    for one in skipped[:_SKIPPED_SHOWN]:
        kept = f" (used: the {one.kept_frames:,} frames that were read)" if one.kept_frames else ""
        typer.echo(f"  {one.path}: {one.reason}{kept}", err=True)
    if len(skipped) > _SKIPPED_SHOWN:
        typer.echo(f"  and {len(skipped) - _SKIPPED_SHOWN} more", err=True)
    raise typer.Exit(3)
