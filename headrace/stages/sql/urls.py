"""Databases by URL, and their option types."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator

from headrace.database.urls import NUL, SCHEMES, has_nul, is_postgres_url, parse_sqlite_url
from headrace.stages.options import refused
from headrace.stages.sql.database import BadDatabase, Database, is_name
from headrace.stages.sql.sqlite_database import SqliteDatabase

SHAPE: Final = "a database is written sqlite:///var/shop.db or postgresql://user:password@host:5432/shop"
SQLITE_SHAPE: Final = "a SQLite database is written sqlite:///var/shop.db, with a fourth slash before a full path"
POSTGRES_SHAPE: Final = (
    "a PostgreSQL database is written postgresql://user:password@host:5432/shop; / ? # @ : % in a password are written"
    " %2F %3F %23 %40 %3A %25"
)
NO_DRIVER: Final = (
    "a PostgreSQL database needs the package psycopg and its libpq: pip install 'headrace[postgres]' 'psycopg[binary]'"
)


def check_url(url: str) -> None:
    """Raise `BadDatabase` for an invalid URL; the error does not show the URL, because it may hold a password."""
    if has_nul(url):
        why = f"the URL {NUL}"
        raise BadDatabase(why)
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        raise BadDatabase(SHAPE) from None
    if scheme in SCHEMES:
        _check_postgres(url)
    elif scheme == "sqlite":
        _check_sqlite(url)
    else:
        raise BadDatabase(SHAPE)


def database_of(url: str, setup: str | None = None, *, is_made: bool = True) -> Database:
    """Return the database, which runs `setup` when it opens. Raises `BadDatabase`.

    Unless `is_made`, a SQLite file must exist when it is opened.
    """
    check_url(url)
    found = parse_sqlite_url(url)
    return _postgres(url, setup) if found is None else SqliteDatabase(Path(found.path), setup, is_made=is_made)


def _check_sqlite(url: str) -> None:
    found = parse_sqlite_url(url)
    if found is None or found.options or found.has_fragment:
        raise BadDatabase(SQLITE_SHAPE)


def _check_postgres(url: str) -> None:
    if not is_postgres_url(url):
        raise BadDatabase(POSTGRES_SHAPE)
    if find_spec("psycopg") is None:
        raise BadDatabase(NO_DRIVER)


def _postgres(url: str, setup: str | None) -> Database:
    try:
        from headrace.stages.sql.postgres_database import PostgresDatabase  # noqa: PLC0415 - an optional driver
    except ImportError:  # psycopg finds no libpq
        raise BadDatabase(NO_DRIVER) from None
    return PostgresDatabase(url, setup)


def _url(value: str) -> str:
    try:
        check_url(value)
    except BadDatabase as error:
        failure = refused("bad_value", error.why)
    else:
        return value
    raise failure


def _name(value: str) -> str:
    if not is_name(value):
        raise refused("bad_value", "a table or column has letters, digits and _ in its name, and no digit first")
    return value


DatabaseField = Annotated[str, AfterValidator(_url)]
"""The URL of a database."""

NameField = Annotated[str, AfterValidator(_name)]
"""A table or a column."""
