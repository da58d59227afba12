"""Run `curate` as a user does, in a process of its own."""

import csv
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def curate(*arguments: object, code: int = 0, file_limit_bytes: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command and check its exit code; what it printed is in the failure's message.

    Writing more than `file_limit_bytes` into a file fails, as on a full disk.
    """
    command = [sys.executable, "-m", "curate.cli", *map(str, arguments)]
    if file_limit_bytes is not None:
        command = ["prlimit", f"--fsize={file_limit_bytes}", *command]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, f"exit code {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
    return done


def curate_on_terminal(columns: int, *arguments: object) -> str:
    """Run a command on a terminal of so many columns; what it shows, error messages too."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, columns))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": "xterm"}
    command = [sys.executable, "-m", "curate.cli", *map(str, arguments)]
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment):
        os.close(its)
        shown = b""
        with suppress(OSError), os.fdopen(ours, "rb", buffering=0) as terminal:  # an error tells the end
            while part := terminal.read(4096):
                shown += part
    return shown.decode()


def curate_killed_when(condition: Callable[[], bool], *arguments: object) -> None:
    """Start a command and `kill -9` it as soon as `condition` holds; fails if it ended before."""
    code, output = curate_struck_when(condition, signal.SIGKILL, *arguments)
    assert code == -signal.SIGKILL, output


def curate_struck_when(condition: Callable[[], bool], sent: signal.Signals, *arguments: object) -> tuple[int, str]:
    """Start a command and send it a signal as soon as `condition` holds; its exit code and all that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "curate.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Where the tests run in the background of a shell, SIGINT is ignored from birth.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not condition():
        if process.poll() is not None:
            output = process.communicate()[0]
            raise AssertionError(f"ended with {process.returncode} before it could be killed:\n{output}")
        time.sleep(0.002)
    os.kill(process.pid, sent)
    output = process.communicate()[0]
    return process.returncode, output


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error message."""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("curate: ")
    return lines[0]


def selection(workspace: Path) -> bytes:
    return (workspace / "selection" / "selection.csv").read_bytes()


def rows(workspace: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(selection(workspace).decode().splitlines()))
