"""The queries of the SQLite store, each in a file of its own."""

from functools import cache

from headrace.database.queries import sql_condition, sql_text


@cache
def query(name: str) -> str:
    """Return the text of a query."""
    return sql_text(__package__, name)


@cache
def condition(name: str) -> str:
    """Return one condition of a filter."""
    return sql_condition(__package__, name)
