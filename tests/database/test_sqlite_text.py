"""SQL beside its store: statements one by one, and tables that are brought to a version."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.database.queries import migrate, sql_condition, sql_text, statements
from headrace.database.urls import parse_sqlite_url
from headrace.dead_letters.sqlite_rows import MIGRATIONS

PACKAGE = "headrace.dead_letters"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(tmp_path / "some.db", isolation_level=None)
    yield made
    made.close()


def _tables(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("select name from sqlite_master order by name")]


def test_a_trigger_is_one_statement() -> None:
    text = "create table a (b);\n-- said; so\ncreate trigger t after insert on a begin\n  select 1;\n  select 2; end;\n"
    first, second = statements(text)
    assert first == "create table a (b);\n"
    assert second.endswith("end;\n")


def test_a_condition_is_found_by_its_name() -> None:
    assert sql_condition(PACKAGE, "before_id") == "id < :before_id"
    assert sql_text(PACKAGE, "conditions").startswith("-- The conditions of a filter")


def test_tables_are_made_once_and_left_alone_then(connection: sqlite3.Connection) -> None:
    assert migrate(connection, PACKAGE, MIGRATIONS) is None
    made = _tables(connection)
    connection.execute("update headrace_dead_letter_totals set letters = 7")
    assert migrate(connection, PACKAGE, MIGRATIONS) is None
    assert _tables(connection) == made
    assert connection.execute("select letters from headrace_dead_letter_totals").fetchall() == [(7,)]


def test_tables_of_a_newer_version_are_told_and_not_touched(connection: sqlite3.Connection) -> None:
    migrate(connection, PACKAGE, ())
    connection.execute(sql_text(PACKAGE, "set_version"), (len(MIGRATIONS) + 1,))
    before = _tables(connection)
    assert migrate(connection, PACKAGE, MIGRATIONS) == len(MIGRATIONS) + 1
    assert _tables(connection) == before


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///var/a.db", "var/a.db"),
        ("sqlite:////a%20b.db", "/a b.db"),
        ("sqlite:///a.db?x=1", "a.db"),
        ("sqlite://a.db", None),
        ("sqlite:a.db", None),
        ("sqlite:///", None),
        ("sqlite:///a/", None),
        ("postgresql:///a", None),
        ("sqlite://[::1", None),
        ("", None),
    ],
)
def test_a_url_names_the_path_of_a_file_or_nothing(url: str, path: str | None) -> None:
    found = parse_sqlite_url(url)
    assert (None if found is None else found.path) == path
