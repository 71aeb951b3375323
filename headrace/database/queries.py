"""Reads the SQL files of a store, and migrates its tables."""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files


@cache
def sql_text(package: str, name: str, database: str = "sqlite") -> str:
    """Return the text of `sqlite/NAME.sql` in a package, or that of another database."""
    return (files(package) / database / f"{name}.sql").read_text(encoding="utf-8")


@cache
def sql_condition(package: str, name: str, database: str = "sqlite") -> str:
    """Return the condition of that name from `conditions.sql`."""
    _, _, found = sql_text(package, "conditions", database).partition(f"-- {name}\n")
    return found.partition("-- ")[0].strip()


def statements(text: str) -> Iterator[str]:
    """Yield the statements of a file one by one: `executescript` would commit the open transaction."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def migrate(connection: sqlite3.Connection, package: str, migrations: Sequence[str]) -> int | None:
    """Make or migrate the tables, in the open transaction; return None.

    `migrations` are the SQL files that bring the tables to version 1, 2 and so on; the files `schema`, `version` and
    `set_version` keep the version. When two OS processes migrate at the same time, one waits and then finds it done.
    Tables of a newer version than the last migration stay unchanged; their version is returned.
    """
    for statement in statements(sql_text(package, "schema")):
        connection.execute(statement)
    (version,) = connection.execute(sql_text(package, "version")).fetchone()
    if version > len(migrations):
        return int(version)
    for number, name in enumerate(migrations[version:], version + 1):
        for statement in statements(sql_text(package, name)):
            connection.execute(statement)
        connection.execute(sql_text(package, "set_version"), (number,))
    return None
