"""A few child processes that carry out requests: one that crashes, is killed or hangs costs one request."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

import psutil

from curate.errors import CurateError
from curate.media.fork_server import ForkServer

# How often the children's memory is looked at, in seconds; a decoder fills about 1 GB in one.
_LOOK_EVERY_S = 0.5
_LEAST_MEMORY_BYTES = 2 * 2**30
# A child that is only starting up, perhaps with its libraries on a slow disk, gets at least this long, in seconds.
_STARTUP_S = 60.0
_MAX_WORKERS = 8


class Request(Protocol):
    """What a child can be asked: a picklable object of a class that the child can import."""

    def run(self, report: Callable[[object], None]) -> object:
        """Carry it out in the child. `report` sends a message on the way; None only says that there is progress."""


RequestT = TypeVar("RequestT", bound=Request)


@dataclass(frozen=True)
class Event(Generic[RequestT]):
    """Something a child said, or its end.

    `kind`: "report" (`value`: what the request reported), "result" (`value`: what it returned), "refused" (a
    CurateError; `value`: its message), "failed" (any other exception; its name and message) and "lost" (the child
    died or hung; in which words). All but "report" end the request.
    """

    request: RequestT
    kind: Literal["report", "result", "refused", "failed", "lost"]
    value: Any


@dataclass(eq=False)
class _Child:
    """`pid` is None until the process says that it is there."""

    server: ForkServer
    connection: Connection
    pid: int | None = None
    request: Any = None
    heard_s: float = field(default_factory=time.monotonic)


class Children(Generic[RequestT]):
    """Up to `workers` processes. Use as a context manager: on leaving, whatever still runs is killed.

    A child is killed if it says nothing for `stall_timeout_s` while it has a request, or if it comes to hold more than
    `memory_limit_bytes` (default: its share of half of the machine's memory, at least 2 GiB). They are forked from
    one process, in which `warm_up`, a function of a module, is called before: it imports what requests need.
    """

    def __init__(
        self,
        workers: int,
        stall_timeout_s: float,
        *,
        memory_limit_bytes: int | None = None,
        warm_up: Callable[[], None] | None = None,
    ) -> None:
        self.workers = workers
        self.stall_timeout_s = stall_timeout_s
        self.memory_limit_bytes = memory_limit_bytes or _memory_share_bytes(workers)
        self._warm_up = f"{warm_up.__module__}:{warm_up.__qualname__}" if warm_up else ""
        self._measured_s = time.monotonic()
        self._queue: deque[RequestT] = deque()
        self._children: list[_Child] = []
        self._server: ForkServer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.connection.close()
        self._children.clear()
        if self._server:
            self._server.close()
            self._server = None

    def start(self, requests: int) -> None:
        """Start the children for so many requests ahead of them, so that they are ready when the requests come."""
        while len(self._children) < min(requests, self.workers):
            self._start()

    def submit(self, request: RequestT) -> None:
        """Queue a request; may be called while `events` is iterated."""
        self._queue.append(request)

    def events(self) -> Iterator[Event[RequestT]]:
        """What the children say, until no request is queued or running."""
        while True:
            self._hand_out()
            busy = [child for child in self._children if child.request is not None]
            if not busy:
                return
            ready = wait([child.connection for child in busy], timeout=min(_LOOK_EVERY_S, self.stall_timeout_s / 4))
            too_large = self._too_large(busy)
            for child in busy:
                if child is too_large:
                    yield self._lose(child, f"the decoder took more than {self.memory_limit_bytes / 2**30:.1f} GiB")
                    self._hear_out()
                    continue
                if child.connection in ready:
                    event = self._hear(child)
                    if event is not None:
                        yield event
                        # However long the caller took, the children could not be heard meanwhile.
                        self._hear_out()
                elif self._stalled(child):
                    yield self._lose(child, f"the decoder made no progress for {self.stall_timeout_s:g} s")
                    self._hear_out()

    def _hear_out(self) -> None:
        now = time.monotonic()
        for child in self._children:
            child.heard_s = now

    def _hand_out(self) -> None:
        idle = [child for child in self._children if child.request is None]
        while self._queue and (idle or len(self._children) < self.workers):
            child = idle.pop() if idle else self._start()
            child.request = self._queue.popleft()
            child.heard_s = time.monotonic()
            try:
                child.connection.send(child.request)
            except OSError:
                # Killed while it was idle: no request is to blame.
                self._queue.appendleft(child.request)
                if child.pid is None and not child.server.is_running():
                    raise self._never_ready(child) from None
                self._forget(child)

    def _hear(self, child: _Child) -> Event[RequestT] | None:
        try:
            kind, value = child.connection.recv()
        except (EOFError, OSError):
            if child.pid is None:
                raise self._never_ready(child) from None
            return self._lose(child, "")
        child.heard_s = time.monotonic()
        if kind == "ready":
            child.pid = value
            return None
        request = child.request
        if kind != "report":
            child.request = None
        return Event(request, kind, value) if value is not None or kind != "report" else None

    def _too_large(self, busy: list[_Child]) -> _Child | None:
        """A child that holds more memory than it may; looked at now and then."""
        if time.monotonic() - self._measured_s < _LOOK_EVERY_S:
            return None
        self._measured_s = time.monotonic()
        for child in busy:
            if child.pid is None:
                continue
            try:
                held = psutil.Process(child.pid).memory_info().rss
            except psutil.Error:
                continue
            if held > self.memory_limit_bytes:
                return child
        return None

    def _stalled(self, child: _Child) -> bool:
        limit_s = self.stall_timeout_s if child.pid else max(self.stall_timeout_s, _STARTUP_S)
        return time.monotonic() - child.heard_s > limit_s

    def _lose(self, child: _Child, reason: str) -> Event[RequestT]:
        status = self._forget(child)
        if not reason:
            how = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
            reason = f"the decoder process {how}"
        elif child.pid is None:
            # The server does not come to forking it.
            child.server.kill()
        return Event(child.request, "lost", reason)

    def _forget(self, child: _Child) -> int:
        self._children.remove(child)
        child.connection.close()
        # A child that died by itself is given the time to say how.
        return child.server.end(child.pid, grace_s=0.2) if child.pid is not None else 0

    @staticmethod
    def _never_ready(child: _Child) -> CurateError:
        return CurateError(
            f"a decoding process ends as soon as it starts (exit status {child.server.close()}); "
            "set CURATE_DEBUG=1 to see what it writes"
        )

    def _start(self) -> _Child:
        if self._server is None or not self._server.is_running():
            self._server = ForkServer(self._warm_up)
        child = _Child(self._server, self._server.fork())
        self._children.append(child)
        return child


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers(requests: int = _MAX_WORKERS) -> int:
    """One process a core that this process may use, at most 8, never more than there are requests."""
    return max(1, min(cores(), _MAX_WORKERS, requests))


def _memory_share_bytes(workers: int) -> int:
    return max(_LEAST_MEMORY_BYTES, int(psutil.virtual_memory().total) // 2 // workers)
