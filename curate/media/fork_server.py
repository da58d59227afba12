"""A process that imports once what requests need, and forks from itself the processes that carry them out."""

import os
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

# To the server: which process to end and how long it may take to end by itself, in seconds; 0 asks for a new one, whose
# socket comes with it. Back: the exit status of the one that ended.
REQUEST = struct.Struct("=id")
STATUS = struct.Struct("=i")
# Killing a process takes this long at most, in seconds; a server that takes longer is killed, with all it forked.
_PATIENCE_S = 10.0


class ForkServer:
    """The server, seen from the process that starts it. What it has forked never outlives it, nor it its starter.

    `warm_up`, as in "module:name", is called in the server first; "" for none.
    """

    def __init__(self, warm_up: str) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            # The search path is handed over, so that the server finds this very curate; the main module is not
            # imported again, as multiprocessing would, so scripts and notebooks need no `if __name__ == ...`.
            code = (
                f"import sys; sys.path[:] = {[entry for entry in sys.path if isinstance(entry, str)]!r}; "
                f"from curate.media.child import main; main({theirs.fileno()}, {os.getpid()}, {warm_up!r})"
            )
            self._process = subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )

    def fork(self) -> Connection:
        """Have a process forked; it is sent requests over the connection. If the server has ended, that is closed."""
        ours, theirs = socket.socketpair()
        with theirs, suppress(OSError):
            socket.send_fds(self._control, [REQUEST.pack(0, 0)], [theirs.fileno()])
        return Connection(ours.detach())

    def end(self, pid: int, grace_s: float) -> int:
        """Kill a forked process unless it ends by itself within `grace_s`; its exit status, as of `Popen`."""
        try:
            self._control.settimeout(grace_s + _PATIENCE_S)
            self._control.sendall(REQUEST.pack(pid, grace_s))
            answer = self._control.recv(STATUS.size)
        except OSError:
            answer = b""
        if answer:
            return int(STATUS.unpack(answer)[0])
        return self.kill()

    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def kill(self) -> int:
        """Kill the server, and with it all that it has forked; its exit status."""
        self._control.close()
        self._process.kill()
        return self._process.wait()

    def close(self) -> int:
        """End all forked processes and the server; its exit status."""
        self._control.close()
        try:
            return self._process.wait(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            return self.kill()
