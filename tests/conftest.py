"""Settings and servers that hold for every test."""

import gc
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.fakes.postgres_server import PostgresServer

# On shared cores an honest example may take long; time is judged by the timeout of the whole test.
settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")

pytest_plugins = ["pytester"]
"""Runs the small projects of users whose tests lean on our plugin."""


def pytest_collection_finish() -> None:
    """Have no collection of garbage look at what is there for the whole run: thousands of tests ask for one."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One real PostgreSQL for all tests that ask for it."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty database of the test's own."""
    name = postgres.new_database()
    yield postgres.url(name)
    postgres.drop_database(name)
