"""Parses SQLite and PostgreSQL URLs without a driver."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

SCHEME: Final = "sqlite"

NUL: Final = "has %00 in it, which no path or name may hold: take it out"
"""The end of a sentence about a URL."""


@dataclass(frozen=True, slots=True)
class SqliteUrl:
    """A SQLite URL: the path of the file, and the options after the question mark."""

    path: str
    options: Mapping[str, str]
    has_fragment: bool = False


def has_nul(url: str) -> bool:
    """Return whether a URL of any kind contains an encoded NUL character.

    >>> has_nul("sqlite:///x.db%00y"), has_nul("sqlite:///x.db%2500")
    (True, False)
    """
    return "\0" in unquote(url)


def parse_sqlite_url(url: str) -> SqliteUrl | None:
    """Return the parts of a SQLite URL, or None when it names no file.

    >>> parse_sqlite_url("sqlite:////var/lib/shop.db").path
    '/var/lib/shop.db'
    >>> parse_sqlite_url("sqlite://shop.db") is None
    True
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # an invalid host in brackets
        return None
    path = unquote(parts.path.removeprefix("/"))
    if parts.scheme != SCHEME or parts.netloc or not parts.path.startswith("/") or not path or path.endswith("/"):
        return None
    return SqliteUrl(path, dict(parse_qsl(parts.query, keep_blank_values=True)), bool(parts.fragment))


SCHEMES: Final = ("postgresql", "postgres")

_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def is_postgres_url(url: str) -> bool:
    """Return whether a URL names a PostgreSQL database.

    >>> is_postgres_url("postgresql://anna:pass@db:5432/shop?sslmode=require")
    True
    >>> is_postgres_url("postgresql://anna:pa/ss@db/shop")
    False
    """
    try:
        parts = urlsplit(url)
        is_numbered = "," in parts.netloc or parts.port != 0  # several hosts may have a port each
    except ValueError:
        return False
    name = parts.path.removeprefix("/")
    is_split_well = bool(name) and not set("/@") & set(name) and not parts.fragment and "@" not in parts.query
    return parts.scheme in SCHEMES and is_numbered and is_split_well and _BAD_PERCENT.search(url) is None


def shown(url: str) -> str:
    """Return a URL without its password and options.

    >>> shown("postgresql://anna:pass@db:5432/shop?sslmode=require")
    'postgresql://anna@db:5432/shop'
    """
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}"
