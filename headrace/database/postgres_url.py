"""The URL of a PostgreSQL database: `postgresql://user:password@host:5432/shop`, read without its driver."""

import re
from typing import Final
from urllib.parse import urlsplit

SCHEMES: Final = ("postgresql", "postgres")

_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def is_postgres_url(url: str) -> bool:
    """Tell whether a URL is one of a PostgreSQL database, whose name it has to say.

    >>> is_postgres_url("postgresql://anna:pass@db:5432/shop?sslmode=require")
    True
    >>> is_postgres_url("postgresql://anna:pa/ss@db/shop")
    False
    """
    try:
        parts = urlsplit(url)
        is_numbered = "," in parts.netloc or parts.port != 0  # of several hosts each may have a port
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
