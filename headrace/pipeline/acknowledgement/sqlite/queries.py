"""The queries of the store, each in a file of its own, and the tables that they need."""

import sqlite3
from functools import cache
from typing import Final

from headrace.database.queries import migrate, sql_condition, sql_text
from headrace.pipeline.acknowledgement.errors import NewerDeadLetters

MIGRATIONS: Final = ("1_schema",)
"""Files that bring the tables to the version of their number, in order."""


@cache
def query(name: str) -> str:
    """Return the text of a query."""
    return sql_text(__package__, name)


@cache
def condition(name: str) -> str:
    """Return one condition of a filter."""
    return sql_condition(__package__, name)


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, or what is missing of them. Raises NewerDeadLetters, and has changed nothing then."""
    newer = migrate(connection, __package__, MIGRATIONS)
    if newer is not None:
        (_, _, path) = connection.execute("PRAGMA database_list").fetchone()
        raise NewerDeadLetters(path, newer, len(MIGRATIONS))
