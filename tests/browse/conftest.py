"""The tests of this folder all need the database."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _database(database_uri: str) -> None:
    pass
