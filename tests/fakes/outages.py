"""Stops a database for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.fakes.postgres_server import PostgresServer


@contextmanager
def outage(postgres: PostgresServer) -> Iterator[Callable[[], None]]:
    """Stop the server; the block may start it, and it runs after the block in any case."""
    postgres.stop()
    is_down = True

    def end() -> None:
        nonlocal is_down
        if is_down:
            postgres.start()
        is_down = False

    try:
        yield end
    finally:
        end()
