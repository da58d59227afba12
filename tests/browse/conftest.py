"""One real mongod for the tests of this folder."""

import atexit
from contextlib import ExitStack

import pytest
from browse.mongod import running_mongod, use_database


@pytest.fixture(scope="session", autouse=True)
def database_uri() -> str:
    stack = ExitStack()
    uri = stack.enter_context(running_mongod())
    # Not at the end of the session: FiftyOne asks the database once more when Python exits, and would wait 30 s for
    # one that is gone. It says so after us, and what is registered last is run first.
    atexit.register(stack.close)
    use_database(uri)
    return uri
