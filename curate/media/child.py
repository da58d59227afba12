"""The processes in which files are decoded: one can hang, crash or be killed, and costs one file.

`main` is the server that they are forked from (see `curate.media.fork_server`); none outlives its parent.
"""

import ctypes
import gc
import os
import signal
import socket
import time
import traceback
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from curate.media.fork_server import REQUEST, STATUS

_PR_SET_PDEATHSIG = 1


def main(control: int, parent: int, warm_up: str) -> NoReturn:
    """Fork and end processes as asked for over the socket `control`, until the parent closes it or dies.

    `warm_up` names a function to call first, as in "module:name"; "" names none. It must start no thread.
    """
    _die_with(parent)
    # Ctrl-C reaches the whole process group; the parent decides when a child ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not os.environ.get("CURATE_DEBUG"):
        # FFmpeg, inside both decoders, writes its opinion of a damaged file straight to the terminal.
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        os.dup2(devnull, 2)
    if warm_up:
        module, _, name = warm_up.partition(":")
        getattr(import_module(module), name)()
    # What is there now lives on in all processes: not looked through again, its memory stays shared.
    gc.freeze()
    server = os.getpid()
    forked: set[int] = set()
    with socket.socket(fileno=control) as asked:
        while True:
            request, sockets, _, _ = socket.recv_fds(asked, REQUEST.size, 1)
            if not request:
                break
            pid, grace_s = REQUEST.unpack(request)
            if pid:
                forked.discard(pid)
                asked.sendall(STATUS.pack(_end(pid, grace_s)))
                continue
            pid = os.fork()
            if not pid:
                asked.close()
                _live(Connection(sockets[0]), server)
            os.close(sockets[0])
            forked.add(pid)
    for pid in forked:
        os.kill(pid, signal.SIGKILL)
    for pid in forked:
        os.waitpid(pid, 0)
    # Nothing is left to be tidied up, and the parent waits.
    os._exit(0)


def _end(pid: int, grace_s: float) -> int:
    """Wait for a process, and kill it after `grace_s`; its exit status."""
    deadline = time.monotonic() + grace_s
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        time.sleep(0.005)


def _live(connection: Connection, server: int) -> NoReturn:
    """The life of a forked process. It ends here: what the server would do next is not its business."""
    try:
        _die_with(server)
        _serve(connection)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _serve(connection: Connection) -> None:
    """Carry out requests, one at a time, until the parent closes the connection."""
    connection.send(("ready", os.getpid()))
    while True:
        try:
            request = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(_carry_out(request, connection))


def _carry_out(request: Any, connection: Connection) -> tuple[str, Any]:
    def report(message: object) -> None:
        connection.send(("report", message))

    from curate.errors import CurateError

    try:
        return "result", request.run(report)
    except CurateError as error:
        return "refused", str(error)
    except BrokenPipeError:
        os._exit(0)
    except Exception as error:
        # A bug, or a file that no decoder was tried on: it costs this request, and is named.
        return "failed", f"{type(error).__name__}: {error}"


def _die_with(parent: int) -> None:
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have died before the call.
    if os.getppid() != parent:
        os._exit(0)
