"""Databases by their URL."""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from headrace.ground.sqlite_url import parse_sqlite_url
from headrace.stages.sql.database import Database
from headrace.stages.sql.errors import BadDatabase
from headrace.stages.sql.sqlite_database import SqliteDatabase

SHAPE: Final = "a database is written sqlite:///var/shop.db"
SQLITE_SHAPE: Final = "a SQLite database is written sqlite:///var/shop.db, with a fourth slash before a full path"


def check_url(url: str) -> None:
    """Raise `BadDatabase` for a URL of no database; the URL is not shown, for it may hold a password."""
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        raise BadDatabase(SHAPE) from None
    if scheme != "sqlite":
        raise BadDatabase(SHAPE)
    found = parse_sqlite_url(url)
    if found is None or found.options or found.has_fragment:
        raise BadDatabase(SQLITE_SHAPE)


def database_of(url: str, setup: str | None = None) -> Database:
    """Return the database, not open yet; `setup` is run when it is. Raises `BadDatabase`."""
    check_url(url)
    found = parse_sqlite_url(url)
    if found is None:
        raise BadDatabase(SHAPE)
    return SqliteDatabase(Path(found.path), setup)
