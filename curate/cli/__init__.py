"""The command line, one file a command; the only place with Typer and Rich."""

import os
import sys

from curate.cli.app import app
from curate.errors import CurateError

_INTERRUPTED = 130
"""Typer's exit code for a KeyboardInterrupt, which it does not let out."""


def main() -> None:
    """Run `curate`. Exit codes: 0 done, 1 error, 2 usage, 3 done but inputs were skipped, 130 interrupted."""
    # Read when torch loads. Threads that spin while they wait make two programs on one machine crawl: measured on two
    # shared cores, 0.2 images/s against 16 with threads that sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(prog_name="curate")
    except CurateError as error:
        if os.environ.get("CURATE_DEBUG"):
            raise
        print(f"curate: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            print("curate: interrupted; run the same command again to go on", file=sys.stderr)
        raise
