"""Brings the tables of a file to the version that this headrace knows."""

import sqlite3
from typing import Final

from headrace.jobs.errors import NewerSchema
from headrace.jobs.stores.sqlite.queries import query, statements
from headrace.jobs.stores.sqlite.rows import merged_text

MIGRATIONS: Final = ("1_schema", "2_groups", "3_prunable", "4_limits")
"""Files that bring the tables to the version of their number, in order."""


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, or what is missing of them, in the transaction that has begun.

    Of two OS processes that do so at once one waits, and then finds it done. Raises NewerSchema when it cannot know the
    tables; then nothing was changed.
    """
    connection.create_function("headrace_merge", 2, merged_text, deterministic=True)
    for statement in statements(query("schema")):
        connection.execute(statement)
    (version,) = connection.execute(query("version")).fetchone()
    if version > len(MIGRATIONS):
        (_, _, path) = connection.execute("PRAGMA database_list").fetchone()
        raise NewerSchema(path, version, len(MIGRATIONS))
    for number, name in enumerate(MIGRATIONS[version:], version + 1):
        for statement in statements(query(name)):
            connection.execute(statement)
        connection.execute(query("set_version"), (number,))
