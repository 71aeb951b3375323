"""The queries of the SQLite store, each in a file of its own."""

import sqlite3
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final

_FOLDER: Final = files(__package__) / "sql"


@cache
def query(name: str) -> str:
    """Return the text of a query."""
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")


@cache
def condition(name: str) -> str:
    """Return one condition of a filter."""
    _, _, found = query("conditions").partition(f"-- {name}\n")
    return found.partition("-- ")[0].strip()


def statements(text: str) -> Iterator[str]:
    """Yield the statements of a file one by one: `executescript` would commit what comes before."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
