"""The URL of a SQLite file: `sqlite:///var/shop.db`, with a fourth slash where the path begins at the root."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

SCHEME: Final = "sqlite"

NUL: Final = "has %00 in it, which no path or name may hold: take it out"
"""Follows what a sentence calls the URL."""


@dataclass(frozen=True, slots=True)
class SqliteUrl:
    """What a URL says: the path of the file, and the options behind its question mark."""

    path: str
    options: Mapping[str, str]
    has_fragment: bool = False


def has_nul(url: str) -> bool:
    """Tell whether a URL of any kind stands for a NUL character somewhere.

    >>> has_nul("sqlite:///x.db%00y"), has_nul("sqlite:///x.db%2500")
    (True, False)
    """
    return "\0" in unquote(url)


def parse_sqlite_url(url: str) -> SqliteUrl | None:
    """Return what the URL says, or None when it names no file.

    >>> parse_sqlite_url("sqlite:////var/lib/shop.db").path
    '/var/lib/shop.db'
    >>> parse_sqlite_url("sqlite://shop.db") is None
    True
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # a host in brackets that is none
        return None
    path = unquote(parts.path.removeprefix("/"))
    if parts.scheme != SCHEME or parts.netloc or not parts.path.startswith("/") or not path or path.endswith("/"):
        return None
    return SqliteUrl(path, dict(parse_qsl(parts.query, keep_blank_values=True)), bool(parts.fragment))
