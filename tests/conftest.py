"""Settings and servers that hold for every test."""

import gc
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.fakes.postgres_server import PostgresServer, shared_server

# On shared cores an honest example may take long; time is judged by the timeout of the whole test.
settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")

pytest_plugins = ["pytester"]
"""Runs the small projects of users whose tests lean on our plugin."""


@pytest.fixture(scope="module", autouse=True)
def _settled() -> None:
    """Have no collection of garbage look at what was there before a module's tests: hundreds of them ask for one.

    That is the items of all tests, and what pytest keeps of each that has run. The garbage of the tests goes first.
    """
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let pytest's last look for what nobody raised see all of it; end the server if one was started."""
    gc.unfreeze()
    if shared_server.cache_info().currsize:
        shared_server().close()


@pytest.fixture(scope="session")
def postgres() -> PostgresServer:
    """One real PostgreSQL for all tests that ask for it."""
    return shared_server()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty database of the test's own."""
    name = postgres.new_database()
    yield postgres.url(name)
    postgres.drop_database(name)
