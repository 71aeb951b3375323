"""The SQLite store by its URL: `sqlite:///var/shop.db`, with a fourth slash where the path begins at the root."""

from typing import Final, get_args

from headrace.database.sqlite_threads import Synchronous
from headrace.database.urls import parse_sqlite_url
from headrace.jobs.errors import BadStore
from headrace.jobs.stores.sqlite_store import SqliteStore

_SHAPE: Final = "write sqlite:///var/shop.db, or sqlite:////var/lib/shop.db for a path that begins at the root"
_MODES: Final[tuple[Synchronous, ...]] = get_args(Synchronous)


def make(url: str) -> SqliteStore:
    """Return a store in the file that the URL names, with `?synchronous=normal` if it says so. Raises `BadStore`."""
    found = parse_sqlite_url(url)
    if found is None:
        raise BadStore("sqlite", f"needs the path of a file, and no host: {_SHAPE}")
    options = dict(found.options)
    said = options.pop("synchronous", "full")
    if options or found.has_fragment:
        raise BadStore("sqlite", "has the one option ?synchronous=full|normal: take the others away")
    mode = next((mode for mode in _MODES if mode == said), None)
    if mode is None:
        raise BadStore("sqlite", f"has a synchronous that it does not know: write {' or '.join(_MODES)}")
    return SqliteStore(found.path, synchronous=mode)
