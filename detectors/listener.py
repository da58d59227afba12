"""What the processes of DDP have to say to the one that started them: finished steps, and why a training failed."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from types import TracebackType

from detectors.loop import StepReport

_POLL_S = 0.05


class Listener:
    """Hands the reports that other processes put into `queue` to the caller, from a thread, while the block runs.

    When the block ends, the first error that a process reported is raised in the place of the launcher's, which says
    that some process ended; else what `on_step` raised.
    """

    def __init__(self, on_step: Callable[[StepReport], None] | None) -> None:
        self.queue: multiprocessing.SimpleQueue[StepReport | Exception] = multiprocessing.get_context(
            "spawn"
        ).SimpleQueue()
        self._on_step = on_step
        self._ended = threading.Event()
        self._process_error: Exception | None = None
        self._caller_error: Exception | None = None
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Not by a last word in the queue: a process that was killed while it wrote may hold the queue's lock.
        self._ended.set()
        self._thread.join()
        failure = self._process_error or self._caller_error
        if failure is not None and (error is None or isinstance(error, Exception)):
            raise failure from error

    def _listen(self) -> None:
        """Read until the block has ended and the queue is empty, whatever fails: a full queue stops the training."""
        while not self._ended.wait(_POLL_S) or not self.queue.empty():
            while not self.queue.empty():
                self._take(self.queue.get())

    def _take(self, report: StepReport | Exception) -> None:
        if isinstance(report, Exception):
            self._process_error = self._process_error or report
        elif self._on_step is not None and self._caller_error is None:
            try:
                self._on_step(report)
            except Exception as error:
                self._caller_error = error
