"""Brings the tables of a file to the version that this headrace knows."""

import sqlite3
from typing import Final

from headrace.database.queries import migrate
from headrace.jobs.errors import NewerSchema
from headrace.jobs.stores.sql.rows import list_text, merged_text, object_text

QUERIES: Final = "headrace.jobs.stores.sql"
"""The package that holds the SQL files."""

MIGRATIONS: Final = ("1_schema", "2_groups", "3_prunable", "4_limits", "5_owners", "6_stopping")
"""Files that bring the tables to the version of their number, in order."""


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, or what is missing of them, in the transaction that has begun.

    Of two OS processes that do so at once one waits, and then finds it done. Raises NewerSchema when it cannot know the
    tables; then nothing was changed.
    """
    connection.create_function("headrace_merge", 2, merged_text, deterministic=True)
    connection.create_function("headrace_object", 1, object_text, deterministic=True)
    connection.create_function("headrace_list", 1, list_text, deterministic=True)
    newer = migrate(connection, QUERIES, MIGRATIONS)
    if newer is not None:
        (_, _, path) = connection.execute("PRAGMA database_list").fetchone()
        raise NewerSchema(path, newer, len(MIGRATIONS))
