"""Which URLs name a database; what is said of others shows no password."""

import sys

import pytest

from headrace.stages.sql.database import BadDatabase
from headrace.stages.sql.postgres_database import PostgresDatabase
from headrace.stages.sql.sqlite_database import SqliteDatabase
from headrace.stages.sql.urls import NO_DRIVER, check_url, database_of


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("postgresql://anna:secret@db:5432/shop", "postgresql://anna@db:5432/shop"),
        ("postgres://anna:s%40cret@db/shop?password=secret", "postgres://anna@db/shop"),
        ("postgresql:///shop?host=/run/postgresql", "postgresql:///shop"),
        ("postgresql://one:1,two:2/shop", "postgresql://one:1,two:2/shop"),
        ("postgresql://anna:sec@ret@db/shop", "postgresql://anna@db/shop"),
    ],
)
def test_a_postgres_url_is_shown_without_its_password(url: str, called: str) -> None:
    database = database_of(url)
    assert isinstance(database, PostgresDatabase)
    assert database.called == called


def test_a_file_is_sqlite() -> None:
    assert isinstance(database_of("sqlite:///shop.db"), SqliteDatabase)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://anna:secret@db",
        "postgresql://anna:secret@db/",
        "postgresql://anna:secret@db:port/shop",
        "postgresql://anna:sec/ret@db/shop",
        "postgresql://anna:1/secret@db/shop",
        "postgresql://anna:1#secret@db/shop",
        "postgresql://anna:1?secret@db/shop",
        "postgresql://anna:secret%zz@db/shop",
        "postgresql://[secret/shop",
        "mysql://anna:secret@db/shop",
        "secret",
    ],
)
def test_a_url_of_no_database_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(BadDatabase, match=r"a (PostgreSQL )?database is written") as found:
        check_url(url)
    assert "secret" not in str(found.value)


def test_without_its_driver_postgres_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as the import system marks it
    with pytest.raises(BadDatabase) as found:
        check_url("postgresql://db/shop")
    assert str(found.value) == NO_DRIVER


def test_a_driver_without_libpq_says_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "headrace.stages.sql.postgres_database", None)
    with pytest.raises(BadDatabase) as found:
        database_of("postgresql://db/shop")
    assert str(found.value) == NO_DRIVER
