"""SQL text is what it is to be, whatever the names."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.sql.database import Insert, OnConflict, is_name, parameters, quoted

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)


CONFLICTS = st.sampled_from(["fail", "ignore", "update"])


@given(NAMES, st.lists(NAMES, min_size=1, max_size=5, unique_by=str.lower), CONFLICTS)
def test_sqlite_takes_every_insert_that_can_be_made(table: str, columns: list[str], on_conflict: OnConflict) -> None:
    connection = sqlite3.connect(":memory:")
    named = ", ".join(map(quoted, columns))
    connection.execute(f"create table {quoted(table)} ({named}, primary key ({quoted(columns[0])}))")
    insert = Insert(table, tuple(columns), on_conflict, (columns[0],))
    row = tuple(range(len(columns)))
    connection.execute(insert.text("?"), row)
    if on_conflict != "fail":
        connection.execute(insert.text("?"), row)
    assert connection.execute(f"select * from {quoted(table)}").fetchall() == [row]  # noqa: S608 - it is quoted
    connection.close()


@pytest.mark.parametrize("name", ["", "1a", 'a"b', "a b", "a.b.c", "a;drop", "ä"])
def test_other_names_are_none(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    ("query", "text", "names"),
    [
        ("select :a, :b, :a", "select [a], [b], [a]", ["a", "b", "a"]),
        ("select ':a', \":b\"", "select ':a', \":b\"", []),
        ("select a::text, b ::int", "select a::text, b ::int", []),
        ("select 'it''s :a' || :c", "select 'it''s :a' || [c]", ["c"]),
    ],
)
def test_parameters_are_found_outside_of_quotes_and_casts(query: str, text: str, names: list[str]) -> None:
    assert parameters(query, lambda name: f"[{name}]") == (text, names)
