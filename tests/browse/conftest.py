"""One real mongod for the tests of this folder."""

from collections.abc import Iterator

import pytest
from browse.mongod import running_mongod, use_database


@pytest.fixture(scope="session", autouse=True)
def database_uri() -> Iterator[str]:
    with running_mongod() as uri:
        use_database(uri)
        yield uri
