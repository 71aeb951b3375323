"""Somebody's own SQLite transaction, in which a job is enqueued: both become true together, or neither."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from headrace.jobs.errors import BadTransaction

_LEGACY: Final = -1
"""What `Connection.autocommit` is unless somebody sets it; the attribute is new in Python 3.12."""


@contextmanager
def inside(connection: sqlite3.Connection, worker: str) -> Iterator[None]:
    """Hold the file's write lock in the connection's transaction, and begin one if none is open; leave it open.

    A look and a leap stay together only under that lock. Raises `BadTransaction` for a connection that commits each
    statement by itself, and for one whose file has no jobs.
    """
    try:
        if not connection.in_transaction:
            if _commits_by_itself(connection):
                raise BadTransaction(worker, "it commits each statement by itself; begin a transaction first")
            connection.execute("BEGIN IMMEDIATE")
        yield
    except sqlite3.OperationalError as error:
        raise BadTransaction(worker, f"{error}; connect to the file of the store, begin anew, and try again") from error


def _commits_by_itself(connection: sqlite3.Connection) -> bool:
    autocommit = getattr(connection, "autocommit", _LEGACY)
    return connection.isolation_level is None if autocommit == _LEGACY else bool(autocommit)
