"""The store of dead letters by its URL."""

from typing import Final

from headrace.ground.sqlite_url import parse_sqlite_url
from headrace.pipeline.acknowledgement.dead_letters import LetterBounds
from headrace.pipeline.acknowledgement.errors import BadDeadLetters
from headrace.pipeline.acknowledgement.sqlite.store import SqliteDeadLetters

_ANY_BOUNDS: Final = LetterBounds()

_SHAPE: Final = "is no SQLite file: write sqlite:///var/dead.db, or sqlite:////var/lib/dead.db from the root"
_OPTIONS: Final = "has no options behind its path: take them away"


def dead_letters_of(url: str, bounds: LetterBounds = _ANY_BOUNDS) -> SqliteDeadLetters:
    """Return a store in the file that the URL names, not open yet. Raises BadDeadLetters."""
    found = parse_sqlite_url(url)
    if found is None:
        raise BadDeadLetters(_SHAPE)
    if found.options or found.has_fragment:
        raise BadDeadLetters(_OPTIONS)
    return SqliteDeadLetters(found.path, bounds)
