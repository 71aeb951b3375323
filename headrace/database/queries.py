"""Reads the SQL of a store from the files beside it, and brings its tables to the version that its code knows."""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files


@cache
def sql_text(package: str, name: str) -> str:
    """Return the text of `sqlite/NAME.sql` in a package."""
    return (files(package) / "sqlite" / f"{name}.sql").read_text(encoding="utf-8")


@cache
def sql_condition(package: str, name: str) -> str:
    """Return one of the conditions of a filter, which stand in `conditions.sql`, each under its name."""
    _, _, found = sql_text(package, "conditions").partition(f"-- {name}\n")
    return found.partition("-- ")[0].strip()


def statements(text: str) -> Iterator[str]:
    """Yield the statements of a file one by one: `executescript` would commit what comes before."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def migrate(connection: sqlite3.Connection, package: str, migrations: Sequence[str]) -> int | None:
    """Make the tables, or what is missing of them, in the transaction that has begun; return None.

    `migrations` are files that bring them to the version of their number, in order; `schema`, `version` and
    `set_version` are files that keep it. Of two OS processes that do so at once one waits, and then finds it done. When
    the tables are of a newer version than there are migrations, that is returned, and nothing was changed.
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
