"""The process in which files are decoded: it can hang, crash or be killed, and costs one file.

Started by `curate.media.children` with the number of a socket; it never outlives its parent.
"""

import ctypes
import os
import signal
import sys
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

_PR_SET_PDEATHSIG = 1


def main(socket: int, parent: int, warm_up: str) -> None:
    """Carry out requests, one at a time, until the parent closes the socket or dies.

    `warm_up` names a function to call first, as in "module:name"; "" names none.
    """
    _die_with(parent)
    # Ctrl-C reaches the whole process group; the parent decides when a child ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not os.environ.get("CURATE_DEBUG"):
        # FFmpeg, inside both decoders, writes its opinion of a damaged file straight to the terminal.
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        os.dup2(devnull, 2)
    connection = Connection(socket)
    if warm_up:
        module, _, name = warm_up.partition(":")
        getattr(import_module(module), name)()
    connection.send(("ready", None))
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
        sys.exit(0)
    except Exception as error:
        # A bug, or a file that no decoder was tried on: it costs this request, and is named.
        return "failed", f"{type(error).__name__}: {error}"


def _die_with(parent: int) -> None:
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have died before the call.
    if os.getppid() != parent:
        sys.exit(0)
