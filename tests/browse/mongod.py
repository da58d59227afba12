"""A real mongod of one's own for tests and benchmarks, so that a person's FiftyOne database is never touched.

FIFTYONE_DATABASE_DIR alone would not do: a FiftyOne process joins the mongod that another one of the same user has
started, whatever folder that serves.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEND = "install it with `pip install 'curate-midl[mongod]'`"


def find_mongod() -> Path:
    spec = importlib.util.find_spec("fiftyone")
    assert spec is not None, "these tests need FiftyOne: `pip install fiftyone`"
    mongod = Path(spec.submodule_search_locations[0]) / "db" / "bin" / "mongod"
    assert mongod.is_file(), f"these tests need a mongod at {mongod}; {MEND}"
    return mongod


@contextmanager
def running_mongod() -> Iterator[str]:
    """Start mongod on a free port and a temporary folder; yields its URI."""
    folder = Path(tempfile.mkdtemp(prefix="curate-mongod-"))
    (folder / "db").mkdir()
    log = folder / "mongo.log"
    port = free_port()
    process = subprocess.Popen(
        [
            *(str(find_mongod()), "--dbpath", str(folder / "db"), "--logpath", str(log)),
            *("--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port, process, 60)
        yield f"mongodb://127.0.0.1:{port}"
    except AssertionError as error:
        raise AssertionError(f"{error}\n{log.read_text() if log.exists() else ''}"[-4000:]) from error
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def use_database(uri: str) -> None:
    """Point FiftyOne, here and in child processes, at the mongod; before its first use in this process."""
    os.environ["FIFTYONE_DATABASE_URI"] = uri
    os.environ["FIFTYONE_DO_NOT_TRACK"] = "1"
    if "fiftyone" in sys.modules:
        import fiftyone as fo

        fo.config.database_uri = uri


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: "subprocess.Popen[bytes]", timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args!r} exited with {process.returncode}"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"nothing listens on port {port} after {timeout_s} s")
