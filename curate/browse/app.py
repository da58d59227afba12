"""The FiftyOne App on the dataset of a workspace."""

import errno
import os
import socket
import time
import webbrowser
from typing import Any
from urllib.parse import quote

from curate.browse.database import answering, connect
from curate.browse.views import RANKED
from curate.errors import CurateError, UsageError
from curate.progress import SILENT, Progress
from curate.workspace import Workspace

ANY_ADDRESS = ("0.0.0.0", "::")
CHECK_EVERY_S = 0.5


def launch(
    workspace: Workspace,
    *,
    port: int,
    open_browser: bool,
    address: str = "localhost",
    progress: Progress = SILENT,
) -> None:
    """Serve the App at `address`:`port`, opened on the view `ranked`, until Ctrl-C.

    With address "0.0.0.0" other machines reach it too: anyone on the network then sees the frames, and every other
    file that this user can read. CurateError if there is no dataset yet or the port is taken.
    """
    _check_port(address, port)
    _bypass_proxy_for_this_machine()
    fo = connect()
    name = workspace.dataset_name
    with answering():
        if not fo.dataset_exists(name):
            raise CurateError(
                f"{workspace.root}: FiftyOne has no dataset {name} yet; run `curate score` or `curate browse` on it"
            )
        dataset = fo.load_dataset(name)
        # Nothing is ranked before the first selection, and an empty page would look like a failure.
        is_ranked = dataset.has_saved_view(RANKED) and len(dataset.load_saved_view(RANKED)) > 0

    # Only the server: a fo.Session would tie every browser window to the state of this process, which has none.
    server = _start_server(port, address)
    try:
        url = app_url(name, port=port, address=address, view=RANKED if is_ranked else None)
        progress.say(f"FiftyOne App: {url} (Ctrl-C stops it)")
        if open_browser:
            webbrowser.open(url, new=2)
        while server.child.poll() is None:
            time.sleep(CHECK_EVERY_S)
    except KeyboardInterrupt:
        return
    finally:
        server.stop()
    raise CurateError("FiftyOne: the App's server stopped; what it printed above says why")


def app_url(dataset_name: str, *, port: int, address: str = "localhost", view: str | None = RANKED) -> str:
    """The address of a dataset, or one of its saved views, in the App."""
    host = "localhost" if address in ANY_ADDRESS else address
    query = f"?view={quote(view)}" if view is not None else ""
    return f"http://{host}:{port}/datasets/{quote(dataset_name)}{query}"


def _check_port(address: str, port: int) -> None:
    """UsageError unless a server can listen there. FiftyOne itself would join whatever App it finds at the port."""
    if not 1 <= port <= 65535:
        raise UsageError(f"--port {port}: give a number from 1 to 65535")
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise UsageError(f"--address {address}: not an address of this machine ({error.strerror})") from error
    for family, kind, protocol, _, where in found:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(where)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise UsageError(
                        f"--port {port}: another program listens there, perhaps another `curate browse`; "
                        f"stop it, or give another port, for instance --port {port % 65535 + 1}"
                    ) from error
                if error.errno == errno.EACCES:
                    raise UsageError(f"--port {port}: only root may listen there; give a port from 1024") from error
                if error.errno != errno.EAFNOSUPPORT and family == socket.AF_INET:
                    raise UsageError(f"--address {address}: cannot listen there ({error.strerror})") from error


def _bypass_proxy_for_this_machine() -> None:
    """FiftyOne talks to its own server over HTTP, and would ask a proxy set in the environment for it."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*hosts, "localhost", "127.0.0.1"]))


def _start_server(port: int, address: str) -> Any:
    from fiftyone.core.service import ServerService, ServiceListenTimeout

    try:
        return ServerService(port, address=address, do_not_track=True)
    except ServiceListenTimeout as error:
        raise CurateError(
            f"FiftyOne: the App's server did not start on {address}:{port} within a minute; run `curate browse` again"
        ) from error
