"""The path in the URL of a store of dead letters."""

from typing import Final

from headrace.database.urls import NUL, has_nul, parse_sqlite_url
from headrace.pipeline.acknowledgement.errors import BadDeadLetters

_SHAPE: Final = "is no SQLite file: write sqlite:///var/dead.db, or sqlite:////var/lib/dead.db from the root"
_OPTIONS: Final = "has no options behind its path: take them away"


def path_of(url: str) -> str:
    """Return the path of the file that the URL names; nothing is opened. Raises BadDeadLetters."""
    if has_nul(url):
        raise BadDeadLetters(NUL)
    found = parse_sqlite_url(url)
    if found is None:
        raise BadDeadLetters(_SHAPE)
    if found.options or found.has_fragment:
        raise BadDeadLetters(_OPTIONS)
    return found.path
