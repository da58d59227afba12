"""Settings that every test shares."""

import atexit
import os
from contextlib import ExitStack

import pytest
from browse.mongod import running_mongod, use_database

# torchvision's Python roi_align is compiled otherwise, for 40 s.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
# As the command line does: tests must not crawl beside another program.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def database_uri() -> str:
    """A real mongod for this session, which FiftyOne uses here and in child processes."""
    stack = ExitStack()
    uri = stack.enter_context(running_mongod())
    # Not at the end of the session: FiftyOne asks the database once more when Python exits, and would wait 30 s for
    # one that is gone. It says so after us, and what is registered last is run first.
    atexit.register(stack.close)
    use_database(uri)
    return uri
