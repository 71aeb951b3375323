"""The store of dead letters by its URL."""

from typing import Final

from headrace.pipeline.acknowledgement.limits import DeadLetterLimits
from headrace.pipeline.acknowledgement.sqlite.location import path_of
from headrace.pipeline.acknowledgement.sqlite.store import SqliteDeadLetterStore

_ANY_BOUNDS: Final = DeadLetterLimits()


def dead_letters_of(url: str, bounds: DeadLetterLimits = _ANY_BOUNDS) -> SqliteDeadLetterStore:
    """Return a store in the file that the URL names, not open yet. Raises BadDeadLetters."""
    return SqliteDeadLetterStore(path_of(url), bounds)
